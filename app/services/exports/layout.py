"""The NIGHTS layout: where the images of item `number` lie, and the row that names them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from app.services.triplet_files import NIGHTS_COLUMNS

UNFILTERED_COLUMNS = (*NIGHTS_COLUMNS, "status", "dropped_round")


@dataclass(frozen=True)
class ItemPaths:
    """Paths relative to the export, POSIX style."""

    reference: str
    candidate_0: str
    candidate_1: str


def paths(row: Row[Any]) -> ItemPaths:
    """`ref/xxx/yyy.EXT`, `distort/xxx/yyy_0.EXT` and `…_1.EXT` with xxx = number // 1000 and yyy the rest."""
    place = f"{row.number // 1000:03d}/{row.number % 1000:03d}"
    return ItemPaths(
        reference=f"ref/{place}.{row.reference_extension}",
        candidate_0=f"distort/{place}_0.{row.candidate_0_extension}",
        candidate_1=f"distort/{place}_1.{row.candidate_1_extension}",
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
    return [*_row(row, left, right), row.status, "" if row.dropped_round is None else row.dropped_round]


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
        row.prompt or "",
    ]
