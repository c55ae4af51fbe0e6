"""Recruiting, paying and failing in random order on the real database: never over the cap, no bonus paid twice."""

import random
from contextlib import suppress

import pytest
from sqlalchemy import select, text

from app.db import Sessions
from app.errors import Conflict
from app.keys import Keys
from app.models.money import BonusBatch, Budget
from app.models.recruiting import Recruitment
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear
from app.services import studies
from app.services.recruiting import bonuses, notices
from app.simulation.prolific.marketplace import Marketplace
from app.simulation.prolific.server import FakeProlific
from app.storage import LocalStorage
from tests.factories import make_study
from tests.recruiting.in_memory import InMemory
from tests.recruiting.paid_study import SMALL, TERMS, Fates, PaidStudy, agree

STEPS = 90
ONCE = ("create_study", "publish", "pause", "resume", "stop", "pay_bonuses")
"""The adapter tries these once: their outcome may stay unclear."""


class KilledError(BaseException):
    """The process is gone."""


class Steps:
    def __init__(self, sessions: Sessions, keys: Keys, slug: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.market = Marketplace()
        self.calm = False
        fates = Fates(returned_early=0.1, returned_late=0.1, timed_out=0.1, twice=0.2)
        recruiter = InMemory(self.market, self.trouble)
        self.paid = PaidStudy(sessions, keys, recruiter, FakeProlific(self.market), slug, agree, fates=fates, seed=seed)
        self.sessions = sessions

    def trouble(self, call: str, moment: str) -> None:
        draw = self.rng.random()
        if self.calm or draw > 0.12:
            return
        if draw < 0.04:
            raise KilledError
        if moment == "before":
            raise NothingHappened("a storm")
        raise OutcomeUnclear("lost") if call in ONCE else NothingHappened("lost, and lost again")

    def look(self) -> None:
        with suppress(KilledError):
            self.paid.look()

    def come(self) -> None:
        self.paid.come(most=self.rng.randint(1, 4))

    def time_passes(self) -> None:
        self.paid.expire_leases()

    def pause_or_open(self) -> None:
        with self.sessions.begin() as session:
            state = studies.by_slug(session, self.paid.slug).state
            (studies.open_study if state == "paused" else studies.pause)(session, slug=self.paid.slug)

    def go_on(self) -> None:
        with self.sessions.begin() as session:
            notices.resolve(session, study_id=self.paid.study_id)

    def grant(self) -> None:
        with suppress(Conflict), self.sessions.begin() as session:
            study = studies.by_slug(session, self.paid.slug)
            people = bonuses.paid_assignments(session, study)
            if people:
                chosen = self.rng.sample(people, self.rng.randint(1, min(3, len(people))))
                reason = self.rng.choice(["thanks", "top-up"])
                amount = self.rng.randint(1, 90)
                bonuses.grant(
                    session,
                    study=study,
                    amount=amount,
                    reason=reason,
                    assignments=chosen,
                    terms=TERMS,
                    today=self.paid.today,
                )

    def settle_unclear(self) -> None:
        with self.sessions.begin() as session:
            for batch in session.scalars(select(BonusBatch).where(BonusBatch.state == "unclear")):
                if batch.external_id in self.market.bulk_bonuses:
                    was_paid = self.market.bulk_bonuses[batch.external_id].times_paid > 0
                    bonuses.settle(session, batch_id=batch.id, paid=was_paid)

    def check(self) -> None:
        with self.sessions() as session:
            budget = session.get_one(Budget, self.paid.study_id)
            ids = session.scalars(
                select(Recruitment.external_id).where(Recruitment.study_id == self.paid.study_id)
            ).all()
        charged = sum(self.market.charged(study) for study in ids if study)
        assert charged <= budget.committed + budget.spent <= budget.cap
        assert all(bulk.times_paid <= 1 for bulk in self.market.bulk_bonuses.values())


@pytest.mark.parametrize("seed", [1, 2])
def test_random_steps(sessions: Sessions, storage: LocalStorage, keys: Keys, seed: int) -> None:
    slug = make_study(
        sessions,
        storage,
        items=48,
        rounds=3,
        min_votes=3,
        recruiting__per_round=seed % 2 == 0,
        recruiting__places_at_once=4,
        pay__budget=24 * 183,
        **SMALL,
    )
    steps = Steps(sessions, keys, slug, seed)
    actions = [
        steps.look,
        steps.come,
        steps.time_passes,
        steps.pause_or_open,
        steps.go_on,
        steps.grant,
        steps.settle_unclear,
    ]
    for action in steps.rng.choices(actions, weights=[8, 4, 1, 0.6, 1, 2, 1], k=STEPS):
        action()
        steps.check()
    steps.calm = True
    with sessions.begin() as session:
        studies.close(session, slug=slug)
    for _ in range(8):
        steps.time_passes()
        for submission in steps.market.submissions.values():
            steps.market.end(submission.id, "TIMED-OUT")
        steps.look()
        steps.settle_unclear()
    steps.check()
    steps.paid.check_books()
    with sessions() as session:
        budget = session.get_one(Budget, steps.paid.study_id)
        charged = sum(steps.market.charged(study) for study in steps.market.studies)
        assert (budget.committed, budget.spent) == (0, charged)


def test_the_ledger_cannot_be_rewritten(sessions: Sessions) -> None:
    for statement in ("UPDATE ledger SET spent = 0", "DELETE FROM ledger"):
        with pytest.raises(Exception, match="append-only"), sessions.begin() as session:
            session.execute(text(statement))
