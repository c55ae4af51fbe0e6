"""Studies on S3 from the command line, and the check of what is stored."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.conftest import make_database
from tests.support.factories import make_slug
from tests.support.s3_server import S3Server
from tests.support.triplet_folder import TripletFolder


@pytest.fixture
def bucket(s3: S3Server, server_url: str, worker_id: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment on S3 with a database of its own; the folder is the bucket's."""
    name = s3.make_bucket()
    monkeypatch.setenv("DATABASE_URL", make_database(server_url, f"{name}_{worker_id}"))
    monkeypatch.setenv("S3_BUCKET", name)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("S3_PREFIX", "images")
    return s3.folder / name / "images"


def test_a_study_on_s3_and_its_check(run: Run, bucket: Path, home: Path, tmp_path: Path) -> None:
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    run("study", "create", name, "--protocol", "nights-2afc")
    run("import", "csv", folder.csv(folder.csv_rows(2)), "--study", name)
    stored = sorted(bucket.iterdir())
    assert len(stored) == 12
    assert not home.exists() or "images" not in {path.name for path in home.iterdir()}

    sound = run("storage", "check")
    assert (sound.exit_code, sound.stdout.splitlines()[1]) == (0, "All is as it should be.")
    is_original = {path: path.read_bytes().startswith(b"\x89PNG") for path in stored}
    derivative = next(path for path in stored if not is_original[path])
    original = next(path for path in stored if is_original[path])
    derivative.write_bytes(b"rot")
    found = run("storage", "check", "--json")
    assert found.exit_code == 1
    report = json.loads(found.stdout)
    assert (report["images"], report["objects"]) == (6, 12)
    (finding,) = report["findings"]
    assert (finding["trouble"], finding["what"], finding["key"]) == ("damaged", "display", derivative.name)
    said = run("storage", "check").stdout
    assert "display derivatives" in said
    assert "--repair mends it" in said

    place = f"s3://{bucket.parent.name}/exports/{name}"
    exported = json.loads(run("export", name, place, "--format", "webdataset", "--json").stdout)
    assert exported["path"] == place
    assert (bucket.parent / "exports" / name / "data/others-00000.tar").is_file()
    again = run("export", name, place)
    assert (again.exit_code, again.stderr.strip()) == (2, f"Error: {place} is not empty. Choose another prefix.")
    assert run("export", name, "s3://").exit_code == 2

    original.unlink()
    repaired = run("storage", "check", "--repair")
    assert repaired.exit_code == 1
    assert f"Lost: {original.name} {name}: " in repaired.stdout
    assert "from a backup" in repaired.stdout
    assert derivative.read_bytes() != b"rot"


def test_a_bucket_that_does_not_exist(
    run: Run, bucket: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import says so, and changes nothing."""
    monkeypatch.setenv("S3_BUCKET", "nowhere")
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    run("study", "create", name, "--protocol", "nights-2afc")
    refused = run("import", "csv", folder.csv(folder.csv_rows(2)), "--study", name)
    assert refused.exit_code == 1
    assert refused.stderr.strip().startswith("Error: There is no bucket 'nowhere' at http")
    assert json.loads(run("status", name, "--json").stdout)["items"] == 0


def test_settings_are_checked_before_anything_else(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "s3://images")
    refused = run("study", "list")
    assert (refused.exit_code, refused.stderr.strip()) == (
        2,
        "Error: The environment is not usable: S3_BUCKET must be the name of a bucket, without s3:// or a path.",
    )


def test_a_bucket_is_made_once(run: Run, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run("storage", "create")
    assert (refused.exit_code, refused.stderr.strip()) == (
        2,
        "Error: S3_BUCKET names no bucket: images lie in the home.",
    )
    monkeypatch.setenv("S3_BUCKET", "made-by-the-test")
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.url)
    assert run("storage", "create").stdout == "Made the bucket made-by-the-test.\n"
    assert (s3.folder / "made-by-the-test").is_dir()
    assert run("storage", "create").stdout == "The bucket made-by-the-test is there.\n"
