"""The layout of NIGHTS: where the images of item `number` lie, and the rows that name them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from datafiles.nights import NIGHTS_COLUMNS, image_path

UNFILTERED_COLUMNS = (*NIGHTS_COLUMNS, "status", "dropped_round")
PAIR_COLUMNS = (
    "id", "pair", "image_a", "image_b", "same_votes", "different_votes", "votes", "same", "split", "is_imagenet",
    "prompt", "status", "method",
)  # fmt: skip


@dataclass(frozen=True)
class ItemPaths:
    """Paths relative to the export, POSIX style."""

    reference: str
    candidate_0: str
    candidate_1: str | None

    @property
    def candidates(self) -> tuple[str, str | None]:
        return self.candidate_0, self.candidate_1


def paths(row: Row[Any]) -> ItemPaths:
    """Those of `datafiles.nights.image_path`."""
    return ItemPaths(
        reference=image_path(row.number, "reference", row.reference_extension),
        candidate_0=image_path(row.number, "candidate_0", row.candidate_0_extension),
        candidate_1=image_path(row.number, "candidate_1", row.candidate_1_extension) if row.candidate_1 else None,
    )


def kept_row(row: Row[Any], *, as_shares: bool) -> list[object]:
    """A line of data.csv. left is candidate 0 and right candidate 1, always.

    Args:
        as_shares: vote shares instead of the unanimous 0 or 1 (studies without a filter).
    """
    votes = row.votes_0 + row.votes_1
    left, right = (
        (row.votes_0 / votes, row.votes_1 / votes) if as_shares else (int(row.votes_0 > 0), int(row.votes_1 > 0))
    )
    return _row(row, left, right)


def unfiltered_row(row: Row[Any]) -> list[object]:
    """A line of unfiltered.csv: vote shares (0 and 0 without votes), status and dropped_round."""
    votes = row.votes_0 + row.votes_1
    left, right = (row.votes_0 / votes, row.votes_1 / votes) if votes else (0.0, 0.0)
    return [*_row(row, left, right), row.status, row.dropped_round]


def pair_row(row: Row[Any]) -> list[object]:
    """A line of jnd.csv: the pair of an item's reference with one candidate, its valid votes, and the share `same`
    (empty without votes)."""
    where, votes = paths(row), row.same_votes + row.different_votes
    return [
        row.number,
        row.pair,
        where.reference,
        where.candidates[row.pair],
        row.same_votes,
        row.different_votes,
        votes,
        row.same_votes / votes if votes else None,
        row.split,
        row.is_imagenet,
        row.prompt,
        row.status,
        row.source,
    ]


def _row(row: Row[Any], left: float, right: float) -> list[object]:
    where = paths(row)
    return [
        row.number,
        left,
        right,
        row.votes_0 + row.votes_1,
        where.reference,
        where.candidate_0,
        where.candidate_1,
        row.split,
        row.is_imagenet,
        row.prompt,
    ]
