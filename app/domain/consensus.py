"""The unanimity filter: what an item's valid votes and the number of the round make of it.

The state of an item is a pure function of its valid votes in order of receipt and of the current round, so it can be
recomputed at any time with the same result, and a wrong exclusion can be undone. `services/rounds/filter.py` computes
the same function set-based in SQL; a test compares the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Drop = Literal["dissent", "round_end", "none"]
Outcome = Literal["kept", "dropped", "short"]


@dataclass(frozen=True)
class Rule:
    """How a study collects and filters votes; frozen with the study's first judgment."""

    rounds: int
    votes_per_round: int
    min_votes: int
    drop: Drop


@dataclass(frozen=True)
class ItemState:
    """dropped_round: the 1-based round in which the item fell, counted in its own votes; None while it survives.
    need: how many further valid votes the item needs up to and including the current round."""

    dropped_round: int | None
    need: int


def first_dissent(votes: Sequence[int]) -> int | None:
    """The 1-based index of the first vote that differs from the first one; None while all agree."""
    return next((place for place, vote in enumerate(votes, start=1) if vote != votes[0]), None)


def item_state(votes: Sequence[int], rule: Rule, round_number: int) -> ItemState:
    """The state of an item with these valid votes (0 or 1, in order of receipt) in round `round_number`."""
    n, v, d = len(votes), rule.votes_per_round, first_dissent(votes)
    if d is not None and rule.drop != "none":
        round_of_dissent = -(-d // v)
        still_owed = v * round_of_dissent - n if rule.drop == "round_end" else 0
        if still_owed > 0:
            return ItemState(dropped_round=None, need=still_owed)
        return ItemState(dropped_round=round_of_dissent, need=0)
    return ItemState(dropped_round=None, need=max(0, round_number * v - n))


def outcome(votes: Sequence[int], rule: Rule, round_number: int) -> Outcome:
    """What becomes of an item when the study is finished or closed in round `round_number`.

    Without a filter (`drop = "none"`) an item is kept once it has `min_votes`, whatever they say.
    """
    return outcome_of(
        item_state(votes, rule, round_number).dropped_round,
        has_dissent=first_dissent(votes) is not None,
        votes=len(votes),
        drop=rule.drop,
        min_votes=rule.min_votes,
    )


def outcome_of(dropped_round: int | None, *, has_dissent: bool, votes: int, drop: Drop, min_votes: int) -> Outcome:
    """The same of an item in this state with so many votes."""
    if dropped_round is not None:
        return "dropped"
    agree = drop == "none" or not has_dissent
    return "kept" if agree and votes >= min_votes else "short"
