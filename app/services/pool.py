"""A study's pool as people look through it: page by page, item by item, vote by vote."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.protocol import Kind
from app.errors import NotFound
from app.models.items import Derivative, Item
from app.models.studies import Study
from app.services.images import DERIVATIVE_FOR
from app.storage import Storage

Fate = Literal["all", "surviving", "dropped"]
PLACES = ("reference", "candidate_0", "candidate_1")


@dataclass(frozen=True)
class Wanted:
    """Which items: their fate, the round they fell in, and words in their category."""

    fate: Fate = "all"
    dropped_round: int | None = None
    category: str = ""


@dataclass(frozen=True)
class Vote:
    """A vote on an item: on which of its pairs in JND, where there are no sides. `void` says why it does not count;
    None if it does."""

    assignment: int
    participant: str
    round: int | None
    question: int
    choice: int
    side: Literal["left", "right"] | None
    rt_ms: float | None
    input: str | None
    received_at: datetime
    void: str | None

    @property
    def counts(self) -> bool:
        return self.void is None


def browse(session: Session, study: Study, wanted: Wanted, *, after: int = -1, limit: int) -> Sequence[Item]:
    """The wanted items whose number is above `after`, in order of their number."""
    query = select(Item).where(Item.study_id == study.id, Item.role == "pool", Item.number > after)
    if wanted.fate == "surviving":
        query = query.where(Item.dropped_round.is_(None))
    elif wanted.fate == "dropped":
        query = query.where(Item.dropped_round.is_not(None))
    if wanted.dropped_round is not None:
        query = query.where(Item.dropped_round == wanted.dropped_round)
    if wanted.category:
        query = query.where(Item.prompt.icontains(wanted.category, autoescape=True))
    return session.scalars(query.order_by(Item.number).limit(limit)).all()


def by_number(session: Session, study: Study, number: int) -> Item:
    item = session.scalar(select(Item).where(Item.study_id == study.id, Item.number == number))
    if item is None:
        raise NotFound(f"The study {study.slug!r} has no item {number}.")
    return item


def neighbours(session: Session, item: Item) -> tuple[int | None, int | None]:
    """The numbers before and after this item's."""
    others = select(Item.number).where(Item.study_id == item.study_id, Item.role == "pool")
    before = others.where(Item.number < item.number).order_by(Item.number.desc()).limit(1)
    after = others.where(Item.number > item.number).order_by(Item.number).limit(1)
    return session.scalar(before), session.scalar(after)


_VOTES = text("""
    SELECT a.id AS assignment, p.pseudonym AS participant, s.round, j.question, j.choice,
           CASE WHEN v.document ->> 'kind' = 'jnd' THEN NULL
                WHEN j.choice = t.left_candidate THEN 'left' ELSE 'right' END AS side,
           j.rt_ms, j.input, j.received_at,
           CASE WHEN j.late THEN 'came too late' WHEN e.id IS NOT NULL THEN 'excluded: ' || e.reason END AS void
    FROM trials t
    JOIN judgments j ON j.trial_id = t.id
    JOIN assignments a ON a.id = t.assignment_id
    JOIN protocol_versions v ON v.study_id = a.study_id AND v.version = a.protocol_version
    JOIN participants p ON p.id = a.participant_id
    LEFT JOIN slots s ON s.id = j.slot_id
    LEFT JOIN exclusions e ON e.assignment_id = a.id AND e.reinstated_at IS NULL
    WHERE t.item_id = :item
    ORDER BY j.received_at, j.id
""")


def votes_on(session: Session, item: Item) -> list[Vote]:
    """Every vote the item ever got, the first one first."""
    return [Vote(**row._asdict()) for row in session.execute(_VOTES, {"item": item.id})]


def picture(session: Session, storage: Storage, *, study: Study, kind: Kind, item_id: int, place: str) -> bytes:
    """An item's image as participants of such a study see it (WebP).

    Raises:
        NotFound: no such image in this study.
    """
    item = session.get(Item, item_id)
    derivative = None
    if item is not None and item.study_id == study.id and place in PLACES:
        derivative = session.get(Derivative, (getattr(item, place), DERIVATIVE_FOR[kind]))
    if derivative is None:
        raise NotFound("There is no such image.")
    return storage.get(derivative.sha256)
