"""Batches through a worker's engine into a study: once, whole, or not at all."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app.db import Sessions
from app.domain import protocol
from app.errors import Unavailable
from app.models.generation import GenerationBatch
from app.services import study_lookup, workers
from app.services.generation import batches, plans
from app.services.generation.batches import Work
from app.services.generation.progress import progress
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.support.factories import make_slug
from tests.support.worker import pipelines
from tests.worker.conftest import Planned
from worker.engine import GenerationEngine
from worker.generator import CannotGenerate, Stopped
from worker.heartbeat import Heartbeat, registered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")


@pytest.fixture
def heartbeat(sessions: Sessions) -> Iterator[Heartbeat]:
    with registered(sessions, queue="gpu", device="cpu") as own:
        yield own


@pytest.fixture
def engine(sessions: Sessions, storage: LocalStorage, heartbeat: Heartbeat) -> GenerationEngine:
    return GenerationEngine(sessions, storage, heartbeat, device="cpu")


def never() -> bool:
    return False


def counts(sessions: Sessions, work: Work) -> dict[str, Any]:
    with sessions() as session:
        study = study_lookup.by_slug(session, work.slug)
        how = progress(session, study)
        items = session.scalars(text("SELECT count(*) FROM items WHERE study_id = :id"), {"id": study.id}).one()
        return {"items": items, "made": how.made, "rejected": how.rejected, "waiting": how.waiting}


def test_two_workers_given_the_same_batch_make_its_items_once(
    sessions: Sessions,
    storage: LocalStorage,
    engine: GenerationEngine,
    heartbeat: Heartbeat,
    model: Path,
    planned: Planned,
) -> None:
    (work,) = planned(model)
    both = [engine, GenerationEngine(sessions, storage, heartbeat, device="cpu")]
    threads = [threading.Thread(target=one.make, args=(work.batch_id, never)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.make(work.batch_id, never)
    assert counts(sessions, work) == {"items": 4, "made": 4, "rejected": 0, "waiting": 0}
    with sessions() as session:
        calls = session.scalars(
            text("SELECT count(*) FROM generation_calls WHERE batch_id = :id"), {"id": work.batch_id}
        ).one()
    assert calls == 1, "nothing of the second is stored"


def test_a_jnd_study_gets_pairs_at_graded_distances(sessions: Sessions, engine: GenerationEngine) -> None:
    slug = make_slug()
    with sessions.begin() as session:
        lifecycle.create(session, slug=slug, protocol=protocol.load("nights-jnd"), seed=5)
        plan_id = plans.make_plan(session, slug=slug, order=plans.Order("procedural", ["cat", "sailboat"], 2, 4)).id
        (batch,) = session.scalars(select(GenerationBatch.id).where(GenerationBatch.plan_id == plan_id))
    engine.make(batch, never)
    with sessions() as session:
        items = session.execute(
            text("""
                SELECT i.distance_0, i.distance_1, count(d.sha256) AS lossless FROM items i
                JOIN studies s ON s.id = i.study_id
                JOIN derivatives d ON d.image IN (i.reference, i.candidate_0, i.candidate_1) AND d.kind = 'lossless'
                WHERE s.slug = :slug GROUP BY i.id
            """),
            {"slug": slug},
        ).all()
    assert [item.lossless for item in items] == [3] * 4
    assert all(0 < distance < 4.5 for item in items for distance in (item.distance_0, item.distance_1))


def test_what_is_cancelled_while_it_is_made_is_thrown_away_whole(
    sessions: Sessions, engine: GenerationEngine, model: Path, planned: Planned
) -> None:
    first, second = planned(model, items=8)
    engine.make(first.batch_id, never)

    def cancel() -> bool:
        with sessions.begin() as session:
            plans.cancel(session, slug=first.slug)
        return False

    engine.make(second.batch_id, cancel)
    assert counts(sessions, second) == {"items": 4, "made": 4, "rejected": 0, "waiting": 0}
    with sessions.begin() as session:
        assert plans.resume(session, slug=first.slug) == 4
    engine.make(second.batch_id, never)
    assert counts(sessions, second) == {"items": 8, "made": 8, "rejected": 0, "waiting": 0}


def test_rejected_with_the_reason(
    sessions: Sessions, engine: GenerationEngine, tmp_path: Path, planned: Planned
) -> None:
    (work,) = planned(pipelines.stable_diffusion(tmp_path / "model", safety=-1.0))
    engine.make(work.batch_id, never)
    assert counts(sessions, work) == {"items": 0, "made": 0, "rejected": 4, "waiting": 0}
    with sessions() as session:
        how = progress(session, study_lookup.by_slug(session, work.slug))
    assert how.reasons == {"reference: the safety checker objected (8 seeds tried)": 4}


def test_a_model_that_is_gone_is_said_and_the_batch_waits(
    sessions: Sessions, engine: GenerationEngine, tmp_path: Path, planned: Planned
) -> None:
    folder = pipelines.stable_diffusion(tmp_path / "model")
    (work,) = planned(folder)
    folder.rename(tmp_path / "away")
    with pytest.raises(CannotGenerate):
        engine.make(work.batch_id, never)
    assert counts(sessions, work)["waiting"] == 4
    with sessions() as session:
        (line,) = workers.present(session, queue="gpu")
    assert (line.device, line.model) == ("cpu", None)
    assert line.problem is not None
    assert str(folder) in line.problem

    (tmp_path / "away").rename(folder)
    engine.make(work.batch_id, never)
    with sessions() as session:
        (line,) = workers.present(session, queue="gpu")
    assert (line.model, line.problem) == (str(folder), None)


def test_a_storage_that_is_away_is_waited_for_and_a_stop_gives_the_batch_back(
    sessions: Sessions, engine: GenerationEngine, model: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work,) = planned(model)
    put, tries = LocalStorage.put, []

    def away_at_first(self: LocalStorage, data: bytes) -> str:
        tries.append(data)
        if len(tries) == 1:
            raise Unavailable("The bucket does not answer.")
        return put(self, data)

    monkeypatch.setattr(LocalStorage, "put", away_at_first)
    engine.make(work.batch_id, never)
    assert counts(sessions, work)["made"] == 4

    (other,) = planned(model, seed=4)
    with pytest.raises(Stopped):
        engine.make(other.batch_id, lambda: True)
    assert counts(sessions, other) == {"items": 0, "made": 0, "rejected": 0, "waiting": 4}


def test_a_failed_batch_keeps_its_reason_until_it_is_resumed(sessions: Sessions, model: Path, planned: Planned) -> None:
    (work,) = planned(model)
    with sessions.begin() as session:
        batches.fail(session, batch_id=work.batch_id, reason="Conflict: a number is taken")
    with sessions() as session:
        how = progress(session, study_lookup.by_slug(session, work.slug))
    assert (how.failed, how.reasons, how.is_over) == (4, {"Conflict: a number is taken": 4}, True)
    with sessions.begin() as session:
        plans.resume(session, slug=work.slug)
    with sessions() as session:
        assert (
            session.scalars(select(GenerationBatch.state).where(GenerationBatch.id == work.batch_id)).one() == "waiting"
        )
