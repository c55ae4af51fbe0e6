"""What a researcher is told about a study first."""

from sqlalchemy import text

from app.db import Sessions
from app.keys import Keys
from app.services import study_lookup
from app.services.assignments import lifecycle
from app.services.assignments.exclusions import exclude_by_hand
from app.services.rounds import rounds
from app.services.studies.alerts import alerts
from app.services.studies.status import study_status
from app.services.study_lookup import current_protocol
from app.storage import LocalStorage
from tests.support.assignments import answer, sign_up, sit
from tests.support.factories import make_study

ALL_IN_ONE = {
    "assignment__trials": 4,
    "assignment__practice": 0,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}
WAITING = ["Round 2 is complete, but no worker has closed it. Is one running?"]


def test_only_a_round_that_can_be_closed_waits_for_a_worker(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=4, rounds=2, min_votes=2, **ALL_IN_ONE)
    first = sit(sessions, keys, slug, f"{slug}-1", lambda _: 0)
    second = sign_up(sessions, keys, slug, f"{slug}-2")
    assert told(sessions, slug) == [], "the second round is dealt"
    answer(sessions, second, lambda _: 0)
    assert told(sessions, slug) == WAITING
    advance(sessions, slug)
    assert told(sessions, slug) == [], "it is finished"
    with sessions.begin() as session:
        exclude_by_hand(session, assignment_id=lifecycle.by_token(session, first).id, reason="odd", actor="test")
    assert told(sessions, slug) == [], "the last round waits for the votes that are to be made up for"
    answer(sessions, sign_up(sessions, keys, slug, f"{slug}-3"), lambda _: 0)
    assert told(sessions, slug) == WAITING


def test_a_round_before_the_last_does_not_wait_for_what_is_to_be_made_up_for(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=4, rounds=3, min_votes=2, **ALL_IN_ONE)
    first = sit(sessions, keys, slug, f"{slug}-1", lambda _: 0)
    answer(sessions, sign_up(sessions, keys, slug, f"{slug}-2"), lambda _: 0)
    with sessions.begin() as session:
        exclude_by_hand(session, assignment_id=lifecycle.by_token(session, first).id, reason="odd", actor="test")
    assert told(sessions, slug) == WAITING


def advance(sessions: Sessions, slug: str) -> None:
    with sessions.begin() as session:
        rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)


def told(sessions: Sessions, slug: str) -> list[str]:
    """What is told ten minutes after the last thing that happened."""
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        for table, moment in (("rounds", "opened_at"), ("assignments", "created_at"), ("assignments", "completed_at")):
            ago = f"UPDATE {table} SET {moment} = {moment} - interval '10 minutes' WHERE study_id = :study"
            session.execute(text(ago), {"study": study.id})
        status, protocol = study_status(session, study), current_protocol(session, study.id)
        return [each.message for each in alerts(session, study=study, status=status, protocol=protocol, balance=None)]
