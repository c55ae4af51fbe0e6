"""A database that is upgraded below servers of the version before: they say so, and make no mistakes of it."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import sessionmaker

from app.db import make_engine
from app.main import create_app
from app.settings import Settings
from app.storage import LocalStorage
from tests.conftest import make_database
from tests.support.factories import make_slug, make_study

READERS = 4


@pytest.fixture
def engine(server_url: str) -> Iterator[Engine]:
    engine = make_engine(make_database(server_url, make_slug()))
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("change", "statuses"),
    [
        ("ALTER TABLE studies RENAME COLUMN slug TO name", [{200, 503}]),
        ("ALTER TABLE protocol_versions RENAME TO versions", [{200, 503}]),
        ('UPDATE protocol_versions SET document = \'{"kind": "later"}\'', [{200, 503}]),
        ("ALTER TABLE studies ADD COLUMN fresh int", [{200}]),
        # Plans that were made must not change their type; who has made one yet is a matter of chance.
        ("ALTER TABLE studies ALTER COLUMN slug TYPE varchar(300)", [{200}, {200, 503}]),
    ],
    ids=["column", "table", "document", "addition", "type"],
)
def test_under_load(engine: Engine, tmp_path: Path, change: str, statuses: list[set[int]]) -> None:
    """As migrations do: all in one transaction, which holds its locks for a while."""
    settings = Settings(LOOKALIKE_HOME=tmp_path, DATABASE_URL=engine.url.render_as_string(hide_password=False))
    slug = make_study(sessionmaker(engine), LocalStorage(settings.images), items=40)
    seen: Counter[int] = Counter()
    ended = threading.Event()
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:

        def read() -> None:
            while not ended.is_set():
                answer = client.get(f"/studies/{slug}")
                assert answer.status_code == 200 or answer.headers["retry-after"]
                seen[answer.status_code] += 1

        readers = [threading.Thread(target=read) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        while seen.total() < 60:  # by now every connection has its plans
            ended.wait(0.01)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))
            connection.execute(text(change))
            ended.wait(0.3)
        before = seen.total()
        while seen.total() < before + 60:
            ended.wait(0.01)
        ended.set()
        for reader in readers:
            reader.join()
    assert seen.keys() in statuses


def test_a_mistake_of_ours_stays_one(engine: Engine, tmp_path: Path) -> None:
    settings = Settings(LOOKALIKE_HOME=tmp_path, DATABASE_URL=engine.url.render_as_string(hide_password=False))
    slug = make_study(sessionmaker(engine), LocalStorage(settings.images), items=40)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE studies RENAME COLUMN slug TO name"))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        assert client.get(f"/studies/{slug}").status_code == 500
