"""Plans: their numbers, their jobs, taking them back."""

from pathlib import Path

import pytest
from sqlalchemy import text

from app.db import Sessions
from app.domain import protocol
from app.domain.generation import Options
from app.errors import BadInput, Conflict
from app.models.generation import GenerationPlan
from app.services import study_lookup
from app.services.generation import batches, plans
from app.services.generation.plans import Order
from app.services.generation.progress import progress
from app.services.items.imports import import_items
from app.services.items.item_files import read_nights
from app.services.items.items import next_number
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.support.factories import make_slug, make_study
from tests.support.triplet_folder import TripletFolder


def order(categories: list[str], per_category: int, *, batch_size: int = 4, prompt: str = "A {category}") -> Order:
    return Order("procedural", categories, per_category, batch_size, prompt=prompt)


@pytest.fixture
def slug(sessions: Sessions) -> str:
    slug = make_slug()
    with sessions.begin() as session:
        lifecycle.create(session, slug=slug, protocol=protocol.load("nights-2afc"), seed=1)
    return slug


def make(sessions: Sessions, slug: str, wanted: Order) -> GenerationPlan:
    with sessions.begin() as session:
        plan = plans.make_plan(session, slug=slug, order=wanted)
        session.expunge(plan)
    return plan


def jobs(sessions: Sessions, plan: GenerationPlan) -> list[int]:
    """First numbers of the plan's batches whose jobs wait, in the order of the queue."""
    with sessions() as session:
        return list(
            session.scalars(
                text(
                    "SELECT b.first_number FROM procrastinate_jobs j "
                    "JOIN generation_batches b ON b.id = (j.args ->> 'batch_id')::bigint "
                    "WHERE j.task_name = 'lookalike.generate' AND j.queue_name = 'gpu' AND j.status = 'todo' "
                    "AND b.plan_id = :plan ORDER BY j.id"
                ),
                {"plan": plan.id},
            )
        )


def test_a_plan_is_batches_with_a_job_each_and_more_goes_on_from_there(sessions: Sessions, slug: str) -> None:
    first = make(sessions, slug, order(["ant", "bee", "cat"], 3))
    assert (first.first_number, first.total) == (0, 9)
    assert jobs(sessions, first) == [0, 4, 8]
    second = make(sessions, slug, order(["dog"], 5, batch_size=8))
    assert (second.first_number, second.total, jobs(sessions, second)) == (9, 5, [9])
    with sessions() as session:
        ids = list(session.scalars(text("SELECT id FROM generation_batches ORDER BY id DESC LIMIT 2")))
        last_of_first, only_of_second = (batches.waiting(session, batch_id=one) for one in reversed(ids))
        assert last_of_first is not None
        assert only_of_second is not None
        assert [(item.number, item.prompt) for item in last_of_first.items] == [(8, "A cat")]
        assert [item.number for item in only_of_second.items] == [9, 10, 11, 12, 13]
        assert next_number(session, study_lookup.by_slug(session, slug)) == 14


def test_a_plan_that_is_not_committed_leaves_no_job(sessions: Sessions, slug: str) -> None:
    with sessions() as session:
        plan = plans.make_plan(session, slug=slug, order=order(["ant"], 9))
        session.flush()
        session.expunge(plan)
        session.rollback()
    assert jobs(sessions, plan) == []


def test_cancel_takes_the_jobs_back_and_resume_brings_them_again(sessions: Sessions, slug: str) -> None:
    plan = make(sessions, slug, order(["ant"], 9))
    with sessions.begin() as session:
        assert plans.cancel(session, slug=slug) == 9
    assert jobs(sessions, plan) == []
    with sessions.begin() as session:
        assert plans.cancel(session, slug=slug) == 0
        how = progress(session, study_lookup.by_slug(session, slug))
        assert (how.items, how.made, how.waiting, how.cancelled, how.is_over) == (9, 0, 0, 9, True)
        assert next_number(session, study_lookup.by_slug(session, slug)) == 9, "numbers are never given twice"
    with sessions.begin() as session:
        assert plans.resume(session, slug=slug) == 9
    assert jobs(sessions, plan) == [0, 4, 8]


def test_an_import_leaves_a_plans_numbers_alone(
    sessions: Sessions, storage: LocalStorage, slug: str, tmp_path: Path
) -> None:
    make(sessions, slug, order(["ant"], 60))
    folder = TripletFolder(tmp_path)
    file = read_nights(folder.nights(folder.nights_rows(2, first=50)))
    with pytest.raises(BadInput, match="the id 50 is kept for an item to be generated"):
        import_items(sessions, storage, slug=slug, file=file, normalise=False, report=lambda *_: None)


def test_a_study_opens_when_its_items_are_there(sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=20, is_open=False, assignment__sentinels=0, assignment__practice=0,
                      assignment__sentinel_misses_allowed=0)  # fmt: skip
    make(sessions, slug, order(["ant"], 3))
    with sessions.begin() as session, pytest.raises(Conflict, match=r"3 items of .* are still to be generated"):
        lifecycle.open_study(session, slug=slug)
    with sessions.begin() as session:
        plans.cancel(session, slug=slug)
        lifecycle.open_study(session, slug=slug)
    for refused in (lambda session: plans.make_plan(session, slug=slug, order=order(["ant"], 1)),
                    lambda session: plans.resume(session, slug=slug)):  # fmt: skip
        with sessions.begin() as session, pytest.raises(Conflict, match="has started"):
            refused(session)


@pytest.mark.parametrize(
    "wanted",
    [order([], 3), order(["ant"], 2**31), order(["ant"], 1, prompt="no place"), order(["ant"], 1, batch_size=0)],
)  # fmt: skip
def test_an_order_that_makes_no_sense(sessions: Sessions, slug: str, wanted: Order) -> None:
    with sessions.begin() as session, pytest.raises(BadInput):
        plans.make_plan(session, slug=slug, order=wanted)
    with sessions() as session:
        assert progress(session, study_lookup.by_slug(session, slug)).items == 0
    assert wanted.options == Options()
