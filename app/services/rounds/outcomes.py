"""The SQL of what counts, said once: answers, votes, exclusions, and the outcome of an item.

The expressions speak of a judgment `j`, of its trial `t` where no other assignment is named, and of an item `i`.
"""

ANSWER = "j.slot_id IS NOT NULL AND NOT j.late"
"""The judgment answers a pool trial in time: to either question of a JND trial of two pairs."""

VOTE = f"{ANSWER} AND j.question = 0"
"""The answer is the vote that the filter counts, unless its assignment is excluded. The order of an item's votes is
that of their ids, which come under the item's lock: clocks are set back."""

OUTCOME = """CASE
    WHEN i.dropped_round IS NOT NULL THEN 'dropped'
    WHEN (:drop = 'none' OR i.first_dissent IS NULL) AND i.votes_0 + i.votes_1 >= :min_votes THEN 'kept'
    ELSE 'short'
END"""
"""`domain/consensus.outcome` in SQL."""


def is_excluded(assignment: str) -> str:
    """Whether the assignment with this id is excluded now."""
    return f"EXISTS (SELECT FROM exclusions e WHERE e.assignment_id = {assignment} AND e.reinstated_at IS NULL)"


def valid_answer(assignment: str = "t.assignment_id") -> str:
    return f"{ANSWER} AND NOT {is_excluded(assignment)}"


def valid_vote(assignment: str = "t.assignment_id") -> str:
    return f"{VOTE} AND NOT {is_excluded(assignment)}"
