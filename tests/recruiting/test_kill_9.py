"""A real kill -9 of the process that spends: between intent and call, and between call and record, of everything that
moves money. Whoever looks next goes on from there, and the books agree to the penny."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import Sessions, open_sessions
from app.keys import Keys, load_keys
from app.models.money import BonusBatch
from app.recruiters.prolific.recruiter import Prolific
from app.services import study_lookup
from app.services.recruiting import alerts, bonuses
from app.services.recruiting.reconcile import look_at
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from simulation.prolific.server import TOKEN, FakeProlific
from simulation.serving import Reply
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import PUBLIC_URL, SMALL, TERMS, PaidStudy, agree


@dataclass
class Operation:
    """A call that moves money: how Prolific is asked, and what has to happen so that the next look asks it."""

    method: str
    path: str
    prepare: Callable[[PaidStudy], None] = lambda _: None


def two_looks(paid: PaidStudy) -> None:
    """One creates the study, with places for the first round; people have come and completed."""
    paid.look()
    paid.come()


def round_over(paid: PaidStudy) -> None:
    two_looks(paid)
    paid.look()


def everybody_paid(paid: PaidStudy) -> None:
    round_over(paid)
    paid.look()


def bonuses_granted(paid: PaidStudy) -> None:
    everybody_paid(paid)
    with paid.sessions.begin() as session:
        study = study_lookup.by_slug(session, paid.slug)
        people = bonuses.paid_assignments(session, study)
        bonuses.grant(
            session, study=study, amount=50, reason="thanks", assignments=people, terms=TERMS, today=paid.today
        )


def closed_early(paid: PaidStudy) -> None:
    everybody_paid(paid)
    with paid.sessions.begin() as session:
        lifecycle.close(session, slug=paid.slug)


def ended_there(paid: PaidStudy) -> None:
    closed_early(paid)
    paid.look()


OPERATIONS = {
    "create": Operation("POST", "/api/v1/studies/"),
    "publish": Operation("POST", "/transition/"),
    "raise": Operation("PATCH", "/studies/", round_over),
    "approve": Operation("POST", "/bulk-approve/", two_looks),
    "set up bonuses": Operation("POST", "/bonus-payments/", bonuses_granted),
    "pay bonuses": Operation("POST", "/pay/", bonuses_granted),
    "stop": Operation("POST", "/transition/", closed_early),
    "settle": Operation("GET", "/cost/", ended_there),
}


def look_once(database_url: str, home: Path, prolific_url: str, workspace: str, slug: str) -> None:
    """What the worker does every minute, as a process of its own."""
    settings = Settings(
        DATABASE_URL=database_url,
        LOOKALIKE_HOME=home,
        PUBLIC_URL=PUBLIC_URL,
        PROLIFIC_URL=prolific_url,
        PROLIFIC_TOKEN=TOKEN,
        PROLIFIC_WORKSPACE=workspace,
    )
    with open_sessions(settings) as sessions:
        look_at(sessions, load_keys(settings), settings, slug=slug)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes without a thread or a connection of ours, and with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        ensure_running()
    return context


@pytest.mark.parametrize("moment", ["before the call", "after the call"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_whoever_pays_is_killed(
    name: str,
    moment: str,
    processes: ForkServerContext,
    settings: Settings,
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    prolific: Prolific,
    fake: FakeProlific,
    fake_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`before` the request does anything there, `after` it did and before its answer arrives."""
    operation = OPERATIONS[name]
    slug = make_study(sessions, storage, items=8, rounds=2, min_votes=2, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    operation.prepare(paid)
    handle = fake.handle
    told = (settings.database_url, settings.home, fake_url, fake.marketplace.workspace, slug)
    victim = processes.Process(target=look_once, args=told)

    killed: list[int] = []

    def kill() -> None:
        assert victim.pid is not None
        killed.append(victim.pid)
        os.kill(victim.pid, signal.SIGKILL)

    def fatal(method: str, target: str, headers: dict[str, str], body: bytes) -> Reply | None:
        is_it = method == operation.method and operation.path in target and not killed
        if is_it and moment == "before the call":
            kill()
            return None
        reply = handle(method, target, headers, body)
        if is_it:
            kill()
        return reply

    monkeypatch.setattr(fake, "handle", fatal)
    victim.start()
    victim.join(timeout=120)
    assert victim.exitcode == -signal.SIGKILL, "it never made the call"
    paid.look()
    with sessions.begin() as session:
        kinds = {notice.kind for notice in alerts.unresolved(session, paid.study_id)}
        if "bonus-unclear" in kinds:
            assert name == "pay bonuses"
            (bulk,) = fake.marketplace.bulk_bonuses.values()
            (batch,) = session.scalars(select(BonusBatch).where(BonusBatch.external_id == bulk.id))
            bonuses.settle(session, batch_id=batch.id, paid=bulk.times_paid == 1)
        else:
            assert name != "pay bonuses"
    paid.run()
    paid.check_books()
    assert len(fake.marketplace.studies) == 1
    assert all(bulk.times_paid <= 1 for bulk in fake.marketplace.bulk_bonuses.values())
