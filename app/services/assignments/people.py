"""Who a participant is: the only code that touches recruiter ids."""

import secrets
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.errors import Forbidden
from app.keys import Keys
from app.models.people import Identity, Participant
from app.recruiters.entry import Arrival


def find_assignment(session: Session, keys: Keys, *, study_id: int, arrival: Arrival) -> int | None:
    """The assignment of this submission, if it has one.

    Raises:
        Forbidden: the submission is known with another person.
    """
    found = sitting_of(session, keys, recruiter=arrival.recruiter, study_id=study_id, submission=arrival.submission)
    if found is None:
        return None
    if found.participant_id != known_participant(session, keys, arrival):
        raise Forbidden("This submission belongs to another participant.")
    return found.assignment_id


@dataclass(frozen=True)
class Sitting:
    """Whose submission it is, and the assignment they have under it."""

    assignment_id: int
    participant_id: int


def sitting_of(session: Session, keys: Keys, *, recruiter: str, study_id: int, submission: str) -> Sitting | None:
    """The sitting of a recruiter's submission, if it came here."""
    lookup = submission_lookup(keys, recruiter, study_id, submission)
    found = session.execute(
        select(Identity.assignment_id, Identity.participant_id).where(
            Identity.kind == "submission", Identity.lookup == lookup
        )
    ).one_or_none()
    return None if found is None else Sitting(found.assignment_id, found.participant_id)


def submission_id(session: Session, keys: Keys, *, assignment_id: int) -> str | None:
    """The recruiter's id of an assignment's submission; None once it is erased."""
    ciphertext = session.scalar(
        select(Identity.ciphertext).where(Identity.kind == "submission", Identity.assignment_id == assignment_id)
    )
    return None if ciphertext is None else keys.decrypt(ciphertext)


def with_submission_id(session: Session, assignment_ids: Sequence[int]) -> set[int]:
    """Those of the assignments whose submission's id is still kept."""
    kept = select(Identity.assignment_id).where(
        Identity.kind == "submission", Identity.assignment_id.in_(assignment_ids), Identity.ciphertext.is_not(None)
    )
    return {assignment for assignment in session.scalars(kept) if assignment is not None}


ERASED = """EXISTS (
    SELECT FROM participants p JOIN assignments sat ON sat.participant_id = p.id
    WHERE sat.id = {assignment} AND sat.created_at <= p.erased_at
)"""
"""Of an assignment's id in SQL: whether it was erased with its person, who may have come back since."""


def is_erased(session: Session, assignment_id: int) -> bool:
    erased = text(f"SELECT {ERASED.format(assignment=':assignment')}")
    return bool(session.scalar(erased, {"assignment": assignment_id}))


def participant_of(session: Session, keys: Keys, *, arrival: Arrival) -> int:
    """The participant's id; a person seen for the first time becomes one.

    Sign-ups of one person happen one after the other until the transaction ends.
    """
    lookup = _participant(keys, arrival)
    session.execute(select(func.pg_advisory_xact_lock(int.from_bytes(lookup[:8], signed=True))))
    known = known_participant(session, keys, arrival)
    if known is not None:
        return known
    participant = Participant(pseudonym="p" + b32encode(secrets.token_bytes(10)).decode().lower())
    session.add(participant)
    session.flush()
    session.add(
        Identity(
            kind="participant",
            recruiter=arrival.recruiter,
            lookup=lookup,
            ciphertext=keys.encrypt(arrival.participant),
            participant_id=participant.id,
        )
    )
    session.flush()
    return participant.id


def remember_submission(
    session: Session, keys: Keys, *, study_id: int, arrival: Arrival, participant_id: int, assignment_id: int
) -> None:
    session.add(
        Identity(
            kind="submission",
            recruiter=arrival.recruiter,
            lookup=submission_lookup(keys, arrival.recruiter, study_id, arrival.submission),
            ciphertext=keys.encrypt(arrival.submission),
            participant_id=participant_id,
            assignment_id=assignment_id,
        )
    )
    session.flush()


def known_participant(session: Session, keys: Keys, arrival: Arrival) -> int | None:
    """The participant's id, if the person was ever here."""
    return session.scalar(
        select(Identity.participant_id).where(
            Identity.kind == "participant", Identity.lookup == _participant(keys, arrival)
        )
    )


def _participant(keys: Keys, arrival: Arrival) -> bytes:
    return keys.lookup("participant", arrival.recruiter, arrival.participant)


def submission_lookup(keys: Keys, recruiter: str, study_id: int, submission: str) -> bytes:
    return keys.lookup("submission", recruiter, str(study_id), submission)
