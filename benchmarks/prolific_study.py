"""A whole paid study on the strict Prolific fake: five rounds, at least 300 people, and everything that goes wrong.

People return their places, run out of time, come twice and under others' names; some are rejected by hand; answers of
the API are lost, throttled and replaced by pages; events are dropped, doubled and reordered. At the end ledger,
recruiter and database must agree to the penny, every item must have its votes, and nobody may have judged one twice.

    python -m benchmarks.prolific_study            300 people
    python -m benchmarks.prolific_study 40         fewer items, so fewer people
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import func, select

from app.db import open_sessions
from app.keys import load_keys
from app.main import create_app
from app.models.assignments import Trial
from app.models.money import Budget, LedgerEntry
from app.recruiters.prolific.api import Api
from app.recruiters.prolific.recruiter import Prolific
from app.recruiters.retry import Patience
from app.settings import Settings
from app.storage import LocalStorage
from simulation.prolific.hooks import SignedEvent
from simulation.prolific.marketplace import Marketplace
from simulation.prolific.server import TOKEN, FakeProlific
from simulation.serving import serve
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, Fates, PaidStudy, agree

ROUNDS, TRIALS = 5, 8
UNKIND_WORDS = (
    "We are sorry: this submission failed several instruction checks in a row, as our messages to you explain. "
)


class Post:
    """Events on their way to the server: a third is lost, a third comes twice, and all are shuffled."""

    def __init__(self, market: Marketplace, web: TestClient, rng: random.Random) -> None:
        self.bag: list[SignedEvent] = []
        self.delivered = 0
        self._market, self._web, self._rng = market, web, rng
        market.on_event = lambda *told: self.bag.append(market.hooks.sign(*told))

    def deliver(self) -> None:
        events, self.bag = self.bag, []
        copies = [event for event in events for _ in range(self._rng.choice([0, 1, 2]))]
        self._rng.shuffle(copies)
        for event in copies:
            answer = self._web.post("/hooks/prolific", content=event.body, headers=event.headers)
            assert answer.status_code == 204, answer.text
        self.delivered += len(copies)


def main(people: int) -> None:
    rng = random.Random(1)
    fake = FakeProlific(Marketplace())
    fake.mischief.rates = {"throttle": 0.08, "lose": 0.05, "error": 0.03, "html": 0.02}
    with tempfile.TemporaryDirectory() as folder, serve(fake) as url:
        settings = Settings(
            LOOKALIKE_HOME=Path(folder),
            PROLIFIC_URL=url,
            PROLIFIC_WORKSPACE=fake.marketplace.workspace,
            PROLIFIC_WEBHOOK_SECRET=fake.marketplace.hooks.make_secret(),
        )
        with open_sessions(settings, migrate=True) as sessions:
            slug = make_study(
                sessions,
                LocalStorage(settings.images),
                items=people * TRIALS // ROUNDS,
                rounds=ROUNDS,
                min_votes=ROUNDS,
                brakes__return_rate=1.0,
                brakes__failures_in_a_row=1000,
                pay__budget=people * 400,
                **SMALL,
            )
            api = Api(url, SecretStr(TOKEN), patience=Patience(tries=10, first_wait_s=0.002))
            prolific = Prolific(api, workspace=fake.marketplace.workspace)
            fates = Fates(returned_early=0.08, returned_late=0.06, timed_out=0.08, twice=0.2)
            paid = PaidStudy(sessions, load_keys(settings), prolific, fake, slug, agree, fates=fates)
            started = time.monotonic()
            with TestClient(create_app(settings)) as web:
                post = Post(fake.marketplace, web, rng)
                rejected = _run(paid, post, prolific, rng)
            _check(paid, rejected, post, time.monotonic() - started)
            api.close()


def _run(paid: PaidStudy, post: Post, prolific: Prolific, rng: random.Random) -> int:
    rejected = 0
    while True:
        paid.look()
        post.deliver()
        if paid.is_settled():
            return rejected
        paid.come(most=20)
        paid.expire_leases()
        awaiting = [one for one in paid.fake.marketplace.submissions.values() if one.status == "AWAITING REVIEW"]
        if awaiting and rng.random() < 0.2:
            prolific.reject(rng.choice(awaiting).id, category="FAILED_CHECK", message=UNKIND_WORDS)
            rejected += 1


def _check(paid: PaidStudy, rejected: int, post: Post, seconds: float) -> None:
    paid.check_books()
    paid.check_votes()
    with paid.sessions() as session:
        budget = session.get_one(Budget, paid.study_id)
        entries = session.scalars(select(func.count()).select_from(LedgerEntry)).one()
        twice = select(Trial.participant_id, Trial.item_id).group_by(Trial.participant_id, Trial.item_id)
        assert session.execute(twice.having(func.count() > 1)).all() == []
    statuses = [one.status for one in paid.fake.marketplace.submissions.values()]
    print(f"{paid.people} people: " + ", ".join(f"{statuses.count(one)} {one}" for one in sorted(set(statuses))))
    print(
        f"{rejected} rejected by hand, {post.delivered} events delivered, {len(paid.reports)} looks, {entries} entries"
    )
    print(f"spent {budget.spent} of {budget.cap}, committed {budget.committed}; agrees with the recruiter to the penny")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
