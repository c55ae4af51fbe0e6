"""`db dump` and `db restore`: everything or nothing, into a home of one's own and into a database that is named."""

import stat
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import sessionmaker

from app.db import database_url, make_engine
from app.keys import load_keys
from app.settings import Settings
from app.storage import LocalStorage
from tests.cli.conftest import Run
from tests.conftest import make_database
from tests.support.assignments import recorded_majority, sit
from tests.support.factories import make_slug, make_study

TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")


@pytest.fixture
def named(server_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    url = make_database(server_url, make_slug())
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def contents(url: str) -> dict[str, list[str]]:
    """Every row of every table."""
    engine = make_engine(url)
    with engine.connect() as connection:
        found = {
            table: sorted(connection.scalars(text(f'SELECT CAST(t AS text) FROM "{table}" t')))
            for table in connection.scalars(TABLES)
        }
    engine.dispose()
    return found


def judge(url: str, home: Path) -> None:
    """A study, one sitting, and so a queue with jobs."""
    engine, settings = make_engine(url), Settings(LOOKALIKE_HOME=home)
    sessions = sessionmaker(engine, expire_on_commit=False)
    slug = make_study(sessions, LocalStorage(settings.images), items=40, recorded=[(1, 0)] * 40, assignment__trials=10)
    sit(sessions, load_keys(settings), slug, "ada", recorded_majority)
    engine.dispose()


def test_there_and_back(run: Run, named: str, home: Path, tmp_path: Path) -> None:
    judge(named, home)
    before = contents(named)
    assert before["judgments"]
    file = tmp_path / "kept.dump"
    file.write_text("an older one")
    assert run("db", "dump", file).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".dump")] == []

    judge(named, home)
    changed = contents(named)
    refused = run("db", "restore", file)
    assert refused.exit_code == 1
    assert "There are data in the database" in refused.stderr
    assert contents(named) == changed
    for _ in range(2):  # what was restored is dumped and restored like any other
        assert run("db", "restore", file, "--replace").exit_code == 0
        assert contents(named) == before
        assert run("db", "dump", file).exit_code == 0
    judge(named, home)


@pytest.mark.parametrize("case", ["cut", "text", "foreign", "none"])
def test_a_file_that_will_not_do_changes_nothing(
    run: Run, named: str, home: Path, tmp_path: Path, case: str, server_url: str
) -> None:
    judge(named, home)
    before = contents(named)
    file = tmp_path / "file.dump"
    if case == "cut":
        assert run("db", "dump", file).exit_code == 0
        file.write_bytes(file.read_bytes()[:-20_000])
    elif case == "text":
        file.write_text("DROP TABLE judgments;")
    elif case == "foreign":
        assert run("db", "dump", file).exit_code == 0
        file.write_bytes(file.read_bytes().replace(b"alembic_version", b"another_version"))
    result = run("db", "restore", file, "--replace")
    assert result.exit_code in (1, 2)
    assert {"cut": "the database is as it was", "none": "There is no file"}.get(case, "is no dump of Lookalike's") in (
        " ".join(result.stderr.split())
    )
    assert contents(named) == before


def test_not_while_others_are_connected(run: Run, named: str, tmp_path: Path) -> None:
    assert run("db", "dump", tmp_path / "file.dump").exit_code == 0
    engine = make_engine(named)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        result = run("db", "restore", tmp_path / "file.dump")
    engine.dispose()
    assert result.exit_code == 1
    assert "Stop all servers and workers" in result.stderr


def test_no_programs_that_suit(run: Run, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.db_dumps.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("db", "dump", tmp_path / "file.dump")
    assert result.exit_code == 1
    assert "There is no pg_dump for PostgreSQL" in result.stderr
    assert not (tmp_path / "file.dump").exists()


def test_into_a_database_that_has_its_schema_already(
    run: Run, named: str, home: Path, tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(named, home)
    before = contents(named)
    assert run("db", "dump", tmp_path / "file.dump").exit_code == 0
    fresh = make_database(server_url, make_slug())
    monkeypatch.setenv("DATABASE_URL", fresh)
    assert run("db", "restore", tmp_path / "file.dump").exit_code == 0
    assert contents(fresh) == before


def test_a_home_is_lost_and_restored(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "kept.dump"
    create = ("study", "create", "shoes", "--protocol", "nights-2afc")
    with database_url(Settings(LOOKALIKE_HOME=old)):
        for arguments in (("db", "upgrade"), create, ("db", "dump", file)):
            assert run(*arguments, "--home", old).exit_code == 0
    with database_url(Settings(LOOKALIKE_HOME=new)):
        assert run("db", "restore", file, "--home", new).exit_code == 0
        assert "shoes" in run("study", "list", "--home", new).stdout
