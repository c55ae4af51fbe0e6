"""The verbs: what they do, what they print, and how they fail."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import create_engine, make_url, text
from typer.testing import CliRunner

from app.cli.main import cli
from tests.cli.conftest import Run, in_a_process
from tests.conftest import make_database
from tests.support.factories import make_slug
from tests.support.pictures import blank_png, encoded, noise
from tests.support.triplet_folder import TripletFolder

SITTING = (
    "--set", "assignment.practice=1", "--set", "assignment.sentinels=1", "--set", "assignment.sentinel_misses_allowed=0"
)  # fmt: skip


def verbs() -> Iterator[tuple[str, ...]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if not hasattr(command, "commands"):
            yield path
            return
        for name, child in command.commands.items():
            yield from walk(child, (*path, name))

    return walk(typer.main.get_command(cli), ())


@pytest.mark.parametrize("verb", list(verbs()), ids=" ".join)
def test_every_verb_explains_itself_with_an_example(verb: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*verb, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Example: lookalike {' '.join(verb)}" in result.stdout
    assert "--home" in result.stdout


def test_the_verbs_of_this_version() -> None:
    single = "demo up serve worker simulate status export generate report exclude reinstate"
    grouped = {
        "db": "upgrade dump restore",
        "study": "create derive open pause close list",
        "import": "nights csv pairs",
        "storage": "check create",
    }
    expected = {(verb,) for verb in single.split()}
    expected |= {(group, verb) for group, verbs_of_it in grouped.items() for verb in verbs_of_it.split()}
    assert expected <= set(verbs())


def test_a_study_from_its_making_to_its_export(run: Run, home: Path, tmp_path: Path) -> None:
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    made = run("study", "create", name, "--protocol", "nights-2afc", "--seed", 7, *SITTING)
    assert (made.exit_code, made.stdout) == (0, f"Made the draft study {name}. Next: lookalike import --help\n")

    file = folder.csv(folder.csv_rows(6))
    imported = run("import", "csv", file, "--study", name)
    assert (imported.exit_code, imported.stdout) == (0, f"Imported 6 items with 18 different images into {name}.\n")
    again = run("import", "csv", file, "--study", name)
    assert again.stdout.splitlines()[0] == "There already: 6 items of triplets.csv."
    assert again.stdout.splitlines()[1] == f"Nothing was new for {name}."
    said = run("import", "nights", folder.nights(folder.nights_rows(2, first=50)), "--study", name, "--json")
    assert json.loads(said.stdout) == {"items": 2, "images": 6, "already_there": 0}

    assert run("study", "open", name).stdout.startswith(f"{name} is open.")
    status = json.loads(run("status", name, "--json").stdout)
    assert {key: status[key] for key in ("slug", "status", "round", "rounds", "items", "survivors", "votes")} == {
        "slug": name, "status": "collecting", "round": 1, "rounds": 10, "items": 8, "survivors": 8, "votes": 0,
    }  # fmt: skip
    assert name in run("status", name).stdout

    assert run("study", "pause", name).exit_code == 0
    listed = {line["slug"]: line for line in json.loads(run("study", "list", "--json").stdout)}
    assert (listed[name]["status"], listed[name]["items"], listed[name]["kind"]) == ("paused", 8, "2afc")
    assert name in run("study", "list").stdout
    assert run("study", "open", name).exit_code == 0
    assert run("study", "close", name).exit_code == 0
    assert run("study", "close", name).exit_code == 0, "twice changes nothing"
    assert json.loads(run("status", name, "--json").stdout)["status"] == "closed"

    exported = json.loads(run("export", name, tmp_path / "out", "--json").stdout)
    assert (exported["version"], exported["path"]) == (1, str(tmp_path / "out"))
    assert exported["counts"]["items"] == exported["counts"]["short"] == 8
    assert (tmp_path / "out" / "data.csv").is_file()
    assert "version 1" in run("export", name, tmp_path / "again").stdout
    assert {path.name for path in home.iterdir()} == {"images"}, "a home of the image store alone"


def test_an_empty_list_says_how_to_begin(
    run: Run, server_url: str, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", make_database(server_url, f"cli_empty_{worker_id}"))
    assert run("study", "list").stdout == "No studies yet. Make one: lookalike study create --help\n"
    assert json.loads(run("study", "list", "--json").stdout) == []


def test_normalise(run: Run, tmp_path: Path) -> None:
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    run("study", "create", name, "--protocol", "nights-2afc")
    rows = folder.csv_rows(1)
    (folder.path / rows[0]["reference"]).write_bytes(encoded(noise(1, mode="RGBA")))
    refused = run("import", "csv", folder.csv(rows), "--study", name)
    assert refused.exit_code == 2
    assert "alpha channel" in refused.stderr
    assert run("import", "csv", folder.csv(rows), "--study", name, "--normalise").exit_code == 0


def test_a_study_with_weak_sentinels_is_made_with_a_warning(run: Run) -> None:
    few = ("--set", "assignment.sentinels=3", "--set", "assignment.sentinel_misses_allowed=1")
    name = make_slug()
    made = run("study", "create", name, "--protocol", "nights-2afc", *few)
    assert (made.exit_code, made.stdout) == (0, f"Made the draft study {name}. Next: lookalike import --help\n")
    assert made.stderr.startswith("50% of those who answer at random or always press the same side pass 3 sentinels")
    assert run("study", "create", make_slug(), "--protocol", "nights-2afc").stderr == ""


def one_line(stderr: str) -> str:
    """The error as it was said: one line, no traceback."""
    (line,) = stderr.strip().splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "status of an unknown study": (("status", "nobody"), 1, "There is no study 'nobody'."),
    "opening one": (("study", "open", "nobody"), 1, "There is no study 'nobody'."),
    "pausing one": (("study", "pause", "nobody"), 1, "There is no study 'nobody'."),
    "closing one": (("study", "close", "nobody"), 1, "There is no study 'nobody'."),
    "exporting one": (("export", "nobody", "OUT"), 1, "There is no study 'nobody'."),
    "simulating one": (("simulate", "nobody", "--participants", "1"), 1, "There is no study 'nobody'."),
    "importing into one": (("import", "csv", "FILE", "--study", "nobody"), 1, "There is no study 'nobody'."),
    "a name in brackets": (("status", "[/red]"), 1, "There is no study '[/red]'."),
    "a bad name": (("study", "create", "[Shoes]", "--protocol", "nights-2afc"), 2, "'[Shoes]' cannot name a study"),
    "no such preset": (("study", "create", "x", "--protocol", "none"), 2, "Presets: "),
    "no KEY=VALUE": (("study", "create", "x", "--protocol", "nights-2afc", "--set", "rounds"), 2, "KEY=VALUE"),
    "no such file": (("import", "csv", "none.csv", "--study", "nobody"), 2, "There is no file none.csv."),
    "no such folder": (("import", "nights", "none", "--study", "nobody"), 2, "There is no file none/data.csv."),
    "no such kind": (("simulate", "x", "--participants", "1", "--mix", "sleeper=0.5"), 2, "left-presser"),
    "no such share": (("simulate", "x", "--participants", "1", "--mix", "left-presser"), 2, "left-presser=0.1"),
    "too large a share": (("simulate", "x", "--participants", "1", "--mix", "fallible=1.1"), 2, "at most 1"),
    "not a share": (("simulate", "x", "--participants", "1", "--mix", "fallible=nan"), 2, "at most 1"),
    "excluding nobody": (("exclude", "123456", "--reason", "x"), 1, "There is no assignment 123456."),
    "reinstating nobody": (("reinstate", "123456", "--reason", "x"), 1, "There is no assignment 123456."),
    "reporting on no study": (("report", "nobody", "--out", "OUT"), 1, "There is no study 'nobody'."),
    "no such answers": (("simulate", "x", "--participants", "1", "--answers", "wild"), 2, "latent or recorded"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(run: Run, tmp_path: Path, case: str) -> None:
    arguments, code, complaint = WRONG[case]
    folder = TripletFolder(tmp_path / "folder")
    places = {"FILE": folder.csv(folder.csv_rows(1)), "OUT": tmp_path / "out" / "below"}
    result = run(*(places.get(argument, argument) for argument in arguments))
    assert (result.exit_code, result.stdout) == (code, "")
    assert complaint in one_line(result.stderr)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_taken_and_a_study_that_is_closed(run: Run, tmp_path: Path) -> None:
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    create = ("study", "create", name, "--protocol", "nights-2afc", *SITTING)
    assert run(*create).exit_code == 0
    taken = run(*create)
    assert (taken.exit_code, one_line(taken.stderr)) == (2, f"There is already a study '{name}'. Choose another name.")
    too_early = run("study", "open", name)
    assert (too_early.exit_code, "has no items yet" in one_line(too_early.stderr)) == (1, True)
    not_open = run("study", "pause", name)
    assert (not_open.exit_code, "is draft" in one_line(not_open.stderr)) == (1, True)
    run("study", "close", name)
    closed = run("study", "open", name)
    assert (closed.exit_code, "is closed" in one_line(closed.stderr)) == (1, True)
    late = run("import", "csv", folder.csv(folder.csv_rows(1)), "--study", name)
    assert (late.exit_code, name in one_line(late.stderr)) == (1, True)


def test_a_name_that_is_misspelt_brings_those_that_there_are(run: Run) -> None:
    name = make_slug()
    run("study", "create", name, "--protocol", "nights-2afc")
    said = one_line(run("status", name[:-1]).stderr)
    assert said.startswith(f"There is no study '{name[:-1]}'. There are: {name}")
    assert said.count(",") <= 4


def test_a_wrong_protocol_names_its_fields(run: Run) -> None:
    result = run(
        "study",
        "create",
        "x",
        "--protocol",
        "nights-2afc",
        "--set",
        "rounds=0",
        "--set",
        "title=[/bold]",
        "--set",
        "pay.x=1",
    )
    assert result.exit_code == 2
    assert "rounds: Input should be greater than or equal to 1 (got 0)" in result.stderr
    assert "pay.x: there is no such field" in result.stderr


def test_an_export_folder_in_use(run: Run, tmp_path: Path) -> None:
    name = make_slug()
    run("study", "create", name, "--protocol", "nights-2afc")
    (tmp_path / "[used]").mkdir()
    (tmp_path / "[used]" / "file").write_text("mine")
    result = run("export", name, tmp_path / "[used]")
    assert (result.exit_code, "[used] is not an empty folder" in one_line(result.stderr)) == (2, True)


EVERY_KIND = [
    ("study", "list"), ("study", "create", "x", "--protocol", "nights-2afc"), ("study", "open", "x"), ("status", "x"),
    ("export", "x", "out"), ("import", "csv", "FILE", "--study", "x"), ("simulate", "x", "--participants", "1"),
    ("worker",), ("generate", "x"),
    ("serve", "--port", "0"), ("up", "--port", "0"), ("db", "upgrade"), ("demo", "--port", "0"),
]  # fmt: skip
HEADING = "Lookalike · a study from drawn triplets to a filtered dataset\n"  # of the demo
BAD_ENVIRONMENTS = {
    "no URL": ({"DATABASE_URL": "nonsense"}, 2, "DATABASE_URL must be"),
    "another database": ({"DATABASE_URL": "mysql://me:hush@host/db"}, 2, "DATABASE_URL must be"),
    "no port": ({"DATABASE_URL": "postgresql://me:hush@host:port/db"}, 2, "DATABASE_URL must be"),
    "nothing there": ({"DATABASE_URL": "postgresql://me:hush@127.0.0.1:1/db"}, 1, "The database does not answer"),
    "short secret": ({"SECRET_KEY": "hush"}, 2, "SECRET_KEY must have at least 32 characters"),
}


@pytest.mark.parametrize("environment", BAD_ENVIRONMENTS)
@pytest.mark.parametrize("command", EVERY_KIND, ids=" ".join)
def test_a_bad_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], environment: str
) -> None:
    variables, code, complaint = BAD_ENVIRONMENTS[environment]
    monkeypatch.chdir(tmp_path)
    folder = TripletFolder(tmp_path / "folder")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    result = run(*(folder.csv(folder.csv_rows(1)) if argument == "FILE" else argument for argument in command))
    assert result.exit_code == code
    assert complaint in one_line(result.stderr.removeprefix(HEADING))
    assert "hush" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def bare_database(home: Path, server_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database without any table, which the environment names; it goes with the server."""
    name = make_slug()
    admin = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    admin.dispose()
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def test_an_outdated_schema_is_named_and_mended(run: Run, bare_database: str) -> None:
    for command in (("study", "list"), ("serve", "--port", "0"), ("worker",), ("up", "--port", "0"), ("status", "x")):
        result = run(*command)
        assert (result.exit_code, "Run `lookalike db upgrade`" in one_line(result.stderr)) == (1, True)
    assert run("db", "upgrade").stdout == "The database schema is up to date.\n"
    assert run("db", "upgrade").exit_code == 0, "twice changes nothing"
    assert run("study", "list").exit_code == 0


def test_a_schema_from_the_future(run: Run, bare_database: str) -> None:
    run("db", "upgrade")
    engine = create_engine(bare_database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for command in (("study", "list"), ("db", "upgrade")):
        result = run(*command)
        assert (result.exit_code, "newer version" in one_line(result.stderr)) == (1, True)


def test_a_port_that_is_taken(run: Run, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command in ("serve", "up", "demo"):
            result = run(command, "--port", port)
            assert result.exit_code == 1
            said = one_line(result.stderr)
            assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in said
            assert f"choose another --port: lookalike {command} --home {home} --port {port + 1}" in said
    assert run("serve", "--port", 70_000).exit_code == 2


def test_a_home_that_cannot_be(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("DATABASE_URL")
    result = run("db", "upgrade", "--home", tmp_path / "file")
    assert result.exit_code == 1
    assert "file/postgres cannot be used" in one_line(result.stderr)
    assert "Errno" not in result.stderr


@pytest.mark.parametrize("command", ["status x", "study list", "forecast x", "reconcile x", "export x out"])
def test_the_wrong_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.delenv("DATABASE_URL")
    result = run(*command.split(), "--home", tmp_path / "elsewhere")
    assert (result.exit_code, f"No Lookalike data in {tmp_path}/elsewhere." in result.stderr) == (1, True)
    assert not (tmp_path / "elsewhere").exists()


def test_home_by_option_and_by_variable(run: Run, home: Path, tmp_path: Path) -> None:
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    run("study", "create", name, "--protocol", "nights-2afc")
    file = folder.csv(folder.csv_rows(1))
    run("import", "csv", file, "--study", name, "--home", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "images").is_dir()
    assert not home.exists()


def test_as_a_process(run: Run, tmp_path: Path) -> None:
    """Standard output holds the JSON alone, whatever goes on; errors are one line and an exit code."""
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    run("study", "create", name, "--protocol", "nights-2afc")
    imported = in_a_process("import", "csv", folder.csv(folder.csv_rows(3)), "--study", name, "--json")
    assert json.loads(imported.stdout) == {"items": 3, "images": 9, "already_there": 0}
    bad = in_a_process("status", name, DATABASE_URL="nonsense")
    assert (bad.returncode, bad.stdout, "DATABASE_URL" in one_line(bad.stderr)) == (2, "", True)


def test_a_picture_too_large_is_one_line_too(run: Run, tmp_path: Path) -> None:
    """Pillow would print a warning of its own."""
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    rows = folder.csv_rows(1)
    (folder.path / rows[0]["reference"]).write_bytes(blank_png(10_000, 10_000))
    run("study", "create", name, "--protocol", "nights-2afc")
    result = in_a_process("import", "csv", folder.csv(rows), "--study", name)
    assert (result.returncode, result.stdout) == (2, "")
    assert "10000 × 10000 pixels are too many" in one_line(result.stderr)
