"""People who may not begin another sitting of a study. What they answered before is excluded, or not, on its own."""

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.errors import BadInput
from app.models.assignments import Assignment
from app.models.people import Block, Participant
from app.models.studies import Study
from app.services import audit


def block(session: Session, *, study: Study, assignment: Assignment, reason: str) -> None:
    """Let the assignment's participant begin no other. Twice changes nothing.

    Raises:
        BadInput: no reason.
    """
    if not reason.strip():
        raise BadInput("Say why: the reason is kept, and the person may ask for it.")
    values = {"study_id": study.id, "participant_id": assignment.participant_id, "reason": reason.strip()}
    blocked = session.execute(insert(Block).values(values).on_conflict_do_nothing().returning(Block.study_id))
    if blocked.one_or_none() is not None:
        audit.record(session, "blocked", study=study, subject=_pseudonym(session, assignment), reason=reason.strip())


def unblock(session: Session, *, study: Study, assignment: Assignment) -> None:
    """Let the assignment's participant come again. Twice changes nothing."""
    theirs = delete(Block).where(Block.study_id == study.id, Block.participant_id == assignment.participant_id)
    if session.execute(theirs.returning(Block.study_id)).one_or_none() is not None:
        audit.record(session, "unblocked", study=study, subject=_pseudonym(session, assignment))


def of_participant(session: Session, *, assignment: Assignment) -> Block | None:
    return session.get(Block, (assignment.study_id, assignment.participant_id))


def _pseudonym(session: Session, assignment: Assignment) -> str:
    return session.get_one(Participant, assignment.participant_id).pseudonym
