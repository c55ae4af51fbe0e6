"""Files of triplets (the NIGHTS layout, plain CSV) and of pairs, read whole and checked before anything is stored."""

import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import BadInput

NIGHTS_COLUMNS = (
    "id", "left_vote", "right_vote", "votes", "ref_path", "left_path", "right_path", "split", "is_imagenet", "prompt",
)  # fmt: skip
CSV_REQUIRED = ("reference", "candidate_0", "candidate_1")
CSV_OPTIONAL = ("prompt", "source", "split", "votes_0", "votes_1")
PAIRS_REQUIRED = ("image_a", "image_b")
PAIRS_OPTIONAL = ("pair_id", "prompt", "method", "split", "different_votes", "votes")
SPLITS = ("train", "val", "test")
IMPORTED = (".csv", ".png", ".jpg", ".jpeg", ".webp")
"""What the names of tables and images end with, in lower case: nothing else is unpacked or copied."""
MOST_FILES = 500_000
"""Tables and images that are unpacked or copied at most."""
_NIGHTS = "data.csv"
_LONGEST_HEADER = 10_000
_LONGEST_TEXT = 1000
_LONGEST_QUOTE = 80
_MOST_DIGITS = 9  # of a whole number; leaves numbers for the items that come after, in the database's 32 bits


@dataclass(frozen=True)
class ItemRow:
    """One triplet or pair of a file; a pair has no candidate 1. `where` is what errors call it; paths are resolved and
    inside the file's folder.

    `number` is None where the file does not number its rows; `recorded` are reference answers for candidates 0 and 1,
    of a pair for "same" and "different".
    """

    where: str
    reference: Path
    candidate_0: Path
    candidate_1: Path | None
    number: int | None = None
    prompt: str | None = None
    source: str | None = None
    split: str | None = None
    is_imagenet: bool = False
    recorded: tuple[int, int] | None = None

    @property
    def images(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.reference, self.candidate_0, self.candidate_1) if path is not None)


@dataclass(frozen=True)
class ItemFile:
    """All rows of a file, of one kind, and the sha256 of its bytes."""

    path: Path
    sha256: str
    rows: list[ItemRow]


def read_nights(folder: Path) -> ItemFile:
    """`folder/data.csv` in the NIGHTS columns: candidate 0 is left_path's image, 1 right_path's, whatever the names.

    Raises:
        BadInput: naming the row and column.
    """
    return _read(folder / _NIGHTS, _require_nights_columns, _nights_row)


def read_csv(path: Path) -> ItemFile:
    """A CSV file with columns reference, candidate_0, candidate_1 and optionally prompt, source, split, votes_0,
    votes_1; image paths are relative to the file.

    Raises:
        BadInput: naming the row and column.
    """
    return _read(path, _require_csv_columns, _csv_row)


def read_pairs(path: Path) -> ItemFile:
    """A CSV file of pairs for JND: image_a (shown first), image_b, and optionally pair_id, prompt, method (what made
    the difference), split, different_votes and votes; image paths are relative to the file. Both may be the same image.

    Raises:
        BadInput: naming the row and column.
    """
    return _read(path, _require_pairs_columns, _pairs_row)


def the_table(names: Sequence[str], *, place: str) -> str:
    """Which of a folder's CSV files says what it holds: NIGHTS' data.csv, or else the only one.

    Args:
        place: what errors call the folder.

    Raises:
        BadInput: there is none, or there are several.
    """
    if not names:
        raise BadInput(f"{place} holds no CSV file.")
    if _NIGHTS not in names and len(names) > 1:
        raise BadInput(f"{place} holds more than one CSV file: {', '.join(names[:3])}.")
    return _NIGHTS if _NIGHTS in names else names[0]


def read_table(path: Path) -> ItemFile:
    """A table of whichever kind: data.csv in the NIGHTS columns, or a CSV file of triplets or pairs.

    Raises:
        BadInput: naming the row and column.
    """
    if path.name == _NIGHTS:
        return read_nights(path.parent)
    return read_pairs(path) if _holds_pairs(path) else read_csv(path)


def _holds_pairs(table: Path) -> bool:
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        return "image_a" in file.readline(_LONGEST_HEADER)


RowReader = Callable[[dict[str, str], str, Path], ItemRow]


def _read(path: Path, require_columns: Callable[[list[str], Path], None], read_row: RowReader) -> ItemFile:
    data = _bytes(path)
    # Lines end where CSV says so; str.splitlines would also break them at U+2028 and the like inside a cell.
    reader = csv.reader(io.StringIO(_text_of(data, path), newline=""), strict=True)
    lines = (cells for cells in reader if cells)
    folder = path.parent.resolve()
    try:
        header = next(lines, None)
        if header is None:
            raise BadInput(f"{path} is empty.")
        require_columns(header, path)
        rows = []
        for cells in lines:
            where = f"{path.name}, line {reader.line_num}"
            rows.append(read_row(_cells(header, cells, where), where, folder))
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: this is not CSV ({error}).") from None
    if not rows:
        raise BadInput(f"{path} holds no rows.")
    _require_unique_numbers(rows)
    return ItemFile(path=path, sha256=hashlib.sha256(data).hexdigest(), rows=rows)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder, not a file.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def _text_of(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (at byte {error.start}).") from None


def _cells(header: list[str], cells: list[str], where: str) -> dict[str, str]:
    if len(cells) != len(header):
        raise BadInput(f"{where}: {len(cells)} values for {len(header)} columns.")
    return dict(zip(header, cells, strict=True))


def _require_nights_columns(header: list[str], path: Path) -> None:
    _require_columns(header, path, required=NIGHTS_COLUMNS, optional=())


def _require_csv_columns(header: list[str], path: Path) -> None:
    if {"reference", "closer", "farther"} <= set(header):
        raise BadInput(
            f"{path} looks like training's judged triplets (reference,closer,farther). To have them judged, call the "
            "columns reference,candidate_0,candidate_1; to train on them, no study is needed: docs/training.md"
        )
    _require_columns(header, path, required=CSV_REQUIRED, optional=CSV_OPTIONAL)
    if ("votes_0" in header) != ("votes_1" in header):
        raise BadInput(f"{path}: votes_0 and votes_1 come together or not at all.")


def _require_pairs_columns(header: list[str], path: Path) -> None:
    _require_columns(header, path, required=PAIRS_REQUIRED, optional=PAIRS_OPTIONAL)
    if ("different_votes" in header) != ("votes" in header):
        raise BadInput(f"{path}: different_votes and votes come together or not at all.")


def _require_columns(header: list[str], path: Path, *, required: Iterable[str], optional: Iterable[str]) -> None:
    missing = [name for name in required if name not in header]
    unknown = [name for name in header if name not in {*required, *optional}]
    twice = sorted({name for name in header if header.count(name) > 1})
    for problem, names in (("is missing", missing), ("does not know", unknown), ("has twice", twice)):
        if names:
            raise BadInput(f"{path} {problem} the column{'s' * (len(names) > 1)} {', '.join(map(repr, names))}.")


def _nights_row(cells: dict[str, str], where: str, folder: Path) -> ItemRow:
    return ItemRow(
        where=where,
        reference=_path(cells, "ref_path", where, folder),
        candidate_0=_path(cells, "left_path", where, folder),
        candidate_1=_path(cells, "right_path", where, folder),
        number=_count(cells, "id", where),
        prompt=_text(cells, "prompt", where),
        split=_split(cells, where),
        is_imagenet=_boolean(cells, "is_imagenet", where),
        recorded=_recorded_shares(cells, where),
    )


def _csv_row(cells: dict[str, str], where: str, folder: Path) -> ItemRow:
    recorded = None
    if cells.get("votes_0") or cells.get("votes_1"):
        recorded = (_count(cells, "votes_0", where), _count(cells, "votes_1", where))
    return ItemRow(
        where=where,
        reference=_path(cells, "reference", where, folder),
        candidate_0=_path(cells, "candidate_0", where, folder),
        candidate_1=_path(cells, "candidate_1", where, folder),
        prompt=_text(cells, "prompt", where),
        source=_text(cells, "source", where),
        split=_split(cells, where),
        recorded=recorded,
    )


def _pairs_row(cells: dict[str, str], where: str, folder: Path) -> ItemRow:
    return ItemRow(
        where=where,
        reference=_path(cells, "image_a", where, folder),
        candidate_0=_path(cells, "image_b", where, folder),
        candidate_1=None,
        number=_count(cells, "pair_id", where) if "pair_id" in cells else None,
        prompt=_text(cells, "prompt", where),
        source=_text(cells, "method", where),
        split=_split(cells, where),
        recorded=_recorded_differences(cells, where),
    )


def _path(cells: dict[str, str], column: str, where: str, folder: Path) -> Path:
    name = cells[column]
    if not name or "\0" in name:
        raise BadInput(f"{where}: {column} names no file.")
    called = f"{where}: {column} {_shown(name)}"
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise BadInput(f"{called} leads out of the file's folder.")
        if not path.exists():
            raise BadInput(f"{called} does not exist.")
        if not path.is_file():
            raise BadInput(f"{called} is no file.")
    except (OSError, RuntimeError) as error:  # too long a name, a closed folder, a link that leads to itself
        raise BadInput(f"{called} cannot be opened: {getattr(error, 'strerror', None) or error}.") from None
    return path


def _shown(value: str) -> str:
    """A cell's content as errors quote it."""
    return repr(value if len(value) <= _LONGEST_QUOTE else value[:_LONGEST_QUOTE] + "…")


def _count(cells: dict[str, str], column: str, where: str) -> int:
    value = cells[column].strip()
    digits = value.lstrip("0") or value[-1:]
    if not (value.isascii() and value.isdigit()) or len(digits) > _MOST_DIGITS:
        raise BadInput(
            f"{where}: {column} must be a whole number from 0 to {10**_MOST_DIGITS - 1:,} "
            f"(got {_shown(cells[column])})."
        )
    return int(digits)


def _recorded_shares(cells: dict[str, str], where: str) -> tuple[int, int]:
    """Vote counts for candidates 0 and 1 from NIGHTS' majority or share columns and the number of votes."""
    votes = _count(cells, "votes", where)
    left, right = (_share(cells, column, where) for column in ("left_vote", "right_vote"))
    recorded = (left * votes, right * votes)
    if votes and not math.isclose(left + right, 1, abs_tol=1e-6):
        raise BadInput(f"{where}: left_vote and right_vote must add up to 1 (got {left:g} and {right:g}).")
    if any(abs(count - round(count)) > 1e-3 for count in recorded):
        raise BadInput(f"{where}: left_vote {left:g} of {votes} votes is not a whole number of votes.")
    return round(recorded[0]), round(recorded[1])


def _recorded_differences(cells: dict[str, str], where: str) -> tuple[int, int] | None:
    """How many said "same" and "different"."""
    if not (cells.get("different_votes") or cells.get("votes")):
        return None
    different, votes = _count(cells, "different_votes", where), _count(cells, "votes", where)
    if different > votes:
        raise BadInput(f"{where}: different_votes is {different}, but there are {votes} votes.")
    return votes - different, different


def _share(cells: dict[str, str], column: str, where: str) -> float:
    try:
        share = float(cells[column])
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise BadInput(f"{where}: {column} must be between 0 and 1 (got {_shown(cells[column])}).")
    return share


def _text(cells: dict[str, str], column: str, where: str) -> str | None:
    # One kind of line end: a lone carriage return would leave an export as a torn line of CSV.
    value = cells.get(column, "").strip().replace("\r\n", "\n").replace("\r", "\n")
    if len(value) > _LONGEST_TEXT or "\0" in value:
        raise BadInput(f"{where}: {column} is longer than {_LONGEST_TEXT} characters or holds a null character.")
    return value or None


def _split(cells: dict[str, str], where: str) -> str | None:
    value = cells.get("split", "").strip()
    if value and value not in SPLITS:
        raise BadInput(f"{where}: split must be {', '.join(SPLITS)} or empty (got {_shown(value)}).")
    return value or None


def _boolean(cells: dict[str, str], column: str, where: str) -> bool:
    value = cells[column].strip().lower()
    if value not in ("true", "false", "1", "0"):
        raise BadInput(f"{where}: {column} must be True or False (got {_shown(cells[column])}).")
    return value in ("true", "1")


def _require_unique_numbers(rows: list[ItemRow]) -> None:
    first: dict[int, str] = {}
    for row in rows:
        if row.number is not None and first.setdefault(row.number, row.where) != row.where:
            raise BadInput(f"{row.where}: the id {row.number} is taken by {first[row.number]}.")
