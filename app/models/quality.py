"""What was found about sittings, and about a study as a whole."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now
from app.models.studies import REQUEST_STATES


class Assessment(Base):
    """The signals of an assignment that has ended, and what the rules found, as of that moment.

    The record of what an automatic exclusion was based on; a report assesses anew.
    """

    __tablename__ = "assessments"

    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), primary_key=True)
    signals: Mapped[dict[str, Any]] = mapped_column(JSONB)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    assessed_at: Mapped[Now]


class Report(Base):
    """What a worker made of all the votes of a study at one moment. Of a study there is at most the one that is done,
    and one that is asked for, under way or failed.

    `document` is all of it (`StudyReport`), `digest` what the dashboard shows of it, both kept as they were written;
    `page` is the file that opens by itself. `problem` says why it failed. A migration that comes with another shape of
    these deletes the reports.
    """

    __tablename__ = "reports"
    __table_args__ = (
        CheckConstraint(f"state IN {REQUEST_STATES}", name="state"),
        CheckConstraint("(state IN ('done', 'failed')) = (finished_at IS NOT NULL)", name="finished_at"),
        CheckConstraint("(state = 'failed') = (problem IS NOT NULL)", name="problem"),
        CheckConstraint(
            "num_nonnulls(document, digest, page) = CASE state WHEN 'done' THEN 3 ELSE 0 END", name="contents"
        ),
        Index("uq_reports_one_done_one_to_come", "study_id", text("(state = 'done')"), unique=True),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    asked_by: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="waiting")
    problem: Mapped[str | None]
    document: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True, deferred_raiseload=True)
    digest: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True, deferred_raiseload=True)
    page: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    asked_at: Mapped[Now]
    finished_at: Mapped[datetime | None]
