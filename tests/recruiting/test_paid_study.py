"""Whole studies on the strict fake: at the end ledger, recruiter and database agree to the penny."""

from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select

from app.db import Sessions
from app.errors import Conflict
from app.keys import Keys
from app.models.money import BonusBatch
from app.models.recruiting import Recruitment
from app.recruiters.prolific.recruiter import Prolific
from app.services import study_lookup
from app.services.recruiting import bonuses
from app.services.studies import lifecycle
from app.storage import LocalStorage
from simulation.prolific.server import FakeProlific
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, TERMS, Fates, PaidStudy, agree


@pytest.mark.parametrize("per_round", [False, True])
def test_a_whole_study_with_everything_that_goes_wrong(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific, per_round: bool
) -> None:
    slug = make_study(
        sessions,
        storage,
        items=32,
        rounds=3,
        min_votes=3,
        recruiting__per_round=per_round,
        brakes__return_rate=1.0,
        pay__budget=20_000,
        **SMALL,
    )
    paid = PaidStudy(
        sessions,
        keys,
        prolific,
        fake,
        slug,
        agree,
        fates=Fates(returned_early=0.1, returned_late=0.08, timed_out=0.1, twice=0.3),
    )
    fake.mischief.rates = {"throttle": 0.1, "lose": 0.08, "error": 0.05, "html": 0.03}
    paid.run()
    paid.check_books()
    paid.check_votes()
    assert paid.people > 12, "32 items, three rounds, eight a sitting"
    assert len(fake.marketplace.studies) == (3 if per_round else 1)


class Killed(BaseException):
    """The process is gone: nothing of ours catches it, and every open transaction is rolled back."""


class Mortal:
    """A recruiter whose caller is killed once before, and once after, each kind of call."""

    def __init__(self, recruiter: Prolific, calls: list[str]) -> None:
        self._recruiter = recruiter
        self.deaths = {(call, moment) for call in calls for moment in ("before", "after")}

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._recruiter, name)
        if not callable(call):
            return call

        def mortal(*given: Any, **named: Any) -> Any:
            self._die(name, "before")
            answer = call(*given, **named)
            self._die(name, "after")
            return answer

        return mortal

    def _die(self, call: str, moment: str) -> None:
        if (call, moment) in self.deaths:
            self.deaths.remove((call, moment))
            raise Killed


CALLS = ["create_study", "publish", "set_places", "pause", "resume", "approve", "stop", "charged"]
BONUS_CALLS = ["quote_bonuses", "pay_bonuses"]


def test_a_kill_before_or_after_any_call(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific
) -> None:
    slug = make_study(
        sessions, storage, items=24, rounds=2, min_votes=2, recruiting__places_at_once=2, pay__budget=20_000, **SMALL
    )
    mortal = Mortal(prolific, [*CALLS, *BONUS_CALLS])
    paid = PaidStudy(sessions, keys, mortal, fake, slug, agree)  # type: ignore[arg-type]

    def survive(looks: int) -> None:
        for _ in range(looks):
            with suppress(Killed):
                paid.look()

    survive(8)
    with sessions.begin() as session:
        lifecycle.pause(session, slug=slug)
    survive(4)
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    survive(4)
    for _ in range(30):
        paid.come(most=2)
        survive(2)
        if paid.is_settled():
            break
    stopped = PaidStudy(sessions, keys, mortal, fake, make_study(sessions, storage, **SMALL), agree)  # type: ignore[arg-type]
    stopped.look()
    with sessions.begin() as session:
        lifecycle.close(session, slug=stopped.slug)
    for _ in range(4):
        with suppress(Killed):
            stopped.look()
    stopped.check_books()
    assert {call for call, _ in mortal.deaths} == set(BONUS_CALLS), "the rest was tried"
    paid.check_votes()
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        people = bonuses.paid_assignments(session, study)
        for reason in ("first", "second"):
            bonuses.grant(
                session, study=study, amount=30, reason=reason, assignments=people, terms=TERMS, today=paid.today
            )
    for _ in range(8):
        with suppress(Killed):
            bonuses.send(sessions, keys, mortal, study_id=paid.study_id)  # type: ignore[arg-type]
    assert mortal.deaths == set()
    bulks = fake.marketplace.bulk_bonuses
    assert sorted(bulk.times_paid for bulk in bulks.values() if bulk.times_paid) == [1], "paid, or left to a human"
    with sessions.begin() as session:
        ours = select(BonusBatch).join(Recruitment).where(Recruitment.study_id == paid.study_id)
        unclear = session.scalars(ours.where(BonusBatch.state == "unclear").order_by(BonusBatch.id)).all()
        assert len(unclear) == 2
        for batch in unclear:
            assert batch.external_id is not None
            bonuses.settle(session, batch_id=batch.id, paid=bulks[batch.external_id].times_paid == 1)
        with pytest.raises(Conflict, match="nothing to settle"):
            bonuses.settle(session, batch_id=unclear[0].id, paid=True)
    bonuses.send(sessions, keys, prolific, study_id=paid.study_id)
    assert paid.bonuses_paid() == len(people)
    paid.check_books()
