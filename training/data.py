"""Reads 2AFC judgments: an export, the NIGHTS folder, a BAPPS folder, a CSV of triplets."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from datafiles.nights import NIGHTS_COLUMNS, NIGHTS_TABLE, SPLITS
from datafiles.rows import Row
from training.errors import DataError
from training.manifest import read_manifest
from training.shards import has_shards, open_shards
from training.tables import BappsImages, index_images, load_share, naming, read_rows, table_in
from training.triplets import Triplets

BAPPS_FOLDERS = ("ref", "p0", "p1", "judge")
LAYOUTS = (
    "an export or NIGHTS folder (data.csv, ref/, distort/; or the shards of an export in data/), a BAPPS folder (ref/, "
    "p0/, p1/, judge/, or such folders inside it), a CSV file with the columns reference, closer, farther or "
    "reference, candidate_0, candidate_1, votes_0, votes_1, or a folder with such a file named triplets.csv"
)
_ALWAYS_THERE = [column for column in NIGHTS_COLUMNS if column not in ("is_imagenet", "prompt")]


def read_triplets(path: Path, statuses: Sequence[str] = (), cache: Path | None = None) -> Triplets:
    """Reads any known layout of 2AFC judgments, by column name. Triplets that nobody has judged are left out.

    `statuses` reads all items of an export, not only the kept ones, and keeps those of these statuses. `cache` is where
    the images of shards are unpacked.
    Raises DataError naming the file, the row and what is allowed.
    """
    if path.is_dir() and (nights := table_in(path, NIGHTS_TABLE)):
        return _read_nights(path, nights, statuses)
    if has_shards(path):
        return _read_shards(path, statuses, cache)
    if statuses:
        raise DataError(f"{path}: only an export has statuses to choose from")
    if path.is_dir() and _bapps_parts(path):
        return _read_bapps(path)
    table = table_in(path, "triplets.csv") if path.is_dir() else path
    if table and table.is_file():
        return _read_csv(table)
    raise DataError(f"{path} is not a dataset that can be read; known layouts are {LAYOUTS}")


def _read_nights(folder: Path, table: Path, statuses: Sequence[str]) -> Triplets:
    """Left is candidate 0, right candidate 1; their votes are shares (0 or 1 where all agree)."""
    manifest = read_manifest(folder)
    if statuses:
        table = table_in(folder, "unfiltered.csv") or folder / "unfiltered.csv"
    rows = read_rows(table, [*_ALWAYS_THERE, *(["status"] if statuses else [])])
    if statuses:
        rows = [row for row in rows if row.text("status") in statuses]
    with naming(table):
        rows = _judged(table, rows, [row.count("votes") for row in rows], statuses)
        return _assemble(
            folder,
            str(folder),
            [(row.cells["ref_path"], row.cells["left_path"], row.cells["right_path"]) for row in rows],
            targets=[_share(row) for row in rows],
            votes=[row.count("votes") for row in rows],
            ids=[str(row.count("id")) for row in rows],
            splits=[row.one_of("split", SPLITS) or "" for row in rows],
            is_imagenet=[row.truth("is_imagenet") for row in rows] if "is_imagenet" in rows[0].cells else None,
            categories=[row.text("prompt") for row in rows] if "prompt" in rows[0].cells else None,
            sha256=manifest,
        )


def _read_shards(folder: Path, statuses: Sequence[str], cache: Path | None) -> Triplets:
    """The same triplets as the folder of the same export, in the same order."""
    shards = open_shards(folder, cache)
    items = [item for item in shards.items if item.status in (statuses or ("kept",)) and item.votes]
    if not items:
        raise DataError(_nobody(folder, statuses))
    if any(len(item.images) != 3 for item in items):
        raise DataError(f"{folder}: holds pairs, not triplets")
    return _assemble(
        shards.images,
        str(folder),
        [item.images for item in items],
        targets=[item.votes_1 / item.votes for item in items],
        votes=[item.votes for item in items],
        ids=[str(item.number) for item in items],
        splits=[item.split for item in items],
        is_imagenet=[item.is_imagenet for item in items],
        categories=[item.prompt for item in items],
        sha256=shards.sha256,
    )


def _read_csv(table: Path) -> Triplets:
    rows = read_rows(table, ["reference"])
    with naming(table):
        if {"closer", "farther"} <= rows[0].cells.keys():
            columns = ("closer", "farther")
            targets, votes = [0.0] * len(rows), [0] * len(rows)
        else:
            columns = ("candidate_0", "candidate_1")
            _require(table, rows[0], (*columns, "votes_0", "votes_1"))
            rows = [row for row in rows if not (row.is_missing("votes_0") and row.is_missing("votes_1"))]
            rows = _judged(table, rows, [row.count("votes_0") + row.count("votes_1") for row in rows])
            votes = [row.count("votes_0") + row.count("votes_1") for row in rows]
            targets = [row.count("votes_1") / total for row, total in zip(rows, votes, strict=True)]
        return _assemble(
            table.parent,
            str(table),
            [tuple(row.cells[column] for column in ("reference", *columns)) for row in rows],
            targets=targets,
            votes=votes,
            ids=map(str, range(len(rows))),
            splits=[row.one_of("split", SPLITS) or "" for row in rows],
        )


def _require(table: Path, row: Row, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in row.cells]
    if missing:
        raise DataError(f"{table}: the column {', '.join(missing)} is missing; it has {', '.join(row.cells)}")


def _judged(table: Path, rows: Sequence[Row], votes: Sequence[int], statuses: Sequence[str] = ()) -> list[Row]:
    """The rows with a vote. Raises DataError where there is none."""
    judged = [row for row, count in zip(rows, votes, strict=True) if count]
    if not judged:
        raise DataError(_nobody(table, statuses))
    return judged


def _nobody(source: Path, statuses: Sequence[str]) -> str:
    chosen = f" with status {' or '.join(statuses)}" if statuses else ""
    return f"{source} has no triplet{chosen} that anybody has judged: there is nothing to learn or to measure"


def _bapps_parts(folder: Path) -> list[Path]:
    """The folder itself, or the folders inside it, that hold one kind of distortion each."""
    candidates = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    return [part for part in candidates if all((part / name).is_dir() for name in BAPPS_FOLDERS)]


def _read_bapps(folder: Path) -> Triplets:
    """`judge/*.npy` holds the share of votes for p1 (BAPPS README); the category is the distortion."""
    judged = [(part, file) for part in _bapps_parts(folder) for file in sorted((part / "judge").glob("[!.]*.npy"))]
    if not judged:
        raise DataError(f"{folder}: judge/ holds no .npy file")
    find = BappsImages(folder)
    return _assemble(
        folder,
        str(folder),
        [(find(part / "ref", file), find(part / "p0", file), find(part / "p1", file)) for part, file in judged],
        targets=[load_share(file) for _, file in judged],
        votes=[0] * len(judged),
        ids=[f"{part.name}/{file.stem}" for part, file in judged],
        splits=[""] * len(judged),
        categories=[part.name for part, _ in judged],
    )


def _assemble(
    root: Path,
    name: str,
    paths: Sequence[tuple[str, ...]],
    *,
    targets: Sequence[float],
    votes: Sequence[int],
    ids: Iterable[str],
    splits: Sequence[str],
    is_imagenet: Sequence[bool] | None = None,
    categories: Sequence[str] | None = None,
    sha256: dict[Path, str] | None = None,
) -> Triplets:
    images, indices = index_images(root, paths)
    return Triplets(
        name=name,
        images=images,
        indices=indices,
        targets=np.array(targets, dtype=np.float32),
        votes=np.array(votes, dtype=np.int64),
        ids=np.array(list(ids), dtype=np.str_),
        splits=np.array(splits, dtype=np.str_),
        is_imagenet=None if is_imagenet is None else np.array(is_imagenet),
        categories=None if categories is None else np.array(categories, dtype=np.str_),
        sha256=sha256,
    )


def _share(row: Row) -> float:
    """The share of votes for candidate 1."""
    zero, one = row.share("left_vote"), row.share("right_vote")
    if abs(zero + one - 1) > 1e-3:
        raise row.bad(f"left_vote and right_vote must add up to 1 (got {zero:g} and {one:g})")
    return one
