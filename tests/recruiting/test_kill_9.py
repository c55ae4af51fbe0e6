"""A real kill -9, while the recruiter pays bonuses and before it has said so."""

import os
import signal
import subprocess
import sys

from app.db import Sessions
from app.keys import Keys
from app.recruiters.prolific.recruiter import Prolific
from app.services import studies
from app.services.recruiting import bonuses, notices
from app.settings import Settings
from app.simulation.prolific.server import TOKEN, Exchange, FakeProlific
from app.storage import LocalStorage
from tests.factories import make_study
from tests.recruiting.paid_study import SMALL, TERMS, PaidStudy, agree


def test_a_payment_whose_payer_was_killed_is_left_to_a_human(
    settings: Settings,
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    prolific: Prolific,
    fake: FakeProlific,
    fake_url: str,
) -> None:
    slug = make_study(sessions, storage, items=16, rounds=1, min_votes=1, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    for _ in range(3):
        paid.look()
        paid.come()
    with sessions.begin() as session:
        study = studies.by_slug(session, slug)
        people = bonuses.paid_assignments(session, study)
        bonuses.grant(
            session, study=study, amount=50, reason="thanks", assignments=people, terms=TERMS, today=paid.today
        )
    environment = {
        "DATABASE_URL": str(settings.database_url),
        "PROLIFIC_URL": fake_url,
        "PROLIFIC_TOKEN": TOKEN,
        "PROLIFIC_WORKSPACE": fake.marketplace.workspace,
        "PUBLIC_URL": "https://lab.example",
    }
    command = [sys.executable, "-m", "app.cli.main", "reconcile", slug, "--home", str(settings.home)]
    checked = fake.on_exchange

    def kill_the_payer(exchange: Exchange) -> None:
        checked(exchange)
        if exchange.path.endswith("/pay/"):
            os.kill(payer.pid, signal.SIGKILL)
            payer.wait()

    fake.on_exchange = kill_the_payer
    payer = subprocess.Popen(command, env={**os.environ, **environment})
    assert payer.wait(timeout=120) == -signal.SIGKILL
    for _ in range(2):
        paid.look()
    assert [bulk.times_paid for bulk in fake.marketplace.bulk_bonuses.values()] == [1]
    with sessions() as session:
        told = {notice.kind: notice.message for notice in notices.unresolved(session, paid.study_id)}
    assert "the process ended while it was being paid" in told["bonus-unclear"]
