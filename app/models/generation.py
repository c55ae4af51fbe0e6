"""Plans to generate items, their batches, and what made each image."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.generation import GENERATORS, ROLES
from app.models.base import Base, Id, Now

BATCH_STATES = ("waiting", "done", "cancelled", "failed")


class GenerationPlan(Base):
    """So many items of each category, by one model. The numbers from `first_number` on are its own for ever, so that
    an item that was set aside leaves a gap and never another item in its place.

    `revision` is the commit of a model on the hub, or the digest of a folder's files.
    """

    __tablename__ = "generation_plans"
    __table_args__ = (
        CheckConstraint(f"generator IN {GENERATORS}", name="generator"),
        CheckConstraint("(generator = 'diffusers') = (model IS NOT NULL)", name="model"),
        CheckConstraint("first_number >= 0 AND total > 0 AND batch_size > 0", name="numbers"),
        UniqueConstraint("study_id", "first_number", name="study_id_first_number"),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    generator: Mapped[str]
    model: Mapped[str | None]
    revision: Mapped[str | None]
    options: Mapped[dict[str, Any]] = mapped_column(JSONB)
    prompt: Mapped[str]
    articles: Mapped[bool]
    categories: Mapped[list[str]] = mapped_column(JSONB)
    first_number: Mapped[int]
    total: Mapped[int]
    batch_size: Mapped[int]
    created_at: Mapped[Now]


class GenerationBatch(Base):
    """Items made by one job. Only a batch that waits is worked on; `reason` says why one failed."""

    __tablename__ = "generation_batches"
    __table_args__ = (
        CheckConstraint(f"state IN {BATCH_STATES}", name="state"),
        CheckConstraint("(state = 'failed') = (reason IS NOT NULL)", name="failed_has_reason"),
        CheckConstraint("(state = 'done') = (done_at IS NOT NULL AND seconds IS NOT NULL)", name="done_has_time"),
        CheckConstraint("first_number >= 0 AND size > 0", name="numbers"),
        UniqueConstraint("plan_id", "first_number", name="plan_id_first_number"),
    )

    id: Mapped[Id]
    plan_id: Mapped[int] = mapped_column(ForeignKey("generation_plans.id"))
    first_number: Mapped[int]
    size: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="waiting")
    reason: Mapped[str | None]
    seconds: Mapped[float | None]
    done_at: Mapped[datetime | None]


class SetAside(Base):
    """A number of a batch that became no item, and why."""

    __tablename__ = "set_aside"
    __table_args__ = (CheckConstraint("length(reason) > 0", name="reason"),)

    batch_id: Mapped[int] = mapped_column(ForeignKey("generation_batches.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]


class GenerationCall(Base):
    """One call of a generator, with everything that decided its outcome: made again, it gives the same pixels.

    `recipe` is what all its images share (model, scheduler, steps, versions …); `images` has for each, in order,
    {number, role, attempt, seed, prompt}, also for those that were not used.
    """

    __tablename__ = "generation_calls"

    id: Mapped[Id]
    batch_id: Mapped[int] = mapped_column(ForeignKey("generation_batches.id"), index=True)
    recipe: Mapped[dict[str, Any]] = mapped_column(JSONB)
    images: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    seconds: Mapped[float]


class GeneratedImage(Base):
    """Where an item's image came from: its place, counted from 0, among the images of a call."""

    __tablename__ = "generated_images"
    __table_args__ = (
        CheckConstraint(f"role IN {ROLES}", name="role"),
        CheckConstraint("place >= 0", name="place"),
        UniqueConstraint("call_id", "place", name="call_id_place"),
    )

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("generation_calls.id"))
    place: Mapped[int]
