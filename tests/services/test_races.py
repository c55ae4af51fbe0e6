"""Many people at once: slots are never overfilled and nobody sees an item twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from app.db import Sessions
from app.errors import BadInput, Gone, NothingNow, Stale
from app.keys import Keys
from app.models.assignments import Assignment, Judgment, Trial
from app.models.items import Item, Slot
from app.recruiters.entry import Arrival
from app.services import study_lookup
from app.services.assignments import enrolment, judgments, lifecycle
from app.services.assignments.exclusions import exclude_by_hand
from app.services.assignments.judgments import Answer
from app.services.rounds import rounds
from app.services.studies import revisions
from app.services.study_lookup import current_protocol, current_version
from app.storage import LocalStorage
from tests.support.factories import make_study

NO_CHECKS = {"assignment__practice": 0, "assignment__sentinels": 0, "assignment__sentinel_misses_allowed": 0}


def sit_down(sessions: Sessions, keys: Keys, slug: str, name: str) -> str | None:
    """The token of a new assignment; None when there is nothing to judge."""
    try:
        with sessions.begin() as session:
            study = study_lookup.by_slug(session, slug)
            return enrolment.sign_up(session, keys, study=study, arrival=Arrival("direct", name, name)).token
    except (Gone, NothingNow):
        return None


def press_left(sessions: Sessions, token: str | None) -> int:
    """Answer every trial with the left image; returns how many there were."""
    if token is None:
        return 0
    with sessions() as session:
        trials = lifecycle.progress(session, lifecycle.by_token(session, token)).open
    for start in range(0, len(trials), 10):
        with sessions.begin() as session:
            chunk = [Answer(trial.id, ("left",)) for trial in trials[start : start + 10]]
            judgments.record(session, token=token, answers=chunk)
    return len(trials)


def test_200_clients_race_for_the_last_slots_of_1000_items(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=1000, rounds=1, min_votes=1, assignment__trials=10, **NO_CHECKS)
    with ThreadPoolExecutor(32) as pool:
        tokens = pool.map(lambda n: sit_down(sessions, keys, slug, f"{slug}-{n}"), range(200))
        answered = sum(pool.map(lambda token: press_left(sessions, token), tokens))
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        per_item = session.scalars(
            select(Item.votes_0 + Item.votes_1).where(Item.study_id == study.id, Item.role == "pool")
        ).all()
        assert max(per_item) == 1
        assert sum(per_item) == answered
        late = select(func.count()).select_from(Judgment).join(Slot, Slot.id == Judgment.slot_id)
        assert session.scalar(late.where(Slot.study_id == study.id, Judgment.late)) == 0
        # Whoever found nothing came while everything was leased; those who came in time had ten each.
        assert answered == 1000
        study_id = study.id
    with sessions.begin() as session:
        rounds.advance(session, study_id=study_id)
    with sessions() as session:
        assert study_lookup.by_slug(session, slug).finished_at is not None


def test_votes_on_the_same_items_at_once_are_all_counted(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(
        sessions,
        storage,
        items=30,
        preset="bapps-2afc",
        votes_per_round=8,
        min_votes=8,
        assignment__trials=30,
        **NO_CHECKS,
    )
    tokens = [sit_down(sessions, keys, slug, f"{slug}-{n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answered = list(pool.map(lambda token: press_left(sessions, token), tokens))
    assert answered == [30] * 8
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        items = session.scalars(select(Item).where(Item.study_id == study.id)).all()
        assert [item.votes_0 + item.votes_1 for item in items] == [8] * 30
        # Always left, and sides in mirrored pairs: each candidate was chosen four times.
        assert {(item.votes_0, item.votes_1) for item in items} == {(4, 4)}


def test_nobody_sees_an_item_twice_however_often_they_come(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=40, rounds=3, min_votes=1, assignment__trials=15, **NO_CHECKS)
    for visit in range(6):
        arrival = Arrival("prolific", participant=f"{slug}-regular", submission=f"visit {visit}")
        try:
            with sessions.begin() as session:
                enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, slug), arrival=arrival)
        except Gone:
            break
    else:
        pytest.fail("40 items last for three visits of 15 at most")
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        shown = session.execute(
            select(Trial.item_id, func.count())
            .join(Assignment, Assignment.id == Trial.assignment_id)
            .where(Assignment.study_id == study.id)
            .group_by(Trial.item_id)
        ).all()
        assert len(shown) == 40
        assert {count for _, count in shown} == {1}
        states = session.scalars(select(Assignment.state).where(Assignment.study_id == study.id)).all()
        assert sorted(states) == ["active", "expired", "expired"]


def test_dealing_does_not_wait_for_rows_that_others_are_dealt(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=40, assignment__trials=10, **NO_CHECKS)
    with sessions.begin() as holding:
        study = study_lookup.by_slug(holding, slug)
        enrolment.sign_up(holding, keys, study=study, arrival=Arrival("direct", f"{slug}-a", f"{slug}-a"))
        with sessions.begin() as session:
            session.execute(text("SET LOCAL lock_timeout = '100ms'"))
            study = study_lookup.by_slug(session, slug)
            token = enrolment.sign_up(
                session, keys, study=study, arrival=Arrival("direct", f"{slug}-b", f"{slug}-b")
            ).token
            assert len(lifecycle.progress(session, lifecycle.by_token(session, token)).open) == 10


def test_a_vote_that_waits_for_an_exclusion_is_void(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=2, rounds=2, min_votes=1, assignment__trials=2, **NO_CHECKS)
    token = sit_down(sessions, keys, slug, f"{slug}-a")
    assert token is not None
    with ThreadPoolExecutor(1) as pool:
        with sessions.begin() as excluding:
            assignment = lifecycle.by_token(excluding, token)
            exclude_by_hand(excluding, assignment_id=assignment.id, reason="a robot", actor="test")
            voting = pool.submit(press_left, sessions, token)
            wait_for_a_lock(sessions)
        assert voting.result(timeout=30) == 2
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        items = session.scalars(select(Item).where(Item.study_id == study.id, Item.role == "pool")).all()
        assert [item.votes_0 + item.votes_1 for item in items] == [0, 0]
        states = select(Slot.state, func.count()).where(Slot.study_id == study.id).group_by(Slot.state)
        assert {row.state: row.count for row in session.execute(states)} == {"filled": 2, "open": 2}


def wait_for_a_lock(sessions: Sessions) -> None:
    """Until some transaction waits for another's."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    for _ in range(300):
        with sessions() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.01)
    pytest.fail("nobody waits")


def test_a_lease_that_ends_while_a_round_opens(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    """Whoever read the study before the round opened leaves the new round's slots alone."""
    slug = make_study(sessions, storage, items=1, rounds=3, min_votes=1, assignment__trials=1, **NO_CHECKS)
    first = sit_down(sessions, keys, slug, f"{slug}-1")
    press_left(sessions, first)
    with sessions.begin() as session:
        study_id = study_lookup.by_slug(session, slug).id
        rounds.advance(session, study_id=study_id)
        assert first is not None
        excluded = lifecycle.by_token(session, first).id
        exclude_by_hand(session, assignment_id=excluded, reason="looked odd", actor="test")
    assert sit_down(sessions, keys, slug, f"{slug}-2") is not None  # leases the make-up slot, and never answers
    press_left(sessions, sit_down(sessions, keys, slug, f"{slug}-3"))
    with sessions.begin() as early:
        study = study_lookup.by_slug(early, slug)
        assert study.round == 2
        with sessions.begin() as session:
            rounds.advance(session, study_id=study_id)
            past = func.clock_timestamp() - timedelta(seconds=1)
            session.execute(update(Slot).where(Slot.state == "leased").values(leased_until=past))
        rounds.release_expired_leases(early, study_id=study_id)
    with sessions() as session:
        states = session.scalars(select(Slot.state).where(Slot.study_id == study_id).order_by(Slot.id)).all()
        assert sorted(states) == ["filled", "filled", "open", "open"]


def test_nobody_begins_under_a_protocol_that_is_being_replaced(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    """Either the first sitting comes first, and what votes mean is fixed, or it is dealt under the new version. Of two
    changes to one version one is told of the other."""

    def change(slug: str, votes: int) -> str:
        try:
            with sessions.begin() as session:
                protocol = current_protocol(session, study_lookup.by_slug(session, slug).id)
                changed = protocol.model_copy(update={"votes_per_round": votes})
                revisions.revise(session, slug=slug, protocol=changed, based_on=1)
        except (Stale, BadInput) as error:
            return type(error).__name__
        return "saved"

    outcomes = []
    for _ in range(6):
        slug = make_study(sessions, storage, items=4, assignment__trials=4, **NO_CHECKS)
        with ThreadPoolExecutor(3) as pool:
            changes = [pool.submit(change, slug, votes) for votes in (2, 3)]
            token = pool.submit(sit_down, sessions, keys, slug, slug).result()
        outcomes += [sorted(each.result() for each in changes)]
        with sessions() as session:
            assert token is not None
            sitting = lifecycle.by_token(session, token)
            assert sitting.protocol_version == current_version(session, sitting.study_id)
            wanted = current_protocol(session, sitting.study_id).votes_per_round
            slots = select(func.count()).select_from(Slot).where(Slot.study_id == sitting.study_id)
            assert session.scalar(slots.where(Slot.state != "closed")) == 4 * wanted
    assert all(each in (["Stale", "saved"], ["BadInput", "BadInput"]) for each in outcomes)
