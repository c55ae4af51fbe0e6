"""Studies found by name, and the protocol versions of a study."""

import re
from difflib import get_close_matches

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.protocol import Protocol
from app.errors import Conflict, NoSuchStudy
from app.models.studies import ProtocolVersion, Study

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def current_version(session: Session, study_id: int) -> int:
    return session.scalars(select(func.max(ProtocolVersion.version)).where(ProtocolVersion.study_id == study_id)).one()


def current_protocol(session: Session, study_id: int) -> Protocol:
    versions = select(ProtocolVersion.document).where(ProtocolVersion.study_id == study_id)
    newest = versions.order_by(ProtocolVersion.version.desc()).limit(1)
    return Protocol.model_validate(session.scalars(newest).one())


def protocol_version(session: Session, study_id: int, version: int) -> Protocol:
    return Protocol.model_validate(session.get_one(ProtocolVersion, (study_id, version)).document)


def all_versions(session: Session, study_id: int) -> dict[int, Protocol]:
    """The study's protocols by version."""
    versions = session.scalars(select(ProtocolVersion).where(ProtocolVersion.study_id == study_id))
    return {row.version: Protocol.model_validate(row.document) for row in versions}


def by_slug(session: Session, slug: str, *, lock: bool = False) -> Study:
    """The study of this name; locked, as it is once everybody else is done with it.

    Raises NoSuchStudy, also for what could name no study.
    """
    wanted = select(Study).where(Study.slug == slug)
    study = None
    if SLUG.fullmatch(slug):
        locked = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
        study = session.scalar(locked if lock else wanted)
    if study is None:
        raise NoSuchStudy(slug)
    return study


def names_like(session: Session, slug: str, *, most: int = 5) -> list[str]:
    """Names of studies in use: those spelt like `slug` first, then the newest."""
    newest = select(Study.slug).where(Study.archived_at.is_(None)).order_by(Study.id.desc())
    names = list(session.scalars(newest))
    return list(dict.fromkeys([*get_close_matches(slug, names, most), *names[:most]]))[:most]


def require_in_use(study: Study) -> None:
    """Raises Conflict for an archived study: it stays as it is."""
    if study.archived_at is not None:
        raise Conflict(f"The study {study.slug!r} is archived. Restore it first.")


def collecting_ids(session: Session) -> list[int]:
    """The studies whose rounds may still close."""
    return list(
        session.scalars(select(Study.id).where(Study.state.in_(["open", "paused"]), Study.finished_at.is_(None)))
    )


def status_word(study: Study) -> str:
    """What a researcher calls it: draft, collecting, paused, finished or closed."""
    if study.state == "closed":
        return "closed"
    if study.finished_at is not None:
        return "finished"
    return "collecting" if study.state == "open" else study.state
