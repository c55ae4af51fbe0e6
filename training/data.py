"""Reads judgments: an export, the NIGHTS folder, a BAPPS folder, a CSV of triplets, THINGS, JND pairs."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.manifest import read_manifest
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
    rows = _rows(table, [*NIGHTS_COLUMNS, *(["status"] if statuses else [])])
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
    rows = _rows(table, ["reference"])
    if not rows:
        raise DataError(f"{table} has no row")
    if {"closer", "farther"} <= rows[0].keys():
        paths = [(row["reference"], row["closer"], row["farther"]) for row in rows]
        targets, votes = [0.0] * len(rows), [0] * len(rows)
    else:
        _require(table, rows[0], ["candidate_0", "candidate_1", "votes_0", "votes_1"])
        counted = [(row, _count(table, row, "votes_0"), _count(table, row, "votes_1")) for row in rows]
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
    judged = [
        (part, file) for part in _bapps_parts(folder) for file in sorted((part / "judge").glob("*.npy"))
    ]
    if not judged:
        raise DataError(f"{folder}: judge/ holds no .npy file")
    names = [f"{part.relative_to(folder)}/{{}}/{file.stem}.png" for part, file in judged]
    return _assemble(
        folder,
        str(folder),
        [(name.format("ref"), name.format("p0"), name.format("p1")) for name in names],
        targets=[_load_share(file) for _, file in judged],
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


def find_images(root: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Absolute paths below `root`.

    Raises DataError for paths that leave it and for files that are not there.
    """
    root = root.resolve()
    images = tuple(root / name for name in names)
    outside = [
        name for name, image in zip(names, images, strict=True) if not image.resolve().is_relative_to(root)
    ]
    if outside:
        raise DataError(f"{root}: {outside[0]} points outside the dataset's folder")
    missing = [name for name, image in zip(names, images, strict=True) if not image.is_file()]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(names)} images are missing, the first is {missing[0]}"
        )
    return images


@dataclass(frozen=True)
class OddOneOut:
    """n choices among three images: `indices` (n, 3) into `images`, the third was chosen as the odd one."""

    name: str
    images: tuple[Path, ...]
    indices: NDArray[np.int64]


def read_things(folder: Path, table: Path) -> OddOneOut:
    """THINGS odd-one-out choices (Hebart et al. 2020): lines of three image numbers, the odd one last.

    The images are `folder/NUMBER.png`. Raises DataError naming the line that is not three numbers.
    """
    try:
        lines = [line.split() for line in table.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"{table}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if len(line) != 3 or not all(part.isdigit() for part in line):
            raise DataError(f"{table}, line {number}: must be three image numbers, the odd one last")
    if not lines:
        raise DataError(f"{table} has no line")
    names = sorted({part for line in lines for part in line}, key=int)
    order = {name: i for i, name in enumerate(names)}
    images = find_images(folder, [f"{name}.png" for name in names])
    return OddOneOut(str(table), images, np.array([[order[part] for part in line] for line in lines]))


@dataclass(frozen=True)
class JndPairs:
    """n "same or different?" pairs: `indices` (n, 2) into `images`, `same` (n,) the share saying same.

    `kinds` (n,) says how the second image was made, where the source tells.
    """

    name: str
    images: tuple[Path, ...]
    indices: NDArray[np.int64]
    same: NDArray[np.float64]
    kinds: NDArray[np.str_]


PAIR_COLUMNS = (("ref_path", "path"), ("reference", "candidate"), ("image_a", "image_b"))
JND_COLUMNS = (
    "two image columns (ref_path and path, reference and candidate, or image_a and image_b) and the answers: "
    "same, a share in [0, 1], or same_votes and votes, or different_votes and votes"
)


def read_jnd(path: Path) -> JndPairs:
    """An export (jnd.csv), a CSV of pairs (pairs.csv in a folder), or a BAPPS JND folder (p0, p1, same)."""
    if path.is_dir() and not any((path / name).is_file() for name in ("jnd.csv", "pairs.csv")):
        return _read_bapps_jnd(path)
    table = next((path / name for name in ("jnd.csv", "pairs.csv") if (path / name).is_file()), path)
    rows = _rows(table, [])
    first = rows[0] if rows else {}
    columns = next((pair for pair in PAIR_COLUMNS if set(pair) <= first.keys()), None)
    if columns is None:
        raise DataError(
            f"{table}: needs at least one row and {JND_COLUMNS}; found {', '.join(first) or 'nothing'}"
        )
    pairs = [(row[columns[0]], row[columns[1]]) for row in rows]
    same = [_same_share(table, row) for row in rows]
    return _assemble_pairs(table.parent, str(table), pairs, same, [row.get("method") or "" for row in rows])


def _read_bapps_jnd(folder: Path) -> JndPairs:
    parts = [part for part in (folder, *sorted(folder.iterdir())) if (part / "same").is_dir()]
    judged = [(part, file) for part in parts for file in sorted((part / "same").glob("*.npy"))]
    if not judged:
        raise DataError(
            f"{folder} holds no JND judgments: wanted jnd.csv, pairs.csv, or p0/, p1/ and same/*.npy"
        )
    names = [f"{part.relative_to(folder)}/{{}}/{file.stem}.png" for part, file in judged]
    pairs = [(name.format("p0"), name.format("p1")) for name in names]
    return _assemble_pairs(
        folder,
        str(folder),
        pairs,
        [_load_share(file) for _, file in judged],
        [part.name for part, _ in judged],
    )


def _assemble_pairs(
    root: Path, name: str, pairs: Sequence[tuple[str, str]], same: Sequence[float], kinds: Sequence[str]
) -> JndPairs:
    order = {path: i for i, path in enumerate(sorted({path for pair in pairs for path in pair}))}
    indices = np.array([[order[path] for path in pair] for pair in pairs], dtype=np.int64)
    images = find_images(root, list(order))
    return JndPairs(name, images, indices, np.array(same, dtype=np.float64), np.array(kinds, dtype=np.str_))


def _same_share(table: Path, row: dict[str, str]) -> float:
    if "same" in row:
        return _share(table, row["same"], "same")
    for column in ("same_votes", "different_votes"):
        if column in row and "votes" in row:
            share = _count(table, row, column) / max(_count(table, row, "votes"), 1.0)
            return _share(table, str(share if column == "same_votes" else 1 - share), column)
    raise DataError(f"{table}: needs {JND_COLUMNS}; found {', '.join(row)}")


def _rows(table: Path, required: Sequence[str]) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            _require(table, reader.fieldnames or (), required)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV ({error})") from None
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{table}, line {number}: has not as many values as the header")
    return rows


def _require(table: Path, found: Iterable[str], required: Sequence[str]) -> None:
    missing = [column for column in required if column not in set(found)]
    if missing:
        raise DataError(
            f"{table}: column {', '.join(missing)} is missing; it has {', '.join(found) or 'none'}"
        )


def _shares(table: Path, rows: Sequence[dict[str, str]], left: str, right: str) -> list[float]:
    targets = []
    for row in rows:
        zero, one = _share(table, row[left], left), _share(table, row[right], right)
        if abs(zero + one - 1) > 1e-3:
            raise DataError(
                f"{table}, id {row['id']}: {left} and {right} must add up to 1, not {zero + one:g}"
            )
        targets.append(one)
    return targets


def _share(table: Path, text: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise DataError(f"{table}: {column} must be a share in [0, 1], not {text!r}")
    return value


def _count(table: Path, row: dict[str, str], column: str) -> float:
    text = row[column]
    if not text.isdigit():
        raise DataError(f"{table}: {column} must be a number of votes, not {text!r}")
    return float(text)


def _load_share(file: Path) -> float:
    try:
        value = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: is not a plain array ({error})") from None
    if value.size != 1:
        raise DataError(f"{file}: must hold one share, not {value.size} numbers")
    return _share(file, str(value.reshape(-1)[0]), "the share")
