"""A study's items and the votes on them."""

from dataclasses import dataclass, fields
from typing import Annotated, Self

from fastapi import APIRouter, Query

from app.models.items import Item
from app.services.items import browse
from app.services.items.browse import Agreement, Fate, Pace, Vote, Wanted
from app.web.api.access import StudyToRead
from app.web.deps import SessionDep
from app.web.json_bodies import StorableJSONRoute
from app.web.numbers import LARGEST_INT, RowNumber

router = APIRouter(prefix="/studies/{slug}/items", route_class=StorableJSONRoute)


@dataclass(frozen=True)
class ItemLine:
    """An item of the pool; images by the sha256 of their content. Votes are the valid ones, in JND on its first pair.
    `recorded_0/1` are answers that came with the data, `distance_0/1` latent distances a generator knows."""

    number: int
    reference: str
    candidate_0: str
    candidate_1: str | None
    prompt: str | None
    source: str | None
    split: str | None
    votes_0: int
    votes_1: int
    first_dissent: int | None
    dropped_round: int | None
    recorded_0: int | None
    recorded_1: int | None
    distance_0: float | None
    distance_1: float | None

    @classmethod
    def of(cls, item: Item) -> Self:
        return cls(**{field.name: getattr(item, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class Items:
    """`after` is what to send for the next page, None at the end. Before the end a page can hold fewer items than asked
    for, or none: a request looks at 5,000 items at most, at the votes of 500."""

    items: list[ItemLine]
    after: int | None


@dataclass(frozen=True)
class ItemWithVotes:
    item: ItemLine
    votes: list[Vote]


@router.get("")
def list_items(
    study: StudyToRead,
    session: SessionDep,
    fate: Fate = "all",
    dropped_round: Annotated[int | None, Query(ge=1, le=1000)] = None,
    category: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    agreement: Agreement = "any",
    pace: Pace = "any",
    after: Annotated[int, Query(ge=-1, le=LARGEST_INT)] = -1,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Items:
    """Items in order of their number, those above `after`."""
    wanted = Wanted(fate, dropped_round, category, agreement, pace)
    found = browse.browse(session, study, wanted, after=after, limit=limit)
    return Items([ItemLine.of(item) for item in found.items], found.searched)


@router.get("/{number}")
def read_item(number: RowNumber, study: StudyToRead, session: SessionDep) -> ItemWithVotes:
    """An item with every vote it ever got; `void` says why one does not count."""
    item = browse.by_number(session, study, number)
    return ItemWithVotes(ItemLine.of(item), browse.votes_on(session, item))
