"""The worker as a process: it stops when told to, gives back what it had begun, and takes no jobs without its model."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from app.db import Sessions
from app.domain import protocol
from app.queue import defer_recruiting
from app.services import study_lookup, workers
from app.services.generation import plans
from app.services.generation.progress import progress
from app.services.recruiting import plan
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.conftest import make_database
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, TERMS
from tests.support.recruiting.silence import silent_server

SLUG = "drawn"


@pytest.fixture
def alone(server_url: str, worker_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sessions]:
    """A database that no other test's worker looks at, named by the environment."""
    url = make_database(server_url, f"worker_{worker_id}_{tmp_path.name[:20]}")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path / "home"))
    engine = create_engine(url)
    yield sessionmaker(engine)
    engine.dispose()


@contextmanager
def worker(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`lookalike worker`, ended like a service is, and gracefully so."""
    with subprocess.Popen([sys.executable, "-m", "app.cli.main", "worker", *arguments]) as process:
        yield process
        process.terminate()
        assert process.wait(60) == 0


def wait_until(sessions: Sessions, query: str, expected: object) -> None:
    deadline = time.monotonic() + 120
    while True:
        with sessions() as session:
            if session.scalars(text(query)).one() == expected:
                return
        assert time.monotonic() < deadline, query
        time.sleep(0.05)


def test_a_stopped_worker_gives_its_batch_back_and_another_makes_it(alone: Sessions) -> None:
    with alone.begin() as session:
        lifecycle.create(session, slug=SLUG, protocol=protocol.load("nights-2afc"), seed=1)
        plans.make_plan(session, slug=SLUG, order=plans.Order("procedural", ["fish", "tree"], 500, batch_size=500))
    begun = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'lookalike.generate' AND status = 'doing'"
    with worker("--queue", "gpu", "--concurrency", "1"):
        wait_until(alone, begun, 1)
        with alone() as session:
            (line,) = workers.present(session)
        assert (line.queue, line.device, line.problem) == ("gpu", None, None)
    with alone() as session:
        assert session.scalars(text(begun)).one() == 0
        assert workers.present(session) == []
        how = progress(session, study_lookup.by_slug(session, SLUG))
        assert (how.made, how.waiting) == (0, 1000)

    with alone.begin() as session:  # smaller, to see one through
        plans.cancel(session, slug=SLUG)
        plans.make_plan(session, slug=SLUG, order=plans.Order("procedural", ["fish", "tree"], 2, batch_size=2))
    with worker("--queue", "gpu"):
        wait_until(alone, "SELECT count(*) FROM items", 4)
    with alone() as session:
        numbers = session.scalars(text("SELECT number FROM items ORDER BY number")).all()
        assert numbers == [1000, 1001, 1002, 1003]
        assert all(session.scalars(text("SELECT distance_0 IS NOT NULL AND prompt LIKE 'An image of a %' FROM items")))


SLOW_TO_LOAD = """
import time
from app.settings import Settings
from worker.__main__ import run
from worker.engine import GenerationEngine

def load(engine, work):
    print("loading", flush=True)
    time.sleep(60)

GenerationEngine._load = load
run(Settings(), queue="gpu")
"""


def test_a_worker_that_loads_its_model_stops_at_once(alone: Sessions) -> None:
    with alone.begin() as session:
        lifecycle.create(session, slug=SLUG, protocol=protocol.load("nights-2afc"), seed=1)
        plans.make_plan(session, slug=SLUG, order=plans.Order("procedural", ["fish"], 4, batch_size=2))
    with subprocess.Popen([sys.executable, "-c", SLOW_TO_LOAD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.terminate()
        assert process.wait(20) == 0


def test_a_worker_without_its_model_takes_no_jobs_and_says_why(
    alone: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "diffusers.py").write_text("raise ModuleNotFoundError(name='diffusers')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with alone.begin() as session:
        lifecycle.create(session, slug=SLUG, protocol=protocol.load("nights-2afc"), seed=1)
        order = plans.Order("diffusers", ["fish"], 4, 2, model="any", revision="0" * 64)
        plans.make_plan(session, slug=SLUG, order=order)
    with subprocess.Popen([sys.executable, "-m", "app.cli.main", "worker", "--queue", "gpu"]) as process:
        wait_until(alone, "SELECT count(*) FROM workers WHERE problem IS NOT NULL", 1)
        with alone() as session:
            attempts = session.scalars(text("SELECT attempts FROM procrastinate_jobs WHERE queue_name = 'gpu'")).all()
            how = progress(session, study_lookup.by_slug(session, SLUG))
        assert (list(attempts), how.waiting) == ([0, 0], 4)
        assert how.workers[0].problem == "diffusers is not installed here: pip install '.[worker]'."
        process.terminate()
        process.wait(60)


def test_a_worker_whose_recruiter_hangs_stops_all_the_same(
    alone: Sessions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it has asked for and not heard of is as an answer that was lost; the next look finds out."""
    slug = make_study(alone, LocalStorage(tmp_path / "home" / "images"), items=24, **SMALL)
    with silent_server() as silence:
        for name, value in {
            "PUBLIC_URL": "https://lab.example", "PROLIFIC_URL": silence.url, "PROLIFIC_TOKEN": "a-token",
            "PROLIFIC_WORKSPACE": "ours",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        with alone.begin() as session:
            study = study_lookup.by_slug(session, slug)
            plan.begin(session, study=study, terms=TERMS, today=datetime.now(UTC).date())
            defer_recruiting(session)
        with subprocess.Popen([sys.executable, "-m", "app.cli.main", "worker"]) as process:
            deadline = time.monotonic() + 120
            while not silence.requests:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.terminate()
            assert process.wait(25) == 0, "its patience is six times thirty seconds"
    with alone() as session:
        (recruitment,) = plan.recruitments(session, study_lookup.by_slug(session, slug).id)
        assert (recruitment.state, recruitment.external_id, recruitment.places > 0) == ("planned", None, True)
