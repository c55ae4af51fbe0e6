"""When and why an item was dropped, came back, and was dropped again.

An item's state is a pure function of its valid votes, so its history is that function after every vote, exclusion and
reinstatement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain.consensus import Rule, item_state
from app.models.items import Item
from app.services.filter import COUNTS


@dataclass(frozen=True)
class Turn:
    """A moment when the item was dropped, in `round`, or came back, where that is None; `why` is a clause."""

    at: datetime
    round: int | None
    why: str


_VOTES = text(f"""
    SELECT j.received_at, j.choice, t.assignment_id
    FROM trials t JOIN judgments j ON j.trial_id = t.id
    WHERE t.item_id = :item AND {COUNTS}
    ORDER BY j.received_at, j.id
""")

_EXCLUSIONS = text("""
    SELECT e.* FROM exclusions e
    WHERE e.assignment_id IN (SELECT assignment_id FROM trials WHERE item_id = :item) ORDER BY e.id
""")


def history(session: Session, item: Item, rule: Rule) -> list[Turn]:
    """Every turn of the item's fate, the first one first."""
    votes = session.execute(_VOTES, {"item": item.id}).all()
    exclusions = session.execute(_EXCLUSIONS, {"item": item.id}).all()
    turns: list[Turn] = []
    dropped: int | None = None
    for at, why in sorted(_events(votes, exclusions)):
        now = item_state(_valid_at(at, votes, exclusions), rule, rule.rounds).dropped_round
        if now != dropped:
            turns.append(Turn(at, now, why))
        dropped = now
    return turns


def _events(votes: Sequence[Row[Any]], exclusions: Sequence[Row[Any]]) -> list[tuple[datetime, str]]:
    """Everything that may turn the item's fate."""
    events = [(vote.received_at, f"a vote of assignment {vote.assignment_id} disagreed") for vote in votes]
    for each in exclusions:
        sitting = f"assignment {each.assignment_id}"
        events.append((each.excluded_at, f"{sitting} was excluded by {each.excluded_by}: {each.reason}"))
        if each.reinstated_at is not None:
            why = f"{sitting} was reinstated by {each.reinstated_by}: {each.reinstated_reason}"
            events.append((each.reinstated_at, why))
    return events


def _valid_at(moment: datetime, votes: Sequence[Row[Any]], exclusions: Sequence[Row[Any]]) -> list[int]:
    """The choices of the votes that were in and valid at a moment, in order of receipt."""
    excluded = {
        each.assignment_id
        for each in exclusions
        if each.excluded_at <= moment and (each.reinstated_at is None or moment < each.reinstated_at)
    }
    return [vote.choice for vote in votes if vote.received_at <= moment and vote.assignment_id not in excluded]
