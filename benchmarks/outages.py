"""What happens when bucket or database hang, when the database dies under a worker, and when commands are stopped.

Three tables: what answers within two seconds, and with which status, while seventy requests want what hangs; kills and
planned stops of PostgreSQL under an idle and a busy worker; signals to commands, after which no database may be left.

    python -m benchmarks.outages [--times 20]
"""

import argparse
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from app.db import Sessions, open_sessions
from app.models.studies import Study
from app.services.exports import requests as exports
from app.settings import Settings
from app.storage import open_storage
from tests.support.factories import make_study
from tests.support.outages import (
    Postgres,
    Request,
    Site,
    ask,
    ask_at_once,
    command,
    free_port,
    served,
    wait_until,
    works,
)
from tests.support.s3_server import S3_ENVIRONMENT, S3Server, running_s3

REQUESTS = 70
SOON_S = 2.0


def hanging(settings: Settings, s3: S3Server, environment: dict[str, str]) -> None:
    print("what hangs   asked for        answers            within 2 s   slowest")
    for name in ("bucket", "database"):
        slug = _study(settings, items=80)
        with served(settings, slug, **environment) as site:
            seen, *unseen = [("GET", address, None) for address in site.images[-REQUESTS - 1 :]]
            assert ask(site.port, *seen).status == 200
            suspended = s3.suspended() if name == "bucket" else Postgres(settings.home).suspended()
            with suspended:
                for load in ("at first", "from then on"):
                    asked = {
                        "/healthz, /, static": site.pages[:3],
                        "/readyz": site.pages[3:4],
                        "consent page": site.pages[4:] * 5,
                        "judgments": [site.votes.pop() for _ in range(10)],
                        "image, cached": [seen],
                        "images": unseen,
                    }
                    _report(f"{name}, {load}", site, asked)
            wait_until(lambda site=site: ask(site.port, "GET", "/readyz").status == 200, "it does not come back")


def _report(name: str, site: Site, asked: dict[str, list[Request]]) -> None:
    answers = ask_at_once(site.port, [request for requests in asked.values() for request in requests])
    for what, requests in asked.items():
        these, answers = answers[: len(requests)], answers[len(requests) :]
        statuses = ", ".join(f"{count} × {status}" for status, count in Counter(a.status for a in these).items())
        soon, slowest = sum(a.seconds < SOON_S for a in these), max(a.seconds for a in these)
        print(f"{name:<24} {what:<20} {statuses:<14} {soon:>3} of {len(these):<3} {slowest:6.2f} s", flush=True)


def dying(settings: Settings, times: int) -> None:
    postgres = Postgres(settings.home)
    slug = _study(settings, items=400)
    print("\nPostgreSQL      under a worker that is   times   worker lives   works again after")
    with open_sessions(settings) as sessions, _worker(settings, sessions) as worker:
        for is_busy in (False, True):
            for name, end in (("killed", postgres.kill), ("stopped", postgres.stop)):
                took = []
                for _ in range(times):
                    if is_busy:
                        _ask_for_export(sessions, slug)
                    end()
                    began = time.monotonic()
                    wait_until(lambda: not postgres.answers(), "it does not end")
                    wait_until(postgres.answers, "nobody brings it back")
                    wait_until(lambda: works(sessions) or worker.poll() is not None, "nothing happens", 120)
                    took.append(time.monotonic() - began)
                    if worker.poll() is not None:
                        break
                lives = "yes" if worker.poll() is None else f"NO, {worker.returncode}"
                kind = "busy" if is_busy else "idle"
                median, longest = sorted(took)[len(took) // 2], max(took)
                print(f"{name:<15} {kind:<24} {len(took):>5}   {lives:<14} {median:.1f} s, {longest:.1f} s at most")
        began = time.monotonic()
        wait_until(lambda: not _unfinished(sessions), "an export was lost", 600)
        print(f"every export was written {time.monotonic() - began:.0f} s later; failed jobs: {_failed(sessions)}")


@contextmanager
def _worker(settings: Settings, sessions: Sessions) -> Iterator[subprocess.Popen[bytes]]:
    worker = command("worker", home=settings.home)
    try:
        wait_until(lambda: works(sessions), "the worker does not start")
        yield worker
    finally:
        worker.terminate()
        assert worker.wait(60) == 0


def _ask_for_export(sessions: Sessions, slug: str) -> None:
    """And wait until a worker is at it."""
    with sessions.begin() as session:
        study = session.query(Study).filter_by(slug=slug).one()
        asked = exports.request_export(session, study=study).id
    state = text("SELECT state FROM export_requests WHERE id = :id")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with sessions() as session:
            if session.scalar(state, {"id": asked}) == "running":
                return
        time.sleep(0.01)


def _unfinished(sessions: Sessions) -> int:
    with sessions() as session:
        return session.scalar(text("SELECT count(*) FROM export_requests WHERE state <> 'done'")) or 0


def _failed(sessions: Sessions) -> int:
    with sessions() as session:
        return session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")) or 0


def stopping(settings: Settings, times: int) -> None:
    postgres, port = Postgres(settings.home), free_port()
    is_up = ["--port", str(port)]
    cases: list[tuple[str, Sequence[str], signal.Signals, int]] = [("serve", is_up, signal.SIGTERM, times)]
    cases += [(name, is_up, number, 1) for name in ("serve", "up") for number in (signal.SIGINT, signal.SIGHUP)]
    cases += [("up", is_up, signal.SIGTERM, 1), ("demo", is_up, signal.SIGTERM, 1)]
    cases += [("worker", [], number, 1) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    print("\ncommand   signal    times   database left   exit   took at most")
    for name, options, number, count in cases:
        left, statuses, took = 0, set(), []
        for _ in range(count):
            running = command(name, *options, home=settings.home)
            if options:
                wait_until(lambda: ask(port, "GET", "/readyz").status == 200, f"{name} does not start")
            wait_until(postgres.answers, "the database does not start")
            running.send_signal(number)
            began = time.monotonic()
            statuses.add(running.wait(120))
            took.append(time.monotonic() - began)
            left += postgres.lives()
        said = ", ".join(map(str, sorted(statuses)))
        print(f"{name:<9} {number.name:<9} {count:>5}   {left:<15} {said:<6} {max(took):.1f} s", flush=True)


def _study(settings: Settings, *, items: int) -> str:
    with open_sessions(settings) as sessions:
        return make_study(sessions, open_storage(settings), items=items, assignment__trials=40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    os.environ.pop("DATABASE_URL", None)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, running_s3(Path(name, "s3")) as s3:
        home, bucket = Path(name).resolve() / "home", s3.make_bucket()
        os.environ.update(S3_ENVIRONMENT)
        settings = s3.settings(home, bucket)
        with open_sessions(settings, migrate=True):
            pass
        hanging(settings, s3, S3_ENVIRONMENT | {"S3_BUCKET": bucket, "S3_ENDPOINT_URL": s3.url})
        local = Settings(LOOKALIKE_HOME=home)
        dying(local, times)
        stopping(local, times)


if __name__ == "__main__":
    main()
