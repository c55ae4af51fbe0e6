"""What dies and what hangs: an embedded server's processes, and those who depend on it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.db import Sessions
from app.postgres import _answering
from app.queue import CHECK_ROUND, defer_round_check
from app.settings import Settings


class Postgres:
    """The embedded server of a home."""

    def __init__(self, home: Path) -> None:
        self._data = home / "postgres/data"

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def answers(self) -> bool:
        return _answering(self._data.parent) is not None

    def lives(self) -> bool:
        with suppress(FileNotFoundError, ProcessLookupError, ValueError, IndexError):
            os.kill(self.pid, 0)
            return True
        return False

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """As for an upgrade of the machine: a fast shutdown."""
        os.kill(self.pid, signal.SIGINT)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """It hangs while the block lasts, with all its processes: connections are taken, and nothing is answered."""
        stopped: list[int] = []
        try:
            while new := [pid for pid in (self.pid, *children_of(self.pid)) if pid not in stopped]:
                for pid in new:
                    os.kill(pid, signal.SIGSTOP)
                stopped += new
            yield
        finally:
            for pid in reversed(stopped):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def works(sessions: Sessions) -> bool:
    """Whether a worker does a job that it is given."""
    jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :task")
    with suppress(OperationalError):
        with sessions.begin() as session:
            defer_round_check(session, study_id=1)
        for _ in range(50):
            with sessions() as session:
                if not session.scalar(jobs, {"task": CHECK_ROUND}):
                    return True
            time.sleep(0.1)
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def command(*arguments: str, home: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A `lookalike` command on a home of its own; settings come from here alone."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("S3_", "AWS_", "DATABASE_URL"))}
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", *arguments, "--home", str(home)], env=ours | environment
    )


Request = tuple[str, str, Any]
"""Method, path, and what is sent as JSON."""


@dataclass(frozen=True)
class Answer:
    """Status, or what went wrong instead of an answer; `seconds` until its head was here."""

    status: int | str
    seconds: float
    headers: Mapping[str, str]
    body: bytes


def ask(port: int, method: str, path: str, given: Any = None) -> Answer:
    """Not with httpx: its clients cost more than our pages."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        try:
            body = None if given is None else json.dumps(given)
            connection.request(method, path, body, {} if given is None else {"Content-Type": "application/json"})
            response = connection.getresponse()
            seconds = time.monotonic() - began
            return Answer(response.status, seconds, dict(response.headers), response.read())
        except OSError as error:
            return Answer(type(error).__name__, time.monotonic() - began, {}, b"")


def ask_at_once(port: int, requests: Sequence[Request]) -> list[Answer]:
    with ThreadPoolExecutor(len(requests)) as clients:
        return list(clients.map(lambda request: ask(port, *request), requests))


@dataclass
class Site:
    """A study behind `lookalike serve`, and what two people there still have to look at and to answer."""

    port: int
    slug: str
    images: list[str]
    votes: list[Request]
    pid: int

    @property
    def pages(self) -> list[Request]:
        """What needs nobody but the server, what needs the database, and the one that says how both are."""
        paths = ("/healthz", "/", "/static/css/participant.css", "/readyz", f"/studies/{self.slug}?participant=new")
        return [("GET", path, None) for path in paths]


@contextmanager
def served(settings: Settings, slug: str, **environment: str) -> Iterator[Site]:
    port = free_port()
    server = command("serve", "--port", str(port), home=settings.home, **environment)
    try:
        wait_until(lambda: ask(port, "GET", "/readyz").status == 200, "the server does not start")
        images, votes = [], []
        for person in ("ada", "bob"):
            enrolled = ask(port, "POST", f"/studies/{slug}/assignments", {"participant": person, "consent": True})
            token = json.loads(enrolled.body)["token"]
            trials = json.loads(ask(port, "GET", f"/assignments/{token}/trials").body)["trials"]
            images += [address for trial in trials for address in trial["images"].values()]
            path = f"/assignments/{token}/judgments"
            for trial in trials:
                judgment = {"trial": trial["id"], "answers": ["left"], "rt_ms": 500, "timing": {}}
                votes.append(("POST", path, {"judgments": [judgment]}))
        yield Site(port, slug, images, votes, server.pid)
    finally:
        server.terminate()
        assert server.wait(30) == 0
