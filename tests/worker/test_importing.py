"""A worker that dies in the middle of an import: another takes it over, and every item is in once. From a bucket."""

import signal
import subprocess
import sys

import pytest

from app.db import Sessions
from app.services import study_lookup
from app.services.items import import_requests
from app.services.items.import_sources import open_import_source
from app.settings import Settings
from tests.support.s3_server import S3Server
from tests.support.triplet_folder import TripletFolder, make_draft, pool
from tests.worker.test_worker_process import alone, wait_until

WORKER = """
from app.settings import Settings
from worker.__main__ import run

run(Settings(), stalled_s=2)
"""
VICTIM = """
import os, signal
from app.services.items import imports

add_chunk, imports.ROWS_PER_CHUNK = imports._add_chunk, 3

def add_chunk_and_die(*args, **names):
    add_chunk(*args, **names)
    os.kill(os.getpid(), signal.SIGKILL)

imports._add_chunk = add_chunk_and_die
"""
ROWS = 7

__all__ = ["alone"]


def test_another_worker_takes_an_import_over(alone: Sessions, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.make_bucket()
    monkeypatch.setenv("LOOKALIKE_IMPORTS", f"s3://{bucket}/sets")
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.url)
    settings, folder = Settings(), TripletFolder(s3.folder / bucket / "sets/shoes")
    folder.csv(folder.csv_rows(ROWS))
    slug = make_draft(alone)
    with alone.begin() as session:
        study = study_lookup.by_slug(session, slug)
        asked = import_requests.request_import(session, open_import_source(settings), study=study, source="shoes").id
    assert subprocess.run([sys.executable, "-c", VICTIM + WORKER], check=False).returncode == -signal.SIGKILL
    assert len(pool(alone, slug)) == 3
    copies = settings.incoming / str(asked)
    assert len(list(copies.rglob("*.png"))) == 3 * ROWS
    wait_until(alone, "SELECT state FROM import_requests", "running")
    with subprocess.Popen([sys.executable, "-c", WORKER]) as heir:
        wait_until(alone, "SELECT state FROM import_requests", "done")
        heir.terminate()
        assert heir.wait(60) == 0
    with alone() as session:
        (request,) = import_requests.of_study(session, study_lookup.by_slug(session, slug))
    assert (request.id, request.items, request.already_there) == (asked, ROWS - 3, 3)
    assert not copies.exists()
    assert [item.number for item in pool(alone, slug)] == list(range(ROWS))
