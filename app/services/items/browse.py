"""A study's pool as people look through it: page by page, item by item, vote by vote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, Select, func, select, text
from sqlalchemy.orm import Session

from app.domain.protocol import Kind
from app.errors import NotFound
from app.models.items import Derivative, Item
from app.models.studies import Study
from app.services.items.images import DERIVATIVE_FOR

Fate = Literal["all", "surviving", "dropped"]
Agreement = Literal["any", "unanimous", "most", "divided"]
Pace = Literal["any", "fast", "middling", "slow", "very slow"]
MOST = 0.75
"""From this share of the votes on, most people agree."""
PACES: dict[Pace, tuple[float, float]] = {
    "any": (0, 0), "fast": (0, 1000), "middling": (1000, 2000), "slow": (2000, 4000), "very slow": (4000, math.inf),
}  # fmt: skip
"""The bounds of the median response time in ms: from the first, below the second."""
STRETCH = 5000
"""Items that are looked at for one answer, so that none takes longer the larger the pool is."""
PACED = 500
"""Those of them whose votes are."""
LARGEST = 2**31 - 1
"""No item has a larger number."""
PLACES = ("reference", "candidate_0", "candidate_1")


@dataclass(frozen=True)
class Wanted:
    """Which items: their fate, the round they fell in, words in their category, how far people agree about them (in JND
    about their first pair), and how fast they answer."""

    fate: Fate = "all"
    dropped_round: int | None = None
    category: str = ""
    agreement: Agreement = "any"
    pace: Pace = "any"


@dataclass(frozen=True)
class Found:
    """Wanted items in order of their number, perhaps none though there are some; the search goes on above `searched`,
    None at the end."""

    items: Sequence[Item]
    searched: int | None


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


def browse(session: Session, study: Study, wanted: Wanted, *, after: int = -1, limit: int) -> Found:
    """The first wanted items whose number is above `after`."""
    end = session.scalar(_end_of_stretch(study.id, after))
    most = limit + 1 if wanted.pace == "any" else PACED
    beyond = Item.number > after, Item.number <= (LARGEST if end is None else end)
    items = session.scalars(
        select(Item).where(*_conditions(study.id, wanted), *beyond).order_by(Item.number).limit(most)
    ).all()
    if len(items) == most:
        end = items[-1].number
    if wanted.pace != "any":
        items = _paced(session, items, wanted.pace)
    if len(items) > limit:
        return Found(items[:limit], items[limit - 1].number)
    return Found(items, end)


def _end_of_stretch(study_id: int, number: int, *, back: bool = False) -> Select[int | None]:
    """The number of the last item to look at from this one on, upwards or back; none if the pool ends before."""
    beyond, order = (Item.number < number, Item.number.desc()) if back else (Item.number > number, Item.number.asc())
    return select(Item.number).where(Item.study_id == study_id, beyond).order_by(order).offset(STRETCH - 1).limit(1)


def _conditions(study_id: int, wanted: Wanted) -> list[ColumnElement[bool]]:
    """All that is wanted but the pace, which no column has."""
    conditions = [Item.study_id == study_id, Item.role == "pool"]
    if wanted.fate != "all":
        conditions.append(
            Item.dropped_round.is_(None) if wanted.fate == "surviving" else Item.dropped_round.is_not(None)
        )
    if wanted.dropped_round is not None:
        conditions.append(Item.dropped_round == wanted.dropped_round)
    if wanted.category:
        conditions.append(Item.prompt.icontains(wanted.category, autoescape=True))
    if wanted.agreement != "any":
        conditions.append(_agrees(wanted.agreement))
    return conditions


def _agrees(agreement: Agreement) -> ColumnElement[bool]:
    votes, larger = Item.votes_0 + Item.votes_1, func.greatest(Item.votes_0, Item.votes_1)
    match agreement:
        case "unanimous":
            return (votes > 0) & (larger == votes)
        case "most":
            return (larger < votes) & (larger >= MOST * votes)
    return larger < MOST * votes


def _paced(session: Session, items: Sequence[Item], pace: Pace) -> list[Item]:
    least, below = PACES[pace]
    medians = session.execute(_MEDIANS, {"items": [item.id for item in items]})
    paced = {row.item_id for row in medians if least <= row.median < below}
    return [item for item in items if item.id in paced]


# Trial by trial (OFFSET 0): for so many the planner would go through all judgments there are.
_MEDIANS = text("""
    SELECT t.item_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY answer.rt_ms) AS median
    FROM trials t CROSS JOIN LATERAL (
        SELECT j.rt_ms FROM judgments j
        WHERE j.trial_id = t.id AND j.question = 0 AND j.rt_ms IS NOT NULL
        OFFSET 0
    ) answer
    WHERE t.item_id = ANY(:items)
    GROUP BY t.item_id
""")


def by_number(session: Session, study: Study, number: int) -> Item:
    item = session.scalar(select(Item).where(Item.study_id == study.id, Item.number == number))
    if item is None:
        raise NotFound(f"The study {study.slug!r} has no item {number}.")
    return item


def neighbours(session: Session, item: Item, wanted: Wanted) -> tuple[int | None, int | None]:
    """The numbers before and after this item's, among the wanted ones whatever their pace, if they are near."""
    number = item.number
    assert number is not None  # as of every item of a pool
    others = select(Item.number).where(*_conditions(item.study_id, wanted))
    first = _end_of_stretch(item.study_id, number, back=True).scalar_subquery()
    last = _end_of_stretch(item.study_id, number).scalar_subquery()
    before = others.where(Item.number < number, Item.number >= func.coalesce(first, 0))
    after = others.where(Item.number > number, Item.number <= func.coalesce(last, LARGEST))
    return (
        session.scalar(before.order_by(Item.number.desc()).limit(1)),
        session.scalar(after.order_by(Item.number).limit(1)),
    )


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
    ORDER BY j.id
""")


def votes_on(session: Session, item: Item) -> list[Vote]:
    """Every vote the item ever got, the first one first."""
    return [Vote(**row._asdict()) for row in session.execute(_VOTES, {"item": item.id})]


def picture(session: Session, *, study: Study, kind: Kind, item_id: int, place: str) -> str:
    """The stored key of an item's image as participants of such a study see it (WebP).

    Raises:
        NotFound: no such image in this study.
    """
    item = session.get(Item, item_id)
    derivative = None
    if item is not None and item.study_id == study.id and place in PLACES:
        derivative = session.get(Derivative, (getattr(item, place), DERIVATIVE_FOR[kind]))
    if derivative is None:
        raise NotFound("There is no such image.")
    return derivative.sha256
