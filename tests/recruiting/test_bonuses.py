"""Bonuses after the study has ended: paid all the same, and to everybody who still can be."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.db import Sessions
from app.keys import Keys
from app.models.assignments import Assignment
from app.models.money import BonusBatch
from app.models.recruiting import Recruitment
from app.models.studies import Study
from app.recruiters.prolific.recruiter import Prolific
from app.services import study_lookup
from app.services.assignments import erasure, people
from app.services.recruiting import bonuses
from app.services.recruiting.reconcile import recruiting_slugs
from app.storage import LocalStorage
from simulation.prolific.server import FakeProlific
from tests.recruiting.test_look import told
from tests.services.test_erasure import pseudonym_of
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, PaidStudy, agree


@pytest.fixture
def over(sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific) -> PaidStudy:
    """Two people have judged everything, and the books are closed."""
    slug = make_study(sessions, storage, items=16, rounds=1, min_votes=1, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.run()
    return paid


def top_up(paid: PaidStudy, amount: int | None, reason: str = "thanks") -> bonuses.Granted:
    with paid.sessions.begin() as session:
        study = study_lookup.by_slug(session, paid.slug)
        return bonuses.top_up_all(
            session, study=study, amount=amount, reason=reason, terms=paid.terms, today=paid.today
        )


def states(paid: PaidStudy) -> list[str]:
    with paid.sessions() as session:
        wanted = select(BonusBatch.state).join(Recruitment).where(Recruitment.study_id == paid.study_id)
        return list(session.scalars(wanted.order_by(BonusBatch.id)))


def is_looked_at(paid: PaidStudy) -> bool:
    with paid.sessions() as session:
        return paid.slug in recruiting_slugs(session)


def test_what_is_owed_when_the_books_are_closed_is_paid(over: PaidStudy) -> None:
    assert not is_looked_at(over)
    top_up(over, 10)
    assert is_looked_at(over)
    with over.sessions.begin() as session:
        long_ago = func.clock_timestamp() - timedelta(days=1000)
        session.execute(update(Study).where(Study.id == over.study_id).values(finished_at=long_ago))
        erasure.forget_overdue(session)
        assert all(
            people.submission_id(session, over.keys, assignment_id=assignment)
            for assignment in bonuses.paid_assignments(session, session.get_one(Study, over.study_id))
        ), "ids are kept while something is owed"
    over.look()
    assert (states(over), over.bonuses_paid()) == (["paid"], 2)
    assert not is_looked_at(over)
    over.check_books()


def test_who_was_erased_keeps_nobody_from_their_bonus(over: PaidStudy) -> None:
    top_up(over, 10)
    with over.sessions.begin() as session:
        erasure.erase(session, pseudonym=pseudonym_of(over.sessions, over.slug))
    assert top_up(over, 20, "again") == bonuses.Granted(people=1, amount=20, erased=1)
    over.look()
    assert (states(over), over.bonuses_paid()) == (["paid", "paid"], 2)
    assert "1 of 2 people's data were erased" in told(over)["bonus-refused"]
    over.check_books()


def test_a_top_up_cures_pay_below_the_floor(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific
) -> None:
    slug = make_study(sessions, storage, items=40, rounds=1, min_votes=1, pay__hourly_floor=900, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.run()
    with sessions.begin() as session:
        hour_long = {"created_at": Assignment.completed_at - timedelta(hours=1)}
        session.execute(update(Assignment).where(Assignment.study_id == paid.study_id).values(hour_long))
    paid.look()
    assert "pays £1.20 an hour; the floor is £9.00" in told(paid)["below-floor"]
    assert top_up(paid, None).amount == 780
    paid.look()
    assert told(paid) == {}
    with sessions() as session:
        real = bonuses.pay_per_hour(session, session.get_one(Study, paid.study_id))
    assert real is not None
    assert (real.hourly, real.proposed_bonus) == (900, 0)
