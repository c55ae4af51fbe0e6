"""Worker processes, as they speak of themselves."""

from datetime import datetime

from sqlalchemy import DateTime, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now


class Worker(Base):
    """A worker process: here from its start to its end, and dead when it has not been seen for a while.

    `note` is what it has to put up with, such as smaller batches; with a `problem` it takes no jobs.
    """

    __tablename__ = "workers"

    id: Mapped[Id]
    name: Mapped[str]
    queue: Mapped[str]
    device: Mapped[str | None]
    model: Mapped[str | None]
    note: Mapped[str | None]
    problem: Mapped[str | None]
    started_at: Mapped[Now]
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
