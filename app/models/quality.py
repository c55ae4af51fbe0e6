"""What was found about sittings."""

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Now


class Assessment(Base):
    """The signals of an assignment that has ended, and what the rules found, as of that moment.

    The record of what an automatic exclusion was based on; a report assesses anew.
    """

    __tablename__ = "assessments"

    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), primary_key=True)
    signals: Mapped[dict[str, Any]] = mapped_column(JSONB)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    assessed_at: Mapped[Now]
