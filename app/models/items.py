"""Images, the items that show them, and the slots that say which votes are still wanted."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now

ROLES = ("pool", "practice", "sentinel", "instruction")
SLOT_STATES = ("open", "leased", "filled", "closed")


class Image(Base):
    """An image by its content: the key in storage is the sha256 of its bytes, so the same content is stored once."""

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        CheckConstraint("width > 0 AND height > 0 AND bytes > 0", name="size"),
    )

    sha256: Mapped[str] = mapped_column(primary_key=True)
    extension: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    mean_colour: Mapped[list[float]] = mapped_column(JSONB)
    created_at: Mapped[Now]


class Derivative(Base):
    """What participants are sent instead of an original: made once per image, itself stored by its content."""

    __tablename__ = "derivatives"
    __table_args__ = (CheckConstraint("bytes > 0", name="size"),)

    image: Mapped[str] = mapped_column(ForeignKey("images.sha256"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)


class Item(Base):
    """What one trial shows: a reference image and two candidates; in JND also a reference and one candidate, one pair.

    `answer` is the right answer of a check: the candidate in 2AFC; in JND 0 for "same" and 1 for "different" of the
    pair with candidate 0, and `answer_1` of the pair with candidate 1. Votes and their consequences (`votes_0` …
    `dropped_round`) restate the item's valid judgments (in JND of its first pair): they are kept up to date with every
    vote and can be recomputed at any time. `recorded_0/1` are *reference answers* that came with the data,
    `distance_0/1` the latent distances a generator knows; neither is ever mixed with judgments.
    """

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint(f"role IN {ROLES}", name="role"),
        CheckConstraint("(role = 'pool') = (number IS NOT NULL)", name="pool_has_number"),
        CheckConstraint("number >= 0", name="number"),
        CheckConstraint("candidate_0 <> candidate_1", name="candidates_differ"),
        CheckConstraint(
            "role <> 'pool' OR candidate_1 IS NULL OR (reference <> candidate_0 AND reference <> candidate_1)",
            name="reference_differs",
        ),
        CheckConstraint("(role = 'pool') = (answer IS NULL)", name="answer_known"),
        CheckConstraint("answer IN (0, 1)", name="answer"),
        CheckConstraint(
            "answer_1 IN (0, 1) AND answer IS NOT NULL AND candidate_1 IS NOT NULL OR answer_1 IS NULL", name="answer_1"
        ),
        CheckConstraint("split IN ('train', 'val', 'test')", name="split"),
        CheckConstraint("votes_0 >= 0 AND votes_1 >= 0", name="votes"),
        CheckConstraint("recorded_0 >= 0 AND recorded_1 >= 0", name="recorded"),
        UniqueConstraint("study_id", "number", name="study_id_number"),
        Index(
            "uq_items_triplet",
            "study_id",
            "reference",
            text("least(candidate_0, candidate_1)"),
            text("greatest(candidate_0, candidate_1)"),
            unique=True,
            postgresql_where=text("role = 'pool'"),
        ),
        Index("ix_items_study_id_role", "study_id", "role"),
        Index("ix_items_dropped_round", "study_id", "dropped_round", "number"),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    role: Mapped[str]
    number: Mapped[int | None]
    reference: Mapped[str] = mapped_column(ForeignKey("images.sha256", name="fk_items_reference"))
    candidate_0: Mapped[str] = mapped_column(ForeignKey("images.sha256", name="fk_items_candidate_0"))
    candidate_1: Mapped[str | None] = mapped_column(ForeignKey("images.sha256", name="fk_items_candidate_1"))
    answer: Mapped[int | None]
    answer_1: Mapped[int | None]
    prompt: Mapped[str | None]
    source: Mapped[str | None]
    split: Mapped[str | None]
    is_imagenet: Mapped[bool] = mapped_column(server_default=text("false"))
    recorded_0: Mapped[int | None]
    recorded_1: Mapped[int | None]
    distance_0: Mapped[float | None]
    distance_1: Mapped[float | None]
    votes_0: Mapped[int] = mapped_column(server_default="0")
    votes_1: Mapped[int] = mapped_column(server_default="0")
    first_dissent: Mapped[int | None]
    dropped_round: Mapped[int | None]
    created_at: Mapped[Now]


class Slot(Base):
    """One vote that a round still needs on one item.

    `left_candidate` is the side: which candidate stands left. `lap` is the slot's 1-based place among the item's slots
    of its round, and (make_up first, lap, draw) the order of dealing. A make-up slot that replaces a void vote takes
    that vote's ordinal and side.
    """

    __tablename__ = "slots"
    __table_args__ = (
        CheckConstraint(f"state IN {SLOT_STATES}", name="state"),
        CheckConstraint("left_candidate IN (0, 1)", name="left_candidate"),
        CheckConstraint("ordinal >= 1 AND lap >= 1", name="ordinal"),
        CheckConstraint("state <> 'leased' OR (assignment_id IS NOT NULL AND leased_until IS NOT NULL)", name="lease"),
        CheckConstraint("replaces IS NULL OR make_up", name="replacement_is_make_up"),
        UniqueConstraint("replaces", name="replaces"),
        Index("uq_slots_ordinal", "item_id", "ordinal", unique=True, postgresql_where=text("replaces IS NULL")),
        Index(
            "ix_slots_deal",
            "study_id",
            text("make_up DESC"),
            "lap",
            "draw",
            "id",
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_slots_lease", "leased_until", postgresql_where=text("state = 'leased'")),
        Index(
            "ix_slots_pending",
            "study_id",
            "make_up",
            postgresql_where=text("state IN ('open', 'leased')"),
        ),
        Index("ix_slots_item_id", "item_id"),
        Index("ix_slots_assignment_id", "assignment_id"),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    round: Mapped[int]
    ordinal: Mapped[int]
    lap: Mapped[int]
    draw: Mapped[int]
    make_up: Mapped[bool]
    replaces: Mapped[int | None] = mapped_column(ForeignKey("slots.id"))
    left_candidate: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="open")
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("assignments.id"))
    leased_until: Mapped[datetime | None]
