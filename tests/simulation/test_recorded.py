"""Real crowds replayed over HTTP: what comes out is what was recorded."""

import csv
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.db import Sessions
from app.services import study_lookup
from app.services.exports.export import export_study
from app.services.rounds import rounds
from app.services.studies import lifecycle
from app.storage import LocalStorage
from simulation.crowd import CrowdPlan, run_crowd
from tests.support.triplet_folder import bring, make_draft, pool, silent, table


@contextmanager
def worker(sessions: Sessions, slug: str) -> Iterator[None]:
    """Closes the study's rounds, as the worker does."""
    done = threading.Event()

    def close_rounds() -> None:
        while not done.wait(0.05):
            with sessions.begin() as session:
                rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)

    thread = threading.Thread(target=close_rounds)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_sample_of_the_material_crowd(
    sessions: Sessions, storage: LocalStorage, live_server: str, shared: Path, tmp_path: Path
) -> None:
    """`benchmarks/real_crowd.py` does this with all 10,672 triplets that five people judged."""
    shutil.copytree(shared / "data/material100/images", tmp_path / "images")
    with (shared / "data/material100/triplets.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["votes_0"]) + int(row["votes_1"]) == 5][:80]
    (tmp_path / "triplets.csv").write_text(table(rows))
    slug = make_draft(sessions, rounds="5", min_votes="5", **{"assignment.sentinels": "2", "assignment.practice": "2"})
    bring(sessions, storage, slug, tmp_path / "triplets.csv")
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    with worker(sessions, slug):
        report = run_crowd(live_server, sessions, CrowdPlan(slug=slug, participants=60, answers="recorded"))
    assert report.sittings < 60
    unanimous = [number for number, row in enumerate(rows) if "0" in (row["votes_0"], row["votes_1"])]
    assert 20 < len(unanimous) < 60
    assert [item.number for item in pool(sessions, slug) if item.dropped_round is None] == unanimous
    assert all(item.votes_0 + item.votes_1 == 5 for item in pool(sessions, slug) if item.dropped_round is None)


def test_real_pairs_come_out_with_the_shares_that_were_recorded(
    sessions: Sessions, storage: LocalStorage, live_server: str, shared: Path, tmp_path: Path
) -> None:
    sitting = {"assignment.trials": "30", "assignment.practice": "5", "assignment.sentinels": "6"}
    sitting |= {"assignment.same_sentinels": "3"}
    slug = make_draft(sessions, "bapps-jnd", votes_per_round="35", min_votes="35", **sitting)
    assert bring(sessions, storage, slug, shared / "data/jnd30/pairs.csv").items == 30
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    with worker(sessions, slug):
        run_crowd(live_server, sessions, CrowdPlan(slug=slug, participants=60, answers="recorded"))
    counts = export_study(sessions, storage, slug=slug, out=tmp_path / "out", report=silent).counts
    assert (counts["kept"], counts["valid_votes"]) == (30, 30 * 35)
    with (shared / "data/jnd30/pairs.csv").open() as lines:
        recorded = {row["pair_id"]: (row["different_votes"], row["votes"]) for row in csv.DictReader(lines)}
    with (tmp_path / "out/jnd.csv").open() as lines:
        exported = list(csv.DictReader(lines))
    assert {row["id"]: (row["different_votes"], row["votes"]) for row in exported} == recorded
    for row in exported:
        assert float(row["same"]) == pytest.approx(1 - int(recorded[row["id"]][0]) / 35)
