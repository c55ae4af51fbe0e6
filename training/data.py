"""Reads 2AFC judgments: an export, the NIGHTS folder, a BAPPS folder, a CSV of triplets."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from training.errors import DataError
from training.manifest import read_manifest
from training.tables import BappsImages, find_images, load_share, parse_count, parse_share, read_rows, require_columns
from training.triplets import Triplets

NIGHTS_COLUMNS = ("id", "left_vote", "right_vote", "votes", "ref_path", "left_path", "right_path", "split")
BAPPS_FOLDERS = ("ref", "p0", "p1", "judge")
LAYOUTS = (
    "an export or NIGHTS folder (data.csv, ref/, distort/), a BAPPS folder (ref/, p0/, p1/, judge/, or such "
    "folders inside it), a CSV file with the columns reference, closer, farther or reference, candidate_0, "
    "candidate_1, votes_0, votes_1, or a folder with such a file named triplets.csv"
)


def read_triplets(path: Path, statuses: Sequence[str] = ()) -> Triplets:
    """Reads any known layout of 2AFC judgments, by column name.

    `statuses` reads an export's unfiltered.csv instead and keeps the items of those statuses.
    Raises DataError naming the file, the row and what is allowed.
    """
    if (path / "data.csv").is_file():
        return _read_nights(path, statuses)
    if statuses:
        raise DataError(f"{path}: only an export has statuses to choose from")
    if path.is_dir() and _bapps_parts(path):
        return _read_bapps(path)
    table = path / "triplets.csv" if path.is_dir() else path
    if table.is_file():
        return _read_csv(table)
    raise DataError(f"{path} is not a dataset that can be read; known layouts are {LAYOUTS}")


def _read_nights(folder: Path, statuses: Sequence[str]) -> Triplets:
    """Left is candidate 0, right candidate 1; their votes are shares (0 or 1 where all agree)."""
    manifest = read_manifest(folder)
    table = folder / ("unfiltered.csv" if statuses else "data.csv")
    rows = read_rows(table, [*NIGHTS_COLUMNS, *(["status"] if statuses else [])])
    if statuses:
        rows = [row for row in rows if row["status"] in statuses and int(row["votes"]) > 0]
    if not rows:
        raise DataError(
            f"{table} has no row" + (f" with status {' or '.join(statuses)} and a vote" if statuses else "")
        )
    return _assemble(
        folder,
        str(folder),
        [(row["ref_path"], row["left_path"], row["right_path"]) for row in rows],
        targets=_shares(table, rows, "left_vote", "right_vote"),
        votes=[int(row["votes"]) for row in rows],
        ids=[row["id"] for row in rows],
        splits=[row["split"] for row in rows],
        is_imagenet=[row["is_imagenet"] == "True" for row in rows] if "is_imagenet" in rows[0] else None,
        categories=[row["prompt"] for row in rows] if "prompt" in rows[0] else None,
        sha256=manifest,
    )


def _read_csv(table: Path) -> Triplets:
    rows = read_rows(table, ["reference"])
    if not rows:
        raise DataError(f"{table} has no row")
    if {"closer", "farther"} <= rows[0].keys():
        paths = [(row["reference"], row["closer"], row["farther"]) for row in rows]
        targets, votes = [0.0] * len(rows), [0] * len(rows)
    else:
        require_columns(table, rows[0], ["candidate_0", "candidate_1", "votes_0", "votes_1"])
        counted = [(row, parse_count(table, row, "votes_0"), parse_count(table, row, "votes_1")) for row in rows]
        counted = [(row, zero, one) for row, zero, one in counted if zero + one > 0]
        rows = [row for row, _, _ in counted]
        paths = [(row["reference"], row["candidate_0"], row["candidate_1"]) for row in rows]
        targets = [one / (zero + one) for _, zero, one in counted]
        votes = [int(zero + one) for _, zero, one in counted]
    splits = [row.get("split") or "" for row in rows]
    return _assemble(
        table.parent,
        str(table),
        paths,
        targets=targets,
        votes=votes,
        ids=map(str, range(len(rows))),
        splits=splits,
    )


def _bapps_parts(folder: Path) -> list[Path]:
    """The folder itself, or the folders inside it, that hold one kind of distortion each."""
    candidates = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    return [part for part in candidates if all((part / name).is_dir() for name in BAPPS_FOLDERS)]


def _read_bapps(folder: Path) -> Triplets:
    """`judge/*.npy` holds the share of votes for p1 (BAPPS README); the category is the distortion."""
    judged = [(part, file) for part in _bapps_parts(folder) for file in sorted((part / "judge").glob("*.npy"))]
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
    paths: Sequence[tuple[str, str, str]],
    *,
    targets: Sequence[float],
    votes: Sequence[int],
    ids: Iterable[str],
    splits: Sequence[str],
    is_imagenet: Sequence[bool] | None = None,
    categories: Sequence[str] | None = None,
    sha256: dict[Path, str] | None = None,
) -> Triplets:
    order = {path: i for i, path in enumerate(sorted({path for triple in paths for path in triple}))}
    return Triplets(
        name=name,
        images=find_images(root, list(order)),
        indices=np.array([[order[path] for path in triple] for triple in paths], dtype=np.int64),
        targets=np.array(targets, dtype=np.float32),
        votes=np.array(votes, dtype=np.int64),
        ids=np.array(list(ids), dtype=np.str_),
        splits=np.array(splits, dtype=np.str_),
        is_imagenet=None if is_imagenet is None else np.array(is_imagenet),
        categories=None if categories is None else np.array(categories, dtype=np.str_),
        sha256=sha256,
    )


def _shares(table: Path, rows: Sequence[dict[str, str]], left: str, right: str) -> list[float]:
    targets = []
    for row in rows:
        zero, one = parse_share(table, row[left], left), parse_share(table, row[right], right)
        if abs(zero + one - 1) > 1e-3:
            raise DataError(f"{table}, id {row['id']}: {left} and {right} must add up to 1, not {zero + one:g}")
        targets.append(one)
    return targets
