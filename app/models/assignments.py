"""Assignments, their trials, the judgments on them, and exclusions."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now

ASSIGNMENT_STATES = ("active", "completed", "expired", "withdrawn", "screened", "returned")


class Assignment(Base):
    """One participant's sitting. Its token, the participant's only credential, is stored as a hash.

    `submit_to` is the recruiter's site that wants the form at the end, where it wants one. `check_tries` counts the
    failed tries at the comprehension check, `checked_at` is when it was passed.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        CheckConstraint(f"state IN {ASSIGNMENT_STATES}", name="state"),
        CheckConstraint("(state = 'completed') = (completed_at IS NOT NULL)", name="completed_at"),
        CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),
        CheckConstraint("check_tries >= 0", name="check_tries"),
        UniqueConstraint("token_sha256", name="token_sha256"),
        UniqueConstraint("id", "participant_id", name="id_participant_id"),
        ForeignKeyConstraint(
            ["study_id", "protocol_version"],
            ["protocol_versions.study_id", "protocol_versions.version"],
            name="fk_assignments_protocol_version",
        ),
        ForeignKeyConstraint(
            ["study_id", "consent_version"],
            ["protocol_versions.study_id", "protocol_versions.version"],
            name="fk_assignments_consent_version",
        ),
        Index(
            "uq_assignments_active",
            "study_id",
            "participant_id",
            unique=True,
            postgresql_where=text("state = 'active'"),
        ),
        Index("ix_assignments_deadline", "deadline", postgresql_where=text("state = 'active'")),
        Index("ix_assignments_study_id_id", "study_id", "id"),
        Index("ix_assignments_ended", "study_id", text("coalesce(completed_at, deadline)")),
    )

    # Not GENERATED ALWAYS: the token is made from the id, so the id is drawn before the row is written.
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    protocol_version: Mapped[int]
    participant_id: Mapped[int] = mapped_column(ForeignKey("participants.id"), index=True)
    recruiter: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    completion_code: Mapped[str]
    # The text that was agreed to is that of `consent_version`, the version the page showed.
    consent_version: Mapped[int]
    consented_at: Mapped[Now]
    recruitment_id: Mapped[int | None] = mapped_column(ForeignKey("recruitments.id"), index=True)
    submit_to: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="active")
    environment: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    check_tries: Mapped[int] = mapped_column(server_default="0")
    checked_at: Mapped[datetime | None]
    created_at: Mapped[Now]
    deadline: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class Trial(Base):
    """One item as shown at one position of one assignment.

    UNIQUE (participant_id, item_id) for every role: nobody ever sees an item twice in a study.
    """

    __tablename__ = "trials"
    __table_args__ = (
        CheckConstraint("left_candidate IN (0, 1)", name="left_candidate"),
        CheckConstraint("position >= 1 AND attempt >= 0", name="position"),
        ForeignKeyConstraint(
            ["assignment_id", "participant_id"],
            ["assignments.id", "assignments.participant_id"],
            name="fk_trials_assignments",
        ),
        UniqueConstraint("participant_id", "item_id", name="participant_id_item_id"),
        UniqueConstraint("assignment_id", "position", name="assignment_id_position"),
        Index("ix_trials_item_id", "item_id"),
        Index("ix_trials_slot_id", "slot_id"),
    )

    id: Mapped[Id]
    assignment_id: Mapped[int] = mapped_column(BigInteger)
    participant_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    slot_id: Mapped[int | None] = mapped_column(ForeignKey("slots.id"))
    position: Mapped[int]
    left_candidate: Mapped[int]
    scale: Mapped[float]
    attempt: Mapped[int] = mapped_column(server_default="0")
    skipped_at: Mapped[datetime | None]


class Abort(Base):
    """An attempt to show a trial that did not come to an answer."""

    __tablename__ = "aborts"
    __table_args__ = (CheckConstraint("reason IN ('hidden', 'decode', 'resize')", name="reason"),)

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]
    timing: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    received_at: Mapped[Now]


class Judgment(Base):
    """The answer to one question of one trial; append-only.

    `choice` is the candidate's identity (0 or 1), whatever its side; in JND 0 for "same" and 1 for "different", of the
    pair with the candidate that `question` names. Time and timing belong to the trial and stand with question 0.
    `slot_id` is the slot the vote was dealt for; a slot counts one vote at most, and a vote that did not fill its slot
    is `late` for ever.
    """

    __tablename__ = "judgments"
    __table_args__ = (
        CheckConstraint("choice IN (0, 1)", name="choice"),
        CheckConstraint("question >= 0", name="question"),
        UniqueConstraint("trial_id", "question", name="trial_id_question"),
        Index(
            "uq_judgments_slot_filled_once",
            "slot_id",
            unique=True,
            postgresql_where=text("question = 0 AND NOT late"),
        ),
    )

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    question: Mapped[int]
    choice: Mapped[int]
    slot_id: Mapped[int | None] = mapped_column(ForeignKey("slots.id"))
    late: Mapped[bool]
    suspect: Mapped[bool]
    input: Mapped[str | None]
    rt_ms: Mapped[float | None]
    timing: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    received_at: Mapped[Now]


class Exclusion(Base):
    """A decision not to use an assignment's votes, and perhaps its reversal; the newest unreversed one is in force."""

    __tablename__ = "exclusions"
    __table_args__ = (
        CheckConstraint("length(reason) > 0", name="reason"),
        Index("uq_exclusions_in_force", "assignment_id", unique=True, postgresql_where=text("reinstated_at IS NULL")),
    )

    id: Mapped[Id]
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"))
    reason: Mapped[str]
    excluded_by: Mapped[str]
    excluded_at: Mapped[Now]
    reinstated_at: Mapped[datetime | None]
    reinstated_by: Mapped[str | None]
    reinstated_reason: Mapped[str | None]
