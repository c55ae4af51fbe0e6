"""What every reader of judgments needs: CSV by column name, shares and counts, images that are there."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from training.errors import DataError


def read_rows(table: Path, required: Sequence[str]) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            require_columns(table, reader.fieldnames or (), required)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV ({error})") from None
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{table}, line {number}: has not as many values as the header")
    return rows


def require_columns(table: Path, found: Iterable[str], required: Sequence[str]) -> None:
    missing = [column for column in required if column not in set(found)]
    if missing:
        raise DataError(f"{table}: column {', '.join(missing)} is missing; it has {', '.join(found) or 'none'}")


def parse_share(table: Path, text: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise DataError(f"{table}: {column} must be a share in [0, 1], not {text!r}")
    return value


def parse_count(table: Path, row: dict[str, str], column: str) -> float:
    text = row[column]
    if not text.isdigit():
        raise DataError(f"{table}: {column} must be a number of votes, not {text!r}")
    return float(text)


def load_share(file: Path) -> float:
    try:
        value = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: is not a plain array ({error})") from None
    if value.size != 1:
        raise DataError(f"{file}: must hold one share, not {value.size} numbers")
    return parse_share(file, str(value.reshape(-1)[0]), "the share")


def find_images(root: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Absolute paths below `root`.

    Raises DataError for paths that leave it and for files that are not there.
    """
    root = root.resolve()
    images = tuple(root / name for name in names)
    outside = [name for name, image in zip(names, images, strict=True) if not image.resolve().is_relative_to(root)]
    if outside:
        raise DataError(f"{root}: {outside[0]} points outside the dataset's folder")
    missing = [name for name, image in zip(names, images, strict=True) if not image.is_file()]
    if missing:
        raise DataError(f"{root}: {len(missing)} of {len(names)} images are missing, the first is {missing[0]}")
    return images


class BappsImages:
    """The images beside judgments: of the same name, with whatever extension."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, dict[str, str]] = {}

    def __call__(self, folder: Path, judgment: Path) -> str:
        """The image's path relative to the root; one that is missing is named as BAPPS would have it."""
        if folder not in self._names:
            there = folder.iterdir() if folder.is_dir() else ()
            self._names[folder] = {path.stem: path.name for path in there}
        name = self._names[folder].get(judgment.stem, f"{judgment.stem}.png")
        return str((folder / name).relative_to(self._root))
