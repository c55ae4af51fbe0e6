"""The protocol versions of studies."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.protocol import Protocol
from app.models.studies import ProtocolVersion


def current_version(session: Session, study_id: int) -> int:
    return session.scalars(select(func.max(ProtocolVersion.version)).where(ProtocolVersion.study_id == study_id)).one()


def current_protocol(session: Session, study_id: int) -> Protocol:
    return protocol_version(session, study_id, current_version(session, study_id))


def protocol_version(session: Session, study_id: int, version: int) -> Protocol:
    return Protocol.model_validate(session.get_one(ProtocolVersion, (study_id, version)).document)


def all_versions(session: Session, study_id: int) -> dict[int, Protocol]:
    """The study's protocols by version."""
    versions = session.scalars(select(ProtocolVersion).where(ProtocolVersion.study_id == study_id))
    return {row.version: Protocol.model_validate(row.document) for row in versions}
