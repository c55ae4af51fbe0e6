"""What a human should look at. While a notice that stops is unresolved, no place is opened."""

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.models.recruiting import Notice
from app.models.studies import Study
from app.services import audit


def tell(session: Session, *, study_id: int, kind: str, message: str, subject: str = "", stops: bool = False) -> None:
    """Say it, unless it is said already and not resolved: then what is said is what holds now. What happened, and does
    not happen again at every look, needs a `subject` of its own, or the next of its kind takes its place."""
    notice = insert(Notice).values(study_id=study_id, kind=kind, subject=subject, message=message, stops=stops)
    session.execute(
        notice.on_conflict_do_update(
            index_elements=[Notice.study_id, Notice.kind, Notice.subject],
            index_where=Notice.resolved_at.is_(None),
            set_={"message": notice.excluded.message},
            where=Notice.message != notice.excluded.message,
        )
    )


def unresolved(session: Session, study_id: int) -> list[Notice]:
    wanted = select(Notice).where(Notice.study_id == study_id, Notice.resolved_at.is_(None))
    return list(session.scalars(wanted.order_by(Notice.id)))


def is_stopped(session: Session, study_id: int) -> bool:
    stopping = select(Notice.id).where(Notice.study_id == study_id, Notice.resolved_at.is_(None), Notice.stops)
    return session.scalar(select(stopping.exists())) or False


def was_told(session: Session, *, study_id: int, kind: str) -> bool:
    """Whether this was ever said, resolved or not."""
    told = select(Notice.id).where(Notice.study_id == study_id, Notice.kind == kind)
    return session.scalar(select(told.exists())) or False


NEEDS_AN_ANSWER = ("bonus-unclear",)
"""Looking is not enough for these: they end when somebody says which it was."""


def resolve_seen(session: Session, *, study: Study) -> int:
    """Mark what a human has looked at as dealt with; returns how many notices there were."""
    kinds = {notice.kind for notice in unresolved(session, study.id)} - set(NEEDS_AN_ANSWER)
    resolved = sum(resolve(session, study_id=study.id, kind=kind) for kind in kinds)
    audit.record(session, "went on recruiting", study=study, notices=resolved)
    return resolved


def resolve(session: Session, *, study_id: int, kind: str | None = None, subject: str | None = None) -> int:
    """Mark notices as dealt with: all, those of a kind, or one; returns how many there were."""
    dealt_with = update(Notice).where(Notice.study_id == study_id, Notice.resolved_at.is_(None))
    if kind is not None:
        dealt_with = dealt_with.where(Notice.kind == kind)
    if subject is not None:
        dealt_with = dealt_with.where(Notice.subject == subject)
    resolved = session.execute(
        dealt_with.values(resolved_at=func.clock_timestamp())
        .returning(Notice.id)
        .execution_options(synchronize_session=False)
    )
    return len(resolved.all())
