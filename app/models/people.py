"""Participants and, apart from everything else, what their recruiters call them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now


class Participant(Base):
    """A person, known here by a random pseudonym only."""

    __tablename__ = "participants"
    __table_args__ = (UniqueConstraint("pseudonym", name="pseudonym"),)

    id: Mapped[Id]
    pseudonym: Mapped[str]
    created_at: Mapped[Now]
    erased_at: Mapped[datetime | None]


class Identity(Base):
    """A recruiter's id for a participant, or for one submission of theirs: the only place where such ids exist.

    `lookup` is a keyed hash, `ciphertext` the id itself under Fernet; erasure removes the latter.
    """

    __tablename__ = "identities"
    __table_args__ = (
        CheckConstraint("kind IN ('participant', 'submission')", name="kind"),
        CheckConstraint("(kind = 'submission') = (assignment_id IS NOT NULL)", name="submission_has_assignment"),
        CheckConstraint("octet_length(lookup) = 32", name="lookup"),
        UniqueConstraint("kind", "lookup", name="kind_lookup"),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    recruiter: Mapped[str]
    lookup: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    participant_id: Mapped[int] = mapped_column(ForeignKey("participants.id"), index=True)
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("assignments.id"), index=True)
    created_at: Mapped[Now]


class Block(Base):
    """Somebody who may not begin another sitting of a study. What they did before is another matter."""

    __tablename__ = "blocks"
    __table_args__ = (CheckConstraint("length(reason) > 0", name="reason"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    participant_id: Mapped[int] = mapped_column(ForeignKey("participants.id"), primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[Now]
