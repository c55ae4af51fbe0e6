"""What happens when something dies or hangs, in short: `python -m benchmarks.outages` has all of it, with figures."""

import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text

from app.db import open_sessions
from app.settings import Settings
from app.storage import open_storage
from tests.support.factories import make_study
from tests.support.outages import Answer, Postgres, ask, ask_at_once, command, free_port, served, wait_until, works
from tests.support.s3_server import S3_ENVIRONMENT, running_s3

REQUESTS = 70
STUDY = {"items": 80, "assignment__trials": 40}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Whose database nobody uses at the moment; as short as a socket's path must be."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as environment:
        environment.delenv("DATABASE_URL", raising=False)
        home = Path(folder).resolve() / "home"
        with open_sessions(Settings(LOOKALIKE_HOME=home), migrate=True):
            pass
        yield home


@pytest.fixture(scope="module")
def slug(home: Path) -> str:
    settings = Settings(LOOKALIKE_HOME=home)
    with open_sessions(settings) as sessions:
        return make_study(sessions, open_storage(settings), **STUDY)


@pytest.mark.parametrize(
    ("number", "arguments", "statuses"),
    [
        (signal.SIGTERM, ["serve"], [0]),
        (signal.SIGHUP, ["serve"], [0]),
        (signal.SIGTERM, ["up"], [0]),
        (signal.SIGHUP, ["worker"], [0]),
        (signal.SIGTERM, ["status", "SLUG", "--watch"], [0, 130]),
    ],
    ids=["serve-term", "serve-hup", "up-term", "worker-hup", "status-term"],
)
def test_the_last_user_takes_the_database_along(
    home: Path, slug: str, number: signal.Signals, arguments: list[str], statuses: list[int]
) -> None:
    """130: what was interrupted says so."""
    postgres, port = Postgres(home), free_port()
    assert not postgres.lives()
    address = {"serve": ["--port", str(port)], "up": ["--port", str(port)]}
    asked = [slug if word == "SLUG" else word for word in arguments]
    running = command(*asked, *address.get(arguments[0], []), home=home)
    if arguments[0] in address:
        wait_until(lambda: ask(port, "GET", "/healthz").status == 200, "the server does not start")
    wait_until(postgres.answers, "the database does not start")
    running.send_signal(number)
    assert running.wait(60) in statuses
    assert not postgres.lives()
    assert not (home / "postgres/data/postmaster.pid").exists(), "it was not shut down in order"


def test_an_upload_that_never_ends_holds_up_no_server(home: Path) -> None:
    port = free_port()
    with open_sessions(Settings(LOOKALIKE_HOME=home)):
        server = command("serve", "--port", str(port), home=home)
        wait_until(lambda: ask(port, "GET", "/healthz").status == 200, "the server does not start")
        with socket.create_connection(("127.0.0.1", port)) as upload:
            upload.sendall(b"POST /studies/none/assignments HTTP/1.1\r\nHost: us\r\nContent-Length: 9\r\n\r\n{")
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(1)
            server.terminate()
            assert server.wait(20) == 0


@pytest.mark.usefixtures("slug")
def test_a_worker_outlives_its_database(home: Path) -> None:
    postgres = Postgres(home)
    with open_sessions(Settings(LOOKALIKE_HOME=home)) as sessions:
        worker = command("worker", home=home)
        wait_until(lambda: works(sessions), "the worker does not start")
        for end in (postgres.stop, postgres.kill):
            end()
            wait_until(lambda: not postgres.answers(), "the database does not end")
            wait_until(postgres.answers, "nobody brings the database back")
            wait_until(lambda: works(sessions) or worker.poll() is not None, "the worker does nothing")
            assert worker.poll() is None
        with sessions() as session:
            failed = text("SELECT task_name FROM procrastinate_jobs WHERE status = 'failed'")
            assert session.scalars(failed).all() == []
        worker.terminate()
        assert worker.wait(60) == 0


def test_a_database_that_hangs(home: Path, slug: str) -> None:
    settings = Settings(LOOKALIKE_HOME=home)
    with served(settings, slug) as site:
        requests = site.pages + [("GET", address, None) for address in site.images[:30]] + site.votes[:40]
        with Postgres(home).suspended():
            pages, others = parted(ask_at_once(site.port, requests), len(site.pages))
        assert [answer.status for answer in pages] == [200, 200, 200, 503, 503]
        assert Counter(answer.status for answer in others) == {503: REQUESTS}
        assert all(answer.headers["retry-after"] for answer in others)
        assert max(answer.seconds for answer in pages + others) < 10  # 1.3 s on a machine with nothing else to do
        wait_until(lambda: ask(site.port, "GET", "/readyz").status == 200, "the server does not recover")
        assert {ask(site.port, *vote).status for vote in site.votes[:40]} == {200}


def test_a_bucket_that_hangs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with running_s3(tmp_path / "s3") as s3:
        bucket = s3.make_bucket()
        settings = s3.settings(home, bucket)
        environment = S3_ENVIRONMENT | {"S3_BUCKET": bucket, "S3_ENDPOINT_URL": s3.url}
        with open_sessions(settings) as sessions:
            slug = make_study(sessions, open_storage(settings), **STUDY)
        with served(settings, slug, **environment) as site:
            images = [("GET", address, None) for address in site.images]
            seen, unseen = images[0], images[-REQUESTS:]
            assert ask(site.port, *seen).status == 200
            with s3.suspended():
                requests = [*site.pages, *site.votes[:40], seen, *unseen]
                pages, others = parted(ask_at_once(site.port, requests), len(site.pages))
            assert [answer.status for answer in pages] == [200, 200, 200, 503, 200]
            assert [answer.status for answer in others[:41]] == [200] * 41, "votes, and what is in the cache"
            assert Counter(answer.status for answer in others[41:]) == {503: REQUESTS}
            assert max(answer.seconds for answer in pages + others) < 10
            wait_until(lambda: ask(site.port, *unseen[0]).status == 200, "the server does not recover")


def parted(answers: list[Answer], first: int) -> tuple[list[Answer], list[Answer]]:
    return answers[:first], answers[first:]
