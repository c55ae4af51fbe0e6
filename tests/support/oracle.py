"""The filter said once more, as naively as possible: votes are dealt into rounds one at a time and looked at.

It shares no code and no formula with `app/domain/consensus.py`; tests compare the two, and the SQL.
"""

from dataclasses import dataclass, field

from app.domain.consensus import Rule


@dataclass
class NaiveVote:
    assignment: int
    choice: int
    late: bool


@dataclass
class NaiveItem:
    """An item's whole history: votes are only ever appended, exclusions come and go."""

    votes: list[NaiveVote] = field(default_factory=list)

    def valid(self, excluded: set[int]) -> list[int]:
        return [vote.choice for vote in self.votes if not vote.late and vote.assignment not in excluded]


def naive_state(votes: list[int], rule: Rule, round_number: int) -> tuple[int | None, int]:
    """(dropped_round, need)"""
    own_round, in_round, seen, dissent = 1, 0, set(), False
    for vote in votes:
        if in_round == rule.votes_per_round:
            own_round, in_round = own_round + 1, 0
        seen.add(vote)
        in_round += 1
        if len(seen) == 2 and not dissent:
            dissent = True
            dissent_round = own_round
    if dissent and rule.drop == "dissent":
        return dissent_round, 0
    if dissent and rule.drop == "round_end":
        if own_round > dissent_round or in_round == rule.votes_per_round:
            return dissent_round, 0
        return None, rule.votes_per_round - in_round
    need = 0
    while len(votes) + need < round_number * rule.votes_per_round:
        need += 1
    return None, need


def naive_outcome(votes: list[int], rule: Rule, round_number: int) -> str:
    if naive_state(votes, rule, round_number)[0] is not None:
        return "dropped"
    if len(votes) < rule.min_votes:
        return "short"
    return "kept" if rule.drop == "none" or len(set(votes)) < 2 else "short"
