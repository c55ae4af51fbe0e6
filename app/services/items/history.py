"""When and why an item was dropped, came back, and was dropped again.

An item's state is a pure function of its valid votes, so its history is that function after every vote, exclusion and
reinstatement. Votes come in the order of their ids; between which two of them a decision fell, only the clock knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain.consensus import Rule, item_state
from app.models.items import Item
from app.services.rounds.outcomes import VOTE


@dataclass(frozen=True)
class Turn:
    """A moment when the item was dropped, in `round`, or came back, where that is None; `why` is a clause."""

    at: datetime
    round: int | None
    why: str


_VOTES = text(f"""
    SELECT j.received_at AS at, j.choice, t.assignment_id
    FROM trials t JOIN judgments j ON j.trial_id = t.id
    WHERE t.item_id = :item AND {VOTE}
    ORDER BY j.id
""")

_EXCLUSIONS = text("""
    SELECT e.* FROM exclusions e
    WHERE e.assignment_id IN (SELECT assignment_id FROM trials WHERE item_id = :item) ORDER BY e.id
""")


@dataclass(frozen=True)
class _Event:
    """Something that may turn the item's fate, after the first `votes` of its votes. `excludes` and `reinstates` are
    ids of exclusions."""

    votes: int
    at: datetime
    why: str
    excludes: int | None = None
    reinstates: int | None = None


def history(session: Session, item: Item, rule: Rule) -> list[Turn]:
    """Every turn of the item's fate, the first one first."""
    votes = session.execute(_VOTES, {"item": item.id}).all()
    exclusions = session.execute(_EXCLUSIONS, {"item": item.id}).all()
    turns: list[Turn] = []
    dropped: int | None = None
    in_force: dict[int | None, int] = {}
    excluded = {each.id: each.assignment_id for each in exclusions}
    for event in _events(votes, exclusions):
        if event.excludes is not None:
            in_force[event.excludes] = excluded[event.excludes]
        in_force.pop(event.reinstates, None)
        valid = [vote.choice for vote in votes[: event.votes] if vote.assignment_id not in in_force.values()]
        now = item_state(valid, rule, rule.rounds).dropped_round
        if now != dropped:
            turns.append(Turn(event.at, now, event.why))
        dropped = now
    return turns


def _events(votes: Sequence[Row[Any]], exclusions: Sequence[Row[Any]]) -> list[_Event]:
    """In the order in which they came; a reinstatement never before its exclusion."""
    events = [
        _Event(place, vote.at, f"a vote of assignment {vote.assignment_id} disagreed")
        for place, vote in enumerate(votes, start=1)
    ]
    for each in exclusions:
        sitting, at = f"assignment {each.assignment_id}", each.excluded_at
        why = f"{sitting} was excluded by {each.excluded_by}: {each.reason}"
        events.append(_Event(_votes_before(at, votes), at, why, excludes=each.id))
        if each.reinstated_at is not None:
            at = max(at, each.reinstated_at)
            why = f"{sitting} was reinstated by {each.reinstated_by}: {each.reinstated_reason}"
            events.append(_Event(_votes_before(at, votes), at, why, reinstates=each.id))
    return sorted(events, key=lambda event: (event.votes, event.at))


def _votes_before(moment: datetime, votes: Sequence[Row[Any]]) -> int:
    """How many votes were in by then: up to the last one whose time is no later."""
    return max((place for place, vote in enumerate(votes, start=1) if vote.at <= moment), default=0)
