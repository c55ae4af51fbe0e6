"""However recruiting, paying and failing interleave: never over the cap, no bonus paid twice."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.db import Sessions
from app.errors import Conflict
from app.keys import Keys
from app.models.money import Budget
from app.recruiters.prolific.recruiter import Prolific
from app.services import study_lookup
from app.services.recruiting import bonuses
from app.storage import LocalStorage
from simulation.prolific.server import FakeProlific
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, TERMS, PaidStudy, agree
from tests.support.recruiting.random_steps import episode


@pytest.mark.parametrize("seed", [1, 2, 56])
def test_random_steps(sessions: Sessions, storage: LocalStorage, keys: Keys, seed: int) -> None:
    episode(sessions, storage, keys, seed)


def test_many_who_spend_at_once_stay_under_the_cap(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific
) -> None:
    slug = make_study(sessions, storage, items=8, rounds=1, min_votes=1, pay__budget=183 + 5 * 152, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.run()

    def grant(number: int) -> bool:
        try:
            with sessions.begin() as session:
                study = study_lookup.by_slug(session, slug)
                people = bonuses.paid_assignments(session, study)
                bonuses.grant(
                    session,
                    study=study,
                    amount=100,
                    reason=f"reason {number}",
                    assignments=people,
                    terms=TERMS,
                    today=paid.today,
                )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        granted = sum(threads.map(grant, range(16)))
    with sessions() as session:
        budget = session.get_one(Budget, paid.study_id)
    assert budget.committed == granted * 152
    assert granted == 5, "as many as fit, and not one more"


def test_the_ledger_cannot_be_rewritten(sessions: Sessions) -> None:
    for statement in ("UPDATE ledger SET spent = 0", "DELETE FROM ledger"):
        with pytest.raises(Exception, match="append-only"), sessions.begin() as session:
            session.execute(text(statement))
