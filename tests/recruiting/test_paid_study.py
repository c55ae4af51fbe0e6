"""Whole studies on the strict fake: at the end ledger, recruiter and database agree to the penny."""

import pytest

from app.db import Sessions
from app.keys import Keys
from app.recruiters.prolific.recruiter import Prolific
from app.simulation.prolific.server import FakeProlific
from app.storage import LocalStorage
from tests.factories import make_study
from tests.recruiting.paid_study import Fates, PaidStudy

SMALL = {
    "recruiting__recruiter": "prolific",
    "assignment__trials": 8,
    "assignment__practice": 0,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}


def split(item: object) -> int:
    """Nobody agrees on every third item."""
    return 0


@pytest.mark.parametrize("per_round", [False, True])
def test_a_whole_study_with_everything_that_goes_wrong(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific, per_round: bool
) -> None:
    slug = make_study(
        sessions,
        storage,
        items=60,
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
        split,
        fates=Fates(returned_early=0.1, returned_late=0.08, timed_out=0.1, twice=0.3),
    )
    fake.mischief.rates = {"throttle": 0.1, "lose": 0.08, "error": 0.05, "html": 0.03}
    paid.run()
    paid.check_books()
    paid.check_votes()
    assert paid.people > 23, "60 items, three rounds, eight a sitting"
    assert len(fake.marketplace.studies) == (3 if per_round else 1)
