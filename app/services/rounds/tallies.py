"""How many items and assignments of a study stand where, without counting them (see `models/tallies.py`)."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.consensus import Drop, Outcome, outcome_of


@dataclass(frozen=True)
class Cell:
    """So many pool `items` have so many valid `votes`, which agree or do not; `dropped_round` is None for those that
    survive."""

    dropped_round: int | None
    has_dissent: bool
    votes: int
    items: int

    def outlives(self, number: int) -> bool:
        """Whether these items come out of the round of this number, or have not been dropped by it yet."""
        return self.dropped_round is None or self.dropped_round > number


_POOLS = text("""
    SELECT study_id, nullif(dropped_round, 0) AS dropped_round, votes_0 > 0 AND votes_1 > 0 AS has_dissent,
           votes_0 + votes_1 AS votes, CAST(sum(items) AS int) AS items
    FROM pool_tallies WHERE study_id = ANY(:studies) AND (CAST(:split AS text) IS NULL OR split = :split)
    GROUP BY 1, 2, 3, 4 HAVING sum(items) <> 0
""")
_ASSIGNMENTS = text("""
    SELECT study_id, state, CAST(sum(assignments) AS int) AS assignments
    FROM assignment_tallies WHERE study_id = ANY(:studies) GROUP BY study_id, state
""")


def pools(session: Session, study_ids: Collection[int], *, split: str | None = None) -> dict[int, list[Cell]]:
    """The pool of every study by its id, or what of it is in a split."""
    cells: dict[int, list[Cell]] = {study_id: [] for study_id in study_ids}
    for row in session.execute(_POOLS, {"studies": list(study_ids), "split": split}):
        cells[row.study_id].append(Cell(row.dropped_round, row.has_dissent, row.votes, row.items))
    return cells


def assignments(session: Session, study_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """Assignments by state, of every study by its id; a state that none is in may be missing."""
    states: dict[int, dict[str, int]] = {study_id: {} for study_id in study_ids}
    for row in session.execute(_ASSIGNMENTS, {"studies": list(study_ids)}):
        states[row.study_id][row.state] = row.assignments
    return states


def counts(pool: list[Cell], *, drop: Drop, min_votes: int, only_kept: bool = False) -> dict[str, int]:
    """What an export would hold now: `domain/consensus.outcome` of every item, counted."""
    fates: dict[Outcome, list[Cell]] = {"kept": [], "dropped": [], "short": []}
    for cell in pool:
        fate = outcome_of(
            cell.dropped_round, has_dissent=cell.has_dissent, votes=cell.votes, drop=drop, min_votes=min_votes
        )
        fates[fate].append(cell)
    if only_kept:
        fates["dropped"], fates["short"] = [], []
    counted: dict[str, int] = {fate: items(cells) for fate, cells in fates.items()}
    return {"items": sum(counted.values()), **counted, "valid_votes": sum(votes(cells) for cells in fates.values())}


def items(pool: list[Cell]) -> int:
    return sum(cell.items for cell in pool)


def survivors(pool: list[Cell]) -> int:
    return sum(cell.items for cell in pool if cell.dropped_round is None)


def votes(pool: list[Cell]) -> int:
    """All valid votes."""
    return sum(cell.items * cell.votes for cell in pool)


def votes_in(cell: Cell, number: int, votes_per_round: int) -> int:
    """The votes of these items that are theirs in the round of this number, counted as the filter counts rounds: in
    each item's own votes."""
    return cell.items * min(max(cell.votes - (number - 1) * votes_per_round, 0), votes_per_round)


def wanted_in(cell: Cell, number: int, votes_per_round: int, *, round_: int, drop: Drop) -> int:
    """The votes that these items still need in the round of this number, while `round_` is the current one. An item
    can be ahead of the study, once votes that had been replaced are reinstated: what it needs, it needs now."""
    if cell.dropped_round is not None:
        return 0
    target = round_ * votes_per_round
    if drop == "round_end" and cell.has_dissent:
        target = votes_per_round * -(-cell.votes // votes_per_round)
    before, through = (number - 1) * votes_per_round, number * votes_per_round
    last = target if number == round_ else min(target, through)
    return cell.items * max(0, last - max(cell.votes, before))


_FOLD = """
    WITH gone AS (
        DELETE FROM {table} WHERE backend <> 0 AND backend NOT IN (SELECT pid FROM pg_stat_activity)
        RETURNING {key}, {counted}
    )
    INSERT INTO {table} AS tally ({key}, backend, {counted})
    SELECT {key}, 0, sum({counted}) FROM gone GROUP BY {key} HAVING sum({counted}) <> 0 ORDER BY {key}
    ON CONFLICT ({key}, backend) DO UPDATE SET {counted} = tally.{counted} + excluded.{counted}
"""
_FORGET = "DELETE FROM {table} WHERE backend = 0 AND {counted} = 0"
_FOLDS = [
    text(statement.format(table=table, key=key, counted=counted))
    for table, key, counted in (
        ("pool_tallies", "study_id, split, dropped_round, votes_0, votes_1", "items"),
        ("assignment_tallies", "study_id, state", "assignments"),
    )
    for statement in (_FOLD, _FORGET)
]


def fold(session: Session) -> None:
    """Put what connections that are gone have contributed into one row each, where it comes to anything."""
    for statement in _FOLDS:
        session.execute(statement)
