"""A study's items: a grid to browse, and a page for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from app.domain.counted import counted
from app.domain.protocol import Kind
from app.models.items import Item
from app.services.items import browse
from app.services.items import history as item_history
from app.services.items.browse import Agreement, Fate, Pace, Vote, Wanted
from app.services.items.history import Turn
from app.services.study_lookup import current_protocol
from app.web.admin.access import AsViewer
from app.web.admin.pages import StudyPage, frame_of, head_of, show
from app.web.deps import ResourcesDep, SessionDep
from app.web.numbers import LARGEST_INT, RowId, RowNumber
from app.web.pages import templates
from app.web.participant import IMAGE_CACHE
from app.web.places import Fetched

router = APIRouter(prefix="/studies/{slug}")
PER_PAGE = 48
MOST_ROUNDS = 100
AGREEMENTS: dict[Agreement, str] = {
    "any": "any", "unanimous": "all agree", "most": "three of four agree", "divided": "divided",
}  # fmt: skip
PACE_WORDS: dict[Pace, str] = {
    "any": "any", "fast": "under 1 s", "middling": "1 to 2 s", "slow": "2 to 4 s", "very slow": "4 s and more",
}  # fmt: skip


@dataclass(frozen=True)
class ItemsPage(StudyPage):
    """The items after number `after`; `searched` is where those end, None at the end of all. `query` asks for the same
    in other addresses, `more` is the address of the next items."""

    template = "admin/items.html"
    kind: Kind
    items: Sequence[Item]
    wanted: Wanted
    query: str
    rounds: int
    has_filter: bool
    after: int
    searched: int | None
    agreements: Mapping[Agreement, str] = field(default_factory=lambda: AGREEMENTS)
    paces: Mapping[Pace, str] = field(default_factory=lambda: PACE_WORDS)

    @property
    def more(self) -> str | None:
        return None if self.searched is None else _query(self.wanted, after=self.searched)

    @property
    def is_filtered(self) -> bool:
        return self.wanted != Wanted()


@dataclass(frozen=True)
class ItemPage(StudyPage):
    """`query` asks for the same items as where one comes from; `found` is where this one stands among them."""

    template = "admin/item.html"
    kind: Kind
    has_filter: bool
    item: Item
    votes: Sequence[Vote]
    history: Sequence[Turn]
    query: str
    found: str
    before: int | None
    after: int | None

    @property
    def tallies(self) -> dict[str, str]:
        """The valid votes that belong under the image of each candidate."""
        if self.kind == "2afc":
            return {
                f"candidate_{each}": counted(count, "vote")
                for each, count in enumerate((self.item.votes_0, self.item.votes_1))
            }
        tallies = {}
        for pair in range(2 if self.item.candidate_1 else 1):
            said = [vote.choice for vote in self.votes if vote.question == pair and vote.counts]
            tallies[f"candidate_{pair}"] = f"{said.count(0)} same, {said.count(1)} different"
        return tallies


def get_wanted(
    fate: Fate = "all",
    dropped: str = "",
    category: Annotated[str, Query(max_length=200)] = "",
    agreement: Agreement = "any",
    pace: Pace = "any",
) -> Wanted:
    number = int(dropped) if dropped in map(str, range(1, MOST_ROUNDS + 1)) else None
    return Wanted(fate, number, category.replace("\0", ""), agreement, pace)


WantedDep = Annotated[Wanted, Depends(get_wanted)]


def _query(wanted: Wanted, **more: int) -> str:
    """The address's part that asks for them."""
    asked = {
        "fate": wanted.fate,
        "dropped": wanted.dropped_round,
        "category": wanted.category,
        "agreement": wanted.agreement,
        "pace": wanted.pace,
    }
    given = {name: value for name, value in asked.items() if value not in (None, "", "all", "any")} | more
    return f"?{urlencode(given)}" if given else ""


@router.get("/items")
def items_page(
    request: Request,
    access: AsViewer,
    session: SessionDep,
    wanted: WantedDep,
    after: Annotated[int, Query(ge=-1, le=LARGEST_INT)] = -1,
) -> Response:
    found = browse.browse(session, access.study, wanted, after=after, limit=PER_PAGE)
    protocol = current_protocol(session, access.study.id)
    page = ItemsPage(
        f"Items · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Items"),
        kind=protocol.kind,
        items=found.items,
        wanted=wanted,
        query=_query(wanted),
        rounds=protocol.rounds,
        has_filter=protocol.has_filter,
        after=after,
        searched=found.searched,
    )
    if "HX-Request" in request.headers:
        return templates.TemplateResponse(request, "admin/_items.html", {"page": page})
    return show(request, page)


@router.get("/items/{number}")
def item_page(
    request: Request, number: RowNumber, access: AsViewer, session: SessionDep, wanted: WantedDep
) -> Response:
    item = browse.by_number(session, access.study, number)
    before, after = browse.neighbours(session, item, wanted)
    protocol = current_protocol(session, access.study.id)
    page = ItemPage(
        f"Item {number} · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Items"),
        kind=protocol.kind,
        has_filter=protocol.has_filter,
        item=item,
        votes=browse.votes_on(session, item),
        history=item_history.history(session, item, protocol.rule),
        query=_query(wanted),
        found=_query(wanted, after=number - 1),
        before=before,
        after=after,
    )
    return show(request, page)


@router.get("/pictures/{item_id}/{place}")
def picture(item_id: RowId, place: str, access: AsViewer, session: SessionDep, resources: ResourcesDep) -> Response:
    kind = current_protocol(session, access.study.id).kind
    key = browse.picture(session, study=access.study, kind=kind, item_id=item_id, place=place)
    fetch = partial(resources.storage.get, key)
    return Fetched(resources.outside, fetch, media_type="image/webp", headers={"Cache-Control": IMAGE_CACHE})
