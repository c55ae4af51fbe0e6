"""Three workers on one plan, one of them killed with -9 in the middle of a batch: every item once, nothing half."""

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.db import make_engine
from app.domain import protocol
from app.domain.categories import class_list
from app.domain.generation import Options
from app.services import studies
from app.services.generation import plans
from app.services.generation.progress import progress
from app.settings import Settings
from app.storage import LocalStorage
from tests.conftest import make_database
from tests.disks import files_below
from tests.worker import pipelines
from worker.generate import describe
from worker.remake import remake

CATEGORIES = 30
PER_CATEGORY = 10
ITEMS = CATEGORIES * PER_CATEGORY
SLUG = "crashed"


@contextmanager
def three_workers(home: Path, database: str) -> Iterator[list[int]]:
    """Their process ids."""
    environment = os.environ | {"DATABASE_URL": database, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.worker.three_workers", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(3)]
        yield workers
        for worker in workers[1:]:
            os.kill(worker, signal.SIGTERM)
        assert parent.wait(120) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")
def test_a_killed_worker_costs_nothing(server_url: str, worker_id: str, tmp_path: Path) -> None:
    database = make_database(server_url, f"generation_{worker_id}")
    settings = Settings(LOOKALIKE_HOME=tmp_path / "home", DATABASE_URL=database)
    engine = make_engine(database)
    model = describe(str(pipelines.stable_diffusion(tmp_path / "model")), options=Options(steps=1, dtype="float32"))
    order = plans.Order(
        "diffusers",
        class_list("cifar100")[:CATEGORIES],
        PER_CATEGORY,
        batch_size=5,
        model=model.name,
        revision=model.revision,
        options=model.options,
    )
    with sessionmaker(engine).begin() as session:
        studies.create(session, slug=SLUG, protocol=protocol.load("nights-2afc"), seed=5)
        plans.make_plan(session, slug=SLUG, order=order)
    with three_workers(settings.home, database) as workers:
        _wait(engine, lambda session: progress(session, studies.by_slug(session, SLUG)).made > ITEMS / 5)
        os.kill(workers[0], signal.SIGKILL)
        taken_over = _wait(engine, lambda session: progress(session, studies.by_slug(session, SLUG)).is_over)
    assert taken_over, "the killed worker had no batch"
    with sessionmaker(engine)() as session:
        _check_books(session, LocalStorage(settings.images), settings.images)
    engine.dispose()


def _wait(engine: Engine, condition: Callable[[Session], bool]) -> bool:
    """Until the condition holds; whether a job was begun a second time meanwhile."""
    again, deadline = False, time.monotonic() + 300
    while True:
        with sessionmaker(engine)() as session:
            if condition(session):
                return again
            again |= session.scalars(text("SELECT coalesce(max(attempts), 0) > 0 FROM procrastinate_jobs")).one()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _check_books(session: Session, storage: LocalStorage, folder: Path) -> None:
    items = session.execute(text("SELECT * FROM items ORDER BY number")).all()
    assert [item.number for item in items] == list(range(ITEMS))
    assert set(Counter(item.prompt for item in items).values()) == {PER_CATEGORY}

    def rows(query: str) -> list[str]:
        return list(session.scalars(text(query)))

    shown = {sha for item in items for sha in (item.reference, item.candidate_0, item.candidate_1)}
    assert set(rows("SELECT sha256 FROM images")) == set(rows("SELECT image FROM derivatives")) == shown
    assert rows("SELECT DISTINCT state FROM generation_batches") == ["done"]
    assert rows("SELECT count(*) FROM generated_images") == [3 * ITEMS]
    assert rows("SELECT sum(jsonb_array_length(images)) FROM generation_calls") == [3 * ITEMS]
    assert rows("SELECT id FROM procrastinate_jobs WHERE task_name = 'lookalike.generate'") == []

    objects = shown | set(rows("SELECT sha256 FROM derivatives"))
    for key in objects:
        storage.get(key)  # which hashes it again
    stored = {path.parent.name + path.name for path in files_below(folder) if not path.name.startswith(".")}
    assert stored == objects, "objects that no row names"

    for (number, role), image in remake(session, slug=SLUG, numbers=list(range(0, ITEMS, 37)), device="cpu").items():
        kept = Image.open(io.BytesIO(storage.get(getattr(items[number], role))))
        assert np.array_equal(np.asarray(kept), np.asarray(image)), (number, role)
