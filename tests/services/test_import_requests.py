"""Imports that a worker does: from a folder and from a bucket, from nowhere else, to the end, each item once."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.db import Sessions
from app.errors import BadInput, Conflict, Unavailable
from app.models.studies import ImportRequest
from app.services import audit, progress_writer, study_lookup
from app.services.items import import_requests, import_sources, imports
from app.services.items.import_sources import BucketSource, FolderSource, ImportSource, open_import_source
from app.services.items.uploads import BucketUploads, FolderUploads, Uploads, open_uploads
from app.services.progress_writer import GivenBack
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.pictures import blank_png
from tests.support.s3_server import S3Server
from tests.support.triplet_folder import TripletFolder, contents, make_draft, pool

Import = Callable[[int], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of the place."""
    return tmp_path / "imports"


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, root: Path) -> ImportSource:
    """The place, with its files at `root`."""
    if request.param == "folder":
        return FolderSource(root)
    server: S3Server = request.getfixturevalue("s3")
    bucket = server.place()
    (server.folder / bucket.name / bucket.prefix).mkdir(parents=True)
    root.symlink_to(server.folder / bucket.name / bucket.prefix)
    return BucketSource(bucket)


@pytest.fixture
def slug(sessions: Sessions) -> str:
    return make_draft(sessions)


def ask(sessions: Sessions, place: ImportSource, slug: str, source: str) -> int:
    with sessions.begin() as session:
        audit.act_as(session, "ada@example.org")
        return import_requests.request_import(
            session, place, study=study_lookup.by_slug(session, slug), source=source
        ).id


def read(sessions: Sessions, request_id: int) -> ImportRequest:
    with sessions() as session:
        return session.get_one(ImportRequest, request_id)


@pytest.fixture
def uploads(tmp_path: Path) -> FolderUploads:
    return FolderUploads(tmp_path / "uploads")


@pytest.fixture
def fulfil(
    sessions: Sessions, storage: LocalStorage, place: ImportSource, uploads: FolderUploads, tmp_path: Path
) -> Import:
    def fulfil(request_id: int, **options: Callable[[], bool]) -> None:
        incoming = tmp_path / "incoming"
        import_requests.run(sessions, storage, place, uploads, incoming=incoming, request_id=request_id, **options)
        assert list(incoming.glob("*")) == []

    return fulfil


def test_a_folder_is_imported_once(
    sessions: Sessions, place: ImportSource, root: Path, slug: str, fulfil: Import
) -> None:
    folder = TripletFolder(root / "2026/shoes")
    folder.nights(folder.nights_rows(3))
    (root / "2026/shoes/notes.txt").write_text("of no use")
    assert place.look("").folders == ["2026"]
    assert (place.look("2026").folders, place.look("2026/shoes").tables) == (["shoes"], ["data.csv"])

    first = ask(sessions, place, slug, "2026/shoes/")
    with sessions() as session:
        job = text("SELECT queue_name FROM procrastinate_jobs WHERE task_name = 'lookalike.import' "
                   "AND args = jsonb_build_object('request_id', CAST(:id AS bigint))")  # fmt: skip
        assert session.scalars(job, {"id": first}).all() == ["default"]
        entry, *_ = audit.entries(session, study_id=study_lookup.by_slug(session, slug).id)
        assert (entry.actor, entry.action, entry.subject) == ("ada@example.org", "asked for an import", "2026/shoes")
    with pytest.raises(Conflict, match="'2026/shoes' is still being imported"):
        ask(sessions, place, slug, "2026/shoes")
    with pytest.raises(Conflict, match="still being imported"), sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    with pytest.raises(IntegrityError, match="uq_import_requests_under_way"), sessions.begin() as session:
        session.add(
            ImportRequest(study_id=read(sessions, first).study_id, requested_by="", source="x", normalise=False)
        )

    fulfil(first)
    again = ask(sessions, place, slug, "2026/shoes")
    fulfil(again)
    fulfil(first)  # as a worker does that takes over what has just ended
    done, repeated = read(sessions, first), read(sessions, again)
    assert (done.state, done.items, done.already_there) == ("done", 3, 0)
    assert (repeated.state, repeated.items, repeated.already_there) == ("done", 0, 3)
    assert (
        (done.stage, done.done, done.total) == (repeated.stage, repeated.done, repeated.total) == ("adding items", 3, 3)
    )
    assert [item.number for item in pool(sessions, slug)] == [0, 1, 2]


HOSTILE = (
    "", "nowhere", ".", "..", "../secret", "shoes/../../secret", "shoes//", "/etc", "//etc", "~", ".hidden",
    "shoes/.hidden", "out", "loop", "shoes/data.csv", "s3://elsewhere/shoes", "<script>alert(1)</script>", "a\0b",
    "a\nb", "x" * 10_000, "é" * 300,
)  # fmt: skip


def test_nothing_else_can_be_asked_for(sessions: Sessions, place: ImportSource, root: Path, slug: str) -> None:
    """Where the place is a folder, links that lead out of it are not there."""
    outside = root.resolve().parent / "secret"
    for path in (root / "shoes", root / "shoes/.hidden", root / ".hidden", outside):
        path.mkdir(parents=True, exist_ok=True)
        TripletFolder(path).csv("reference,candidate_0,candidate_1\n", "data.csv")
    (root / "out").symlink_to(outside)
    (root / "loop").symlink_to("loop")
    before = contents(sessions, slug)
    for source in HOSTILE:
        with pytest.raises(BadInput) as refused:
            ask(sessions, place, slug, source)
        assert str(root.resolve().parent) not in refused.value.message
        assert len(refused.value.message) < 1000
    assert contents(sessions, slug) == before
    assert place.look("").folders == ["shoes"]


def test_what_leads_out_of_a_folder_is_not_read(
    sessions: Sessions, storage: LocalStorage, uploads: FolderUploads, tmp_path: Path, slug: str
) -> None:
    root, secret = tmp_path / "imports", tmp_path / "secret"
    place = FolderSource(root)
    for name in ("table", "image"):
        folder = TripletFolder(root / name)
        file = folder.csv(folder.csv_rows(1))
        victim = file if name == "table" else next(folder.path.glob("*/0-1.png"))
        victim.rename(secret)
        victim.symlink_to(secret)
        if name == "table":
            with pytest.raises(BadInput, match="holds no CSV file"):
                ask(sessions, place, slug, name)
            continue
        asked = ask(sessions, place, slug, name)
        import_requests.run(sessions, storage, place, uploads, incoming=tmp_path / "incoming", request_id=asked)
        failed = read(sessions, asked)
        assert (failed.state, "leads out" in str(failed.message)) == ("failed", True)
        assert str(tmp_path) not in str(failed.message)


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "a//x.png", "/x.png", ".x.png", ".git/x.png", "a\nb.png", "x.py", ""]
)
def test_objects_of_other_names_are_not_copied(name: str) -> None:
    assert not import_sources._is_imported(name)
    assert import_sources._is_imported("ref/000/Ü 1.JPG")


def test_what_is_wrong_is_said_and_can_be_put_right(
    sessions: Sessions, place: ImportSource, root: Path, slug: str, fulfil: Import
) -> None:
    folder = TripletFolder(root / "shoes")
    rows = folder.csv_rows(2)
    folder.csv(rows)
    good = folder.path / rows[1]["candidate_0"]
    data = good.read_bytes()
    good.write_bytes(blank_png(9, 9)[:30])
    before = contents(sessions, slug)
    asked = ask(sessions, place, slug, "shoes")
    fulfil(asked)
    failed = read(sessions, asked)
    assert (failed.state, failed.items) == ("failed", None)
    assert str(failed.message).startswith(f"triplets.csv, line 3: {rows[1]['candidate_0']}: ")
    after = contents(sessions, slug)
    assert (after["items"], after["studies"]) == (before["items"], before["studies"])
    good.write_bytes(data)
    asked = ask(sessions, place, slug, "shoes")
    fulfil(asked)
    assert (read(sessions, asked).state, len(pool(sessions, slug))) == ("done", 2)


def test_stopped_given_back_and_gone_on_with(
    sessions: Sessions,
    storage: LocalStorage,
    uploads: FolderUploads,
    tmp_path: Path,
    slug: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First the worker is to stop, then a person stops it; the third time it is done, and each row is in once."""
    monkeypatch.setattr(progress_writer, "EVERY_S", 0)
    monkeypatch.setattr(imports, "IMAGES_PER_CHUNK", 3)
    monkeypatch.setattr(imports, "ROWS_PER_CHUNK", 2)
    place, folder = FolderSource(tmp_path), TripletFolder(tmp_path / "shoes")
    rows = folder.csv_rows(6)
    folder.csv(rows)

    def until_two_are_in(then: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: len(pool(sessions, slug)) >= 2 and then()

    def stop() -> bool:
        with sessions.begin() as session:
            import_requests.stop(session, study=study_lookup.by_slug(session, slug))
        return False

    def fulfil(request_id: int, stopping: Callable[[], bool] = lambda: False) -> None:
        incoming = tmp_path / "incoming"
        import_requests.run(
            sessions, storage, place, uploads, incoming=incoming, request_id=request_id, stopping=stopping
        )

    first = ask(sessions, place, slug, "shoes")
    with pytest.raises(GivenBack):
        fulfil(first, until_two_are_in(lambda: True))
    assert (read(sessions, first).state, len(pool(sessions, slug))) == ("running", 2)
    fulfil(first, until_two_are_in(stop))
    stopped = read(sessions, first)
    assert (stopped.state, stopped.message) == ("failed", "Stopped. What was in by then stays.")
    assert len(pool(sessions, slug)) == 2
    with pytest.raises(Conflict, match="No import"):
        stop()
    second = ask(sessions, place, slug, "shoes")
    fulfil(second)
    done = read(sessions, second)
    assert (done.state, done.items, done.already_there) == ("done", 4, 2)
    assert [storage.get(item.reference) for item in pool(sessions, slug)] == [
        (folder.path / row["reference"]).read_bytes() for row in rows
    ]


def test_copies_are_bounded_and_go_on(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.place()
    place, folder = BucketSource(bucket), TripletFolder(s3.folder / bucket.name / bucket.prefix / "shoes")
    folder.csv(folder.csv_rows(2))
    reports: list[tuple[str, int, int]] = []
    place.fetch("shoes", into=tmp_path, report=lambda *report: reports.append(report))
    assert reports == [("copying files", 0, 7)]
    (tmp_path / "triplets.csv").write_text("half")
    copied = place.fetch("shoes", into=tmp_path, report=lambda *report: reports.append(report))
    assert reports[1:] == [("copying files", 6, 7)]
    assert (copied / "triplets.csv").read_bytes() == (folder.path / "triplets.csv").read_bytes()
    monkeypatch.setattr(import_sources, "MOST_FILES", 6)
    with pytest.raises(BadInput, match="more than 6 files"):
        place.fetch("shoes", into=tmp_path, report=lambda *_: None)
    away = BucketSource(replace(bucket, name="nobody-made-it"))
    with pytest.raises(Unavailable, match="no bucket 'nobody-made-it'"):
        away.look("")


def test_the_setting_names_a_folder_or_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    def place(value: str) -> str:
        return str(open_import_source(s3.settings(tmp_path, "any", LOOKALIKE_IMPORTS=value)))

    assert place("") == str(tmp_path / "imports")
    assert place("/data/sets") == "/data/sets"
    assert place("s3://bucket/to/import/") == "s3://bucket/to/import"
    for wrong in ("s3://", "s3:/bucket", "s3:bucket", "s3://?/x"):
        with pytest.raises(ValidationError, match="s3://BUCKET/PREFIX"):
            Settings(LOOKALIKE_IMPORTS=wrong)


@pytest.fixture(params=["folder", "bucket"])
def any_uploads(request: pytest.FixtureRequest, tmp_path: Path) -> Uploads:
    if request.param == "folder":
        return FolderUploads(tmp_path / "uploads")
    server: S3Server = request.getfixturevalue("s3")
    return BucketUploads(server.place())


def test_an_upload_is_kept_until_a_worker_has_imported_it(
    sessions: Sessions,
    storage: LocalStorage,
    any_uploads: Uploads,
    tmp_path: Path,
    slug: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when that worker is told to stop in between: another one unpacks it again."""
    folder = TripletFolder(tmp_path / "made")
    folder.csv(folder.csv_rows(2))

    def upload(name: str, data: bytes) -> int:
        with sessions.begin() as session:
            study = study_lookup.by_slug(session, slug)
            file = io.BytesIO(data)
            return import_requests.request_upload(session, any_uploads, study=study, name=name, archive=file).id

    def fulfil(request_id: int, stopping: Callable[[], bool] = lambda: False) -> ImportRequest:
        import_requests.run(
            sessions, storage, FolderSource(tmp_path), any_uploads, incoming=tmp_path / "incoming",
            request_id=request_id, stopping=stopping,
        )  # fmt: skip
        return read(sessions, request_id)

    with pytest.raises(BadInput, match="not a ZIP file"):
        upload("x.zip", b"no zip file")
    asked = upload("C:\\\0<b>.zip", zipped(folder.path))
    assert read(sessions, asked).source == "C:\\<b>.zip"
    (key,) = (key for key, _ in any_uploads.stored())
    with pytest.raises(Conflict, match="is still being imported"):
        upload("again.zip", zipped(folder.path))
    assert [key for key, _ in any_uploads.stored()] == [key], "what is refused is not kept"
    with pytest.raises(GivenBack):
        fulfil(asked, lambda: (tmp_path / "incoming" / str(asked) / "files/triplets.csv").exists())
    done = fulfil(asked)
    assert (done.state, done.items, done.already_there) == ("done", 2, 0)
    assert list(any_uploads.stored()) == []
    assert list((tmp_path / "incoming").glob("*")) == []

    any_uploads.put(io.BytesIO(b"its process was killed before the import was asked for"))
    failed = fulfil(upload("x.zip", zipped(folder.path, "triplets.csv")))
    assert (failed.state, failed.message) == (
        "failed", f"triplets.csv, line 2: reference '{next(iter(folder.path.glob('*/0-r.png'))).parent.name}/0-r.png' "
        "does not exist.",
    )  # fmt: skip
    assert len(list(any_uploads.stored())) == 1, "it may be asked for still"
    monkeypatch.setattr(import_requests, "_ABANDONED", timedelta(seconds=-60))
    stopped = upload("x.zip", zipped(folder.path))
    with sessions.begin() as session:
        import_requests.stop(session, study=study_lookup.by_slug(session, slug))
    assert fulfil(stopped).state == "failed"
    assert list(any_uploads.stored()) == []


def zipped(folder: Path, *names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and (not names or path.name in names):
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def test_uploads_lie_where_servers_and_workers_find_them(s3: S3Server, tmp_path: Path) -> None:
    assert open_uploads(Settings(LOOKALIKE_HOME=tmp_path)) == FolderUploads(tmp_path / "uploads")
    inside = open_uploads(s3.settings(tmp_path, "any", S3_PREFIX="lab"))
    assert isinstance(inside, BucketUploads)
    assert str(inside.bucket) == "s3://any/lab/uploads"
