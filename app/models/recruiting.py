"""What happens at recruiters: studies there, their submissions, and what a human should look at."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now

RECRUITMENT_STATES = ("planned", "draft", "open", "paused", "stopped")


class Recruitment(Base):
    """A study of ours as a study at a recruiter.

    `places` is what we want there and have committed money for; it is on disk before the recruiter is asked.
    `state` is how the recruiter's study was last seen. `reference` is what it carries of ours, to be found by.
    """

    __tablename__ = "recruitments"
    __table_args__ = (
        CheckConstraint(f"state IN {RECRUITMENT_STATES}", name="state"),
        CheckConstraint("(state = 'planned') = (external_id IS NULL)", name="external_id"),
        CheckConstraint("places > 0 AND reward >= 0 AND place_cost >= reward", name="amounts"),
        UniqueConstraint("reference", name="reference"),
        UniqueConstraint("recruiter", "external_id", name="recruiter_external_id"),
        UniqueConstraint("study_id", "number", name="study_id_number"),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("budgets.study_id"))
    number: Mapped[int]
    round: Mapped[int]
    recruiter: Mapped[str]
    reference: Mapped[str]
    external_id: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="planned")
    places: Mapped[int]
    reward: Mapped[int] = mapped_column(BigInteger)
    place_cost: Mapped[int] = mapped_column(BigInteger)
    codes: Mapped[dict[str, str]] = mapped_column(JSONB)
    created_at: Mapped[Now]
    settled_at: Mapped[datetime | None]


class Submission(Base):
    """A submission as the recruiter told it last, known here by its keyed hash; statuses in the recruiter's words."""

    __tablename__ = "submissions"
    __table_args__ = (
        CheckConstraint("octet_length(lookup) = 32", name="lookup"),
        UniqueConstraint("lookup", name="lookup"),
        Index("ix_submissions_recruitment_id", "recruitment_id", "status"),
        Index("uq_submissions_assignment_id", "assignment_id", unique=True),
    )

    id: Mapped[Id]
    recruitment_id: Mapped[int] = mapped_column(ForeignKey("recruitments.id"))
    lookup: Mapped[bytes] = mapped_column(LargeBinary)
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("assignments.id"))
    status: Mapped[str]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    created_at: Mapped[Now]


class Notice(Base):
    """Something a human should know; while one that `stops` is unresolved, no place is opened."""

    __tablename__ = "notices"
    __table_args__ = (
        Index(
            "uq_notices_unresolved",
            "study_id",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    kind: Mapped[str]
    subject: Mapped[str] = mapped_column(server_default="")
    message: Mapped[str]
    stops: Mapped[bool]
    created_at: Mapped[Now]
    resolved_at: Mapped[datetime | None]


class Invitation(Base):
    """A single-use link: one invitation, one person, one sitting. The code itself is not kept."""

    __tablename__ = "invitations"

    code_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    created_at: Mapped[Now]


class UsedLink(Base):
    """A signed link that somebody signed up with, and the page it was opened on: a second page cannot use it again."""

    __tablename__ = "used_links"

    link_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    page: Mapped[str]
    used_at: Mapped[Now]


class WebhookEvent(Base):
    """An event that a recruiter sent, by the hash of its id: a repeat sets off nothing."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index("ix_webhook_events_received_at", "received_at"),)

    event_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    received_at: Mapped[Now]
