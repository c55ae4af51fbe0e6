"""The protocol versions of studies."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.protocol import Protocol
from app.models.studies import ProtocolVersion


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
