"""Excluding an assignment's votes and taking that back: reversible, and the items are restated at once."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models.assignments import Assignment, Exclusion, Trial
from app.models.studies import Study
from app.services import audit
from app.services.rounds import reconcile


def exclude(session: Session, *, assignment: Assignment, reason: str, actor: str) -> None:
    """Make the assignment's votes void. An exclusion in force stays as it is."""
    if in_force(session, assignment.id) is not None:
        return
    session.add(Exclusion(assignment_id=assignment.id, reason=reason, excluded_by=actor))
    session.flush()
    _record(session, "excluded the assignment", assignment, reason)
    _reconcile_items_of(session, assignment)


def reinstate(session: Session, *, assignment: Assignment, reason: str, actor: str) -> None:
    """Take the exclusion back: the votes return to their place. Without an exclusion in force nothing changes."""
    exclusion = in_force(session, assignment.id)
    if exclusion is None:
        return
    exclusion.reinstated_at = func.clock_timestamp()
    exclusion.reinstated_by, exclusion.reinstated_reason = actor, reason
    session.flush()
    _record(session, "reinstated the assignment", assignment, reason)
    _reconcile_items_of(session, assignment)


def in_force(session: Session, assignment_id: int) -> Exclusion | None:
    return session.scalar(
        select(Exclusion).where(Exclusion.assignment_id == assignment_id, Exclusion.reinstated_at.is_(None))
    )


def _record(session: Session, action: str, assignment: Assignment, reason: str) -> None:
    study = session.get_one(Study, assignment.study_id)
    audit.record(session, action, study=study, subject=str(assignment.id), reason=reason)


def _reconcile_items_of(session: Session, assignment: Assignment) -> None:
    items = session.scalars(
        select(Trial.item_id)
        .where(Trial.assignment_id == assignment.id, Trial.slot_id.is_not(None))
        .order_by(Trial.item_id)
    ).all()
    reconcile(session, study=session.get_one(Study, assignment.study_id), item_ids=list(items))
