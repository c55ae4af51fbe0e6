"""Who a participant is: the only code that touches recruiter ids."""

import secrets
from base64 import b32encode

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Forbidden
from app.keys import Keys
from app.models.people import Identity, Participant
from app.recruiters.arrival import Arrival


def find_assignment(session: Session, keys: Keys, *, study_id: int, arrival: Arrival) -> int | None:
    """The assignment of this submission, if it has one.

    Raises:
        Forbidden: the submission is known with another person.
    """
    found = session.execute(
        select(Identity.assignment_id, Identity.participant_id).where(
            Identity.kind == "submission", Identity.lookup == _submission(keys, study_id, arrival)
        )
    ).one_or_none()
    if found is None:
        return None
    if found.participant_id != _known_participant(session, keys, arrival):
        raise Forbidden("This submission belongs to another participant.")
    assignment_id: int = found.assignment_id
    return assignment_id


def participant_of(session: Session, keys: Keys, *, arrival: Arrival) -> int:
    """The participant's id; a person seen for the first time becomes one.

    Sign-ups of one person happen one after the other until the transaction ends.
    """
    lookup = _participant(keys, arrival)
    session.execute(select(func.pg_advisory_xact_lock(int.from_bytes(lookup[:8], signed=True))))
    known = _known_participant(session, keys, arrival)
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
            lookup=_submission(keys, study_id, arrival),
            ciphertext=keys.encrypt(arrival.submission),
            participant_id=participant_id,
            assignment_id=assignment_id,
        )
    )
    session.flush()


def _known_participant(session: Session, keys: Keys, arrival: Arrival) -> int | None:
    return session.scalar(
        select(Identity.participant_id).where(
            Identity.kind == "participant", Identity.lookup == _participant(keys, arrival)
        )
    )


def _participant(keys: Keys, arrival: Arrival) -> bytes:
    return keys.lookup("participant", arrival.recruiter, arrival.participant)


def _submission(keys: Keys, study_id: int, arrival: Arrival) -> bytes:
    return keys.lookup("submission", arrival.recruiter, str(study_id), arrival.submission)
