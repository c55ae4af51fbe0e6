"""Same-or-different pairs: of an export, of BAPPS, of a CSV."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.manifest import read_manifest
from training.tables import BappsImages, find_images, load_share, parse_count, parse_share, read_rows


@dataclass(frozen=True)
class JndPairs:
    """n "same or different?" pairs: `indices` (n, 2) into `images`, `same` (n,) the share saying same.

    `kinds` (n,) says how the second image was made, `splits` (n,) is "" where the source has none.
    """

    name: str
    images: tuple[Path, ...]
    indices: NDArray[np.int64]
    same: NDArray[np.float64]
    kinds: NDArray[np.str_]
    splits: NDArray[np.str_]
    sha256: dict[Path, str] | None = None  # what an export's manifest says of its images

    def split(self, name: str) -> "JndPairs":
        """The pairs of one split; all of them where the source has no splits."""
        keep = self.splits == name
        known = ", ".join(sorted(set(self.splits.tolist()) - {""}))
        if not known:
            return self
        if not keep.any():
            raise DataError(f"{self.name} has no pair in split {name!r}; its splits are: {known}")
        return replace(
            self,
            indices=self.indices[keep],
            same=self.same[keep],
            kinds=self.kinds[keep],
            splits=self.splits[keep],
        )


PAIR_COLUMNS = (("ref_path", "path"), ("reference", "candidate"), ("image_a", "image_b"))
JND_COLUMNS = (
    "two image columns (ref_path and path, reference and candidate, or image_a and image_b) and the answers: "
    "same, a share in [0, 1], or same_votes and votes, or different_votes and votes"
)


def read_jnd(path: Path) -> JndPairs:
    """An export (jnd.csv), a CSV of pairs (pairs.csv in a folder), or a BAPPS JND folder (p0, p1, same).

    Pairs that nobody has judged are left out. Raises DataError naming the file and what is wanted.
    """
    if path.is_dir() and not any((path / name).is_file() for name in ("jnd.csv", "pairs.csv")):
        return _read_bapps_jnd(path)
    table = next((path / name for name in ("jnd.csv", "pairs.csv") if (path / name).is_file()), path)
    manifest = read_manifest(path) if path.is_dir() else None
    rows = [row for row in read_rows(table, []) if row.get("votes") != "0"]
    first = rows[0] if rows else {}
    columns = next((pair for pair in PAIR_COLUMNS if set(pair) <= first.keys()), None)
    if columns is None:
        raise DataError(
            f"{table}: needs at least one judged pair and {JND_COLUMNS}; found {', '.join(first) or 'nothing'}"
        )
    pairs = [(row[columns[0]], row[columns[1]]) for row in rows]
    same = [_same_share(table, row) for row in rows]
    kinds, splits = ([row.get(column) or "" for row in rows] for column in ("method", "split"))
    return _assemble_pairs(table.parent, str(table), pairs, same, kinds, splits, manifest)


def _read_bapps_jnd(folder: Path) -> JndPairs:
    parts = [part for part in (folder, *sorted(folder.iterdir())) if (part / "same").is_dir()]
    judged = [(part, file) for part in parts for file in sorted((part / "same").glob("*.npy"))]
    if not judged:
        raise DataError(f"{folder} holds no JND judgments: wanted jnd.csv, pairs.csv, or p0/, p1/ and same/*.npy")
    find = BappsImages(folder)
    pairs = [(find(part / "p0", file), find(part / "p1", file)) for part, file in judged]
    return _assemble_pairs(
        folder,
        str(folder),
        pairs,
        [load_share(file) for _, file in judged],
        [part.name for part, _ in judged],
        [""] * len(judged),
    )


def _assemble_pairs(
    root: Path,
    name: str,
    pairs: Sequence[tuple[str, str]],
    same: Sequence[float],
    kinds: Sequence[str],
    splits: Sequence[str],
    sha256: dict[Path, str] | None = None,
) -> JndPairs:
    order = {path: i for i, path in enumerate(sorted({path for pair in pairs for path in pair}))}
    indices = np.array([[order[path] for path in pair] for pair in pairs], dtype=np.int64)
    images = find_images(root, list(order))
    shares = np.array(same, dtype=np.float64)
    return JndPairs(name, images, indices, shares, np.array(kinds), np.array(splits), sha256)


def _same_share(table: Path, row: dict[str, str]) -> float:
    if "same" in row:
        return parse_share(table, row["same"], "same")
    for column in ("same_votes", "different_votes"):
        if column in row and "votes" in row:
            share = parse_count(table, row, column) / max(parse_count(table, row, "votes"), 1.0)
            return parse_share(table, str(share if column == "same_votes" else 1 - share), column)
    raise DataError(f"{table}: needs {JND_COLUMNS}; found {', '.join(row)}")
