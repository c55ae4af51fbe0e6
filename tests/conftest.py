"""What tests share: a real Postgres (the embedded one), real studies, a real server."""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import sessionmaker

from app.db import Sessions, make_engine, upgrade
from app.keys import Keys, load_keys
from app.main import create_app
from app.postgres import embedded_postgres
from app.settings import Settings
from app.storage import LocalStorage
from app.web.server import server_of
from tests.support.s3_server import S3_ENVIRONMENT, S3Server, running_s3

# A busy machine is no failure: property tests are bounded by their number of examples, not by the clock.
hypothesis.settings.register_profile("lookalike", deadline=None)
hypothesis.settings.load_profile("lookalike")

LONGEST = ("test_wheel", "test_whole_way", "test_crash", "test_dashboard", "test_documented_commands")

SHARED = Path(os.environ.get("LOOKALIKE_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores: many tests wait for a browser, a server that hangs, or a deadline."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every worker is given one part of the list: the longest tests, and those that mostly wait for a browser, stand
    first in each, so that nobody waits for one of them at the end."""
    long = [item for item in items if item.path.stem in LONGEST or item.path.parent.name == "browser"]
    long.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
    others = [item for item in items if item not in long]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = -(-len(others) // workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in (*long[worker::workers], *others[worker * share : (worker + 1) * share])
    ]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The material beside the project; a user's machine does not have it."""
    if not SHARED.is_dir():
        pytest.skip(f"the real test material is not at {SHARED} (set LOOKALIKE_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """One embedded server for the whole run: every xdist worker joins it."""
    base = tmp_path_factory.getbasetemp()
    with embedded_postgres((base if worker_id == "master" else base.parent) / "home") as url:
        yield url


@pytest.fixture(scope="session")
def database_url(server_url: str, worker_id: str) -> str:
    """A migrated database for this worker."""
    return make_database(server_url, f"test_{worker_id}")


def make_database(server_url: str, name: str) -> str:
    admin = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    admin.dispose()
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(LOOKALIKE_HOME=tmp_path_factory.mktemp("home"), DATABASE_URL=database_url)


@pytest.fixture(scope="session")
def sessions(settings: Settings) -> Iterator[Sessions]:
    assert settings.database_url is not None
    engine = make_engine(settings.database_url.get_secret_value())
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def storage(settings: Settings) -> LocalStorage:
    return LocalStorage(settings.images)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server, and an environment that has the keys to it and nothing else of S3's."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("AWS_", "S3_"))]:
            environment.delenv(name)
        for name, value in S3_ENVIRONMENT.items():
            environment.setenv(name, value)
        with running_s3(tmp_path_factory.mktemp("s3") / "buckets") as server:
            yield server


@pytest.fixture(scope="session")
def keys(settings: Settings) -> Keys:
    return load_keys(settings)


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="session")
def live_server(settings: Settings) -> Iterator[str]:
    with serving(settings) as url:
        yield url


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The application behind a real socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = server_of(create_app(settings), settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many commands of the documentation were run as written, and how many are marked with a reason instead."""
    totals = Counter[str]()
    for report in terminalreporter.getreports("passed"):
        totals.update({name: value for name, value in report.user_properties if name.startswith("documented")})
    for name, total in sorted(totals.items()):
        terminalreporter.write_line(f"{name}: {total}")
