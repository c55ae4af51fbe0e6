"""The log of what people changed, written in the very transaction of each change.

Who acts is a property of the transaction, said once where it begins (`act_as`); the services that change something say
what. What participants and the worker do is no matter of this log: votes, exclusions and rounds keep their own record.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.accounts import AuditEntry
from app.models.studies import Study

_ACTOR = "actor"


def act_as(session: Session, actor: str) -> None:
    """From here on the session's changes are this person's: an e-mail address, or `command line`."""
    session.info.update(acting(actor))


def acting(actor: str) -> dict[str, str]:
    """The `info` of a session whose changes are this person's."""
    return {_ACTOR: actor}


def actor_of(session: Session) -> str | None:
    """Who acts; None where it is no person."""
    return session.info.get(_ACTOR)


def record(
    session: Session, action: str, *, study: Study | None = None, subject: str | None = None, **details: object
) -> None:
    """Log a change, if it is a person who makes it."""
    actor = actor_of(session)
    if actor is not None:
        study_id = None if study is None else study.id
        session.add(AuditEntry(actor=actor, action=action, study_id=study_id, subject=subject, details=details))


def entries(session: Session, *, study_id: int, before: int | None = None, limit: int = 50) -> Sequence[AuditEntry]:
    """A study's changes, the newest first; `before` is the id of the last one seen."""
    wanted = select(AuditEntry).where(AuditEntry.study_id == study_id)
    if before is not None:
        wanted = wanted.where(AuditEntry.id < before)
    return session.scalars(wanted.order_by(AuditEntry.id.desc()).limit(limit)).all()
