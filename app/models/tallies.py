"""How many items and assignments stand where: kept up to date by triggers, so that no page counts them.

A row holds what one database connection (`backend`, its process id) has contributed, which may be negative; only the
sums over all backends mean something. So two votes never wait for each other here.
"""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class PoolTally(Base):
    """Pool items by split, fate and valid votes. An empty `split` is none; `dropped_round` 0 are survivors."""

    __tablename__ = "pool_tallies"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    split: Mapped[str] = mapped_column(primary_key=True)
    dropped_round: Mapped[int] = mapped_column(primary_key=True)
    votes_0: Mapped[int] = mapped_column(primary_key=True)
    votes_1: Mapped[int] = mapped_column(primary_key=True)
    backend: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[int]


class AssignmentTally(Base):
    """Assignments by state."""

    __tablename__ = "assignment_tallies"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    backend: Mapped[int] = mapped_column(primary_key=True)
    assignments: Mapped[int]
