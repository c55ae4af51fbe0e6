"""Same-or-different pairs: of an export, of BAPPS, of a CSV."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datafiles.nights import SPLITS
from datafiles.rows import Row
from training.errors import DataError
from training.manifest import read_manifest
from training.shards import has_shards, open_shards
from training.tables import BappsImages, index_images, load_share, naming, read_rows, table_in


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


def read_jnd(path: Path, cache: Path | None = None) -> JndPairs:
    """An export (jnd.csv), a CSV of pairs (pairs.csv in a folder), or a BAPPS JND folder (p0, p1, same).

    Pairs that nobody has judged are left out. `cache` is where the images of an export in shards are unpacked.
    Raises DataError naming the file and what is wanted.
    """
    table = table_in(path, "jnd.csv", "pairs.csv") if path.is_dir() else path
    if table is None:
        return _read_bapps_jnd(path)
    root, manifest = table.parent, read_manifest(path) if path.is_dir() else None
    if has_shards(path):
        shards = open_shards(path, cache)
        root, manifest = shards.images, shards.sha256
    rows = read_rows(table, [])
    columns = next((pair for pair in PAIR_COLUMNS if set(pair) <= rows[0].cells.keys()), None)
    if columns is None:
        raise DataError(f"{table}: needs {JND_COLUMNS}; found {', '.join(rows[0].cells)}")
    with naming(table):
        rows = [row for row in rows if row.is_missing("votes") or row.count("votes")]
        if not rows:
            raise DataError(f"{table} has no pair that anybody has judged")
        pairs = [(row.cells[columns[0]], row.cells[columns[1]]) for row in rows]
        same = [_same_share(table, row) for row in rows]
        splits = [row.one_of("split", SPLITS) or "" for row in rows]
        kinds = [row.text("method") for row in rows]
    return _assemble_pairs(root, str(table), pairs, same, kinds, splits, manifest)


def _read_bapps_jnd(folder: Path) -> JndPairs:
    parts = [part for part in (folder, *sorted(folder.iterdir())) if (part / "same").is_dir()]
    judged = [(part, file) for part in parts for file in sorted((part / "same").glob("[!.]*.npy"))]
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
    images, indices = index_images(root, pairs)
    shares = np.array(same, dtype=np.float64)
    return JndPairs(name, images, indices, shares, np.array(kinds), np.array(splits), sha256)


def _same_share(table: Path, row: Row) -> float:
    if "same" in row.cells:
        return row.share("same")
    for column in ("same_votes", "different_votes"):
        if column in row.cells and "votes" in row.cells:
            counted, votes = row.count(column), row.count("votes")
            if counted > votes:
                raise row.bad(f"{column} is {counted}, which is more than votes ({votes})")
            return counted / votes if column == "same_votes" else 1 - counted / votes
    raise DataError(f"{table}: needs {JND_COLUMNS}; found {', '.join(row.cells)}")
