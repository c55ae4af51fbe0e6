"""A worker that dies in the middle of an import: another takes it over, and every item is in once."""

import subprocess
import sys
from pathlib import Path

from app.db import Sessions
from app.services import import_requests, studies
from app.services.import_places import open_import_place
from app.settings import Settings
from tests.triplet_folder import TripletFolder, make_draft, pool
from tests.worker.test_worker_process import alone, wait_until

WORKER = """
from app.settings import Settings
from app.services import imports
from worker.__main__ import run

imports.ROWS_PER_CHUNK = 5
run(Settings(), stalled_s=2)
"""
ROWS = 60

__all__ = ["alone"]


def test_another_worker_takes_an_import_over(alone: Sessions, tmp_path: Path) -> None:
    settings, folder = Settings(), TripletFolder(tmp_path / "home/imports/shoes")
    folder.csv(folder.csv_rows(ROWS))
    slug = make_draft(alone)
    with alone.begin() as session:
        study = studies.by_slug(session, slug)
        asked = import_requests.ask(session, open_import_place(settings), study=study, source="shoes").id
    with subprocess.Popen([sys.executable, "-c", WORKER]) as victim:
        wait_until(alone, "SELECT count(*) > 0 FROM items", True)
        victim.kill()
    assert 0 < len(pool(alone, slug)) < ROWS
    wait_until(alone, "SELECT state FROM import_requests", "running")
    with subprocess.Popen([sys.executable, "-c", WORKER]) as heir:
        wait_until(alone, "SELECT state FROM import_requests", "done")
        heir.terminate()
        assert heir.wait(60) == 0
    with alone() as session:
        (request,) = import_requests.of_study(session, studies.by_slug(session, slug))
    assert (request.id, request.items + request.already_there) == (asked, ROWS)
    assert request.already_there > 0
    assert [item.number for item in pool(alone, slug)] == list(range(ROWS))
