"""Recruiting, paying and failing in random order on the real database: never over the cap, no bonus paid twice.

`test_random_steps` runs a few hundred steps, `python -m benchmarks.random_steps` ten thousand.
"""

import random
from collections import Counter
from contextlib import suppress

from sqlalchemy import select

from app.db import Sessions
from app.errors import Conflict
from app.keys import Keys
from app.models.money import BonusBatch, Budget
from app.models.recruiting import Recruitment
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear
from app.services import study_lookup
from app.services.recruiting import alerts, bonuses
from app.services.studies import lifecycle
from app.storage import LocalStorage
from simulation.prolific.marketplace import Marketplace
from simulation.prolific.server import FakeProlific
from tests.support.factories import make_study
from tests.support.recruiting.in_memory import InMemory
from tests.support.recruiting.paid_study import SMALL, TERMS, Fates, PaidStudy, agree

STEPS = 90
"""Of one study: then its budget is used up, and nothing new can happen."""
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
        self.done: Counter[str] = Counter()

    def trouble(self, call: str, moment: str) -> None:
        draw = self.rng.random()
        if self.calm or draw > 0.12:
            return
        if draw < 0.04:
            self.done["killed"] += 1
            raise KilledError
        self.done["failed calls"] += 1
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
            state = study_lookup.by_slug(session, self.paid.slug).state
            (lifecycle.open_study if state == "paused" else lifecycle.pause)(session, slug=self.paid.slug)

    def go_on(self) -> None:
        with self.sessions.begin() as session:
            alerts.resolve(session, study_id=self.paid.study_id)

    def grant(self) -> None:
        with suppress(Conflict), self.sessions.begin() as session:
            study = study_lookup.by_slug(session, self.paid.slug)
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

    def random_steps(self) -> None:
        weights = {
            self.look: 8,
            self.come: 4,
            self.time_passes: 1,
            self.pause_or_open: 0.6,
            self.go_on: 1,
            self.grant: 2,
            self.settle_unclear: 1,
        }
        for step in self.rng.choices(list(weights), weights=list(weights.values()), k=STEPS):
            step()
            self.done[step.__name__] += 1
            self.check()

    def settle(self) -> None:
        """The study is closed, nothing goes wrong any more: the books must close, at what was really charged."""
        self.calm = True
        with self.sessions.begin() as session:
            lifecycle.close(session, slug=self.paid.slug)
        for _ in range(8):
            self.time_passes()
            for submission in self.market.submissions.values():
                self.market.end(submission.id, "TIMED-OUT")
            self.look()
            self.settle_unclear()
        self.check()
        self.paid.check_books()
        with self.sessions() as session:
            budget = session.get_one(Budget, self.paid.study_id)
            charged = sum(self.market.charged(study) for study in self.market.studies)
            assert (budget.committed, budget.spent) == (0, charged)


def episode(sessions: Sessions, storage: LocalStorage, keys: Keys, seed: int) -> Steps:
    """A study's life of random steps, and its end."""
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
    steps.random_steps()
    steps.settle()
    return steps
