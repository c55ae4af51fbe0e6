"""Files of triplets (the NIGHTS layout, plain CSV) and of pairs, read whole and checked before anything is stored."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.counted import counted
from app.errors import BadInput
from datafiles.errors import BadFile
from datafiles.names import Files
from datafiles.nights import NIGHTS_COLUMNS, NIGHTS_TABLE, SPLITS
from datafiles.rows import Row, quoted
from datafiles.tables import Table, open_table

CSV_REQUIRED = ("reference", "candidate_0", "candidate_1")
CSV_OPTIONAL = ("prompt", "source", "split", "votes_0", "votes_1")
PAIRS_REQUIRED = ("image_a", "image_b")
PAIRS_OPTIONAL = ("pair_id", "prompt", "method", "split", "different_votes", "votes")
TABLES = (".csv", ".tsv")
IMPORTED = (*TABLES, ".png", ".jpg", ".jpeg", ".webp")
"""What the names of tables and images end with, in lower case: nothing else is unpacked or copied."""
MOST_FILES = 500_000
"""Tables and images that are unpacked or copied at most."""
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
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
    return _read(_nights_table(folder), lambda _: _NIGHTS)


def read_csv(path: Path) -> ItemFile:
    """A table with columns reference, candidate_0, candidate_1 and optionally prompt, source, split, votes_0,
    votes_1; image paths are relative to the file.

    Raises:
        BadInput: naming the row and column.
    """
    return _read(path, lambda _: _TRIPLETS)


def read_pairs(path: Path) -> ItemFile:
    """A table of pairs for JND: image_a (shown first), image_b, and optionally pair_id, prompt, method (what made
    the difference), split, different_votes and votes; image paths are relative to the file. Both may be the same image.

    Raises:
        BadInput: naming the row and column.
    """
    return _read(path, lambda _: _PAIRS)


def read_table(path: Path) -> ItemFile:
    """A table of whichever kind, by its columns: those of NIGHTS, or of triplets or pairs.

    Raises:
        BadInput: naming the row and column.
    """
    return _read(path, lambda table: _kind_of(table, path))


def the_table(names: Sequence[str], *, place: str) -> str:
    """Which of a folder's tables says what it holds: NIGHTS' data.csv, or else the only one.

    Args:
        place: what errors call the folder.

    Raises:
        BadInput: there is none, or there are several.
    """
    if not names:
        raise BadInput(
            f"{place} holds no CSV file (.csv or .tsv). Save a table of another kind, such as .xlsx, as CSV."
        )
    wanted = [name for name in names if name.lower() == NIGHTS_TABLE] or list(names)
    if len(wanted) > 1:
        raise BadInput(f"{place} holds more than one CSV file: {', '.join(names[:3])}. Leave the one in it.")
    return wanted[0]


def is_table(name: str) -> bool:
    return name.lower().endswith(TABLES)


@dataclass(frozen=True)
class _Kind:
    """What a table holds: raises BadFile for other columns than its own, and reads a row, which errors call `where`."""

    require: Callable[[Table], None]
    row: Callable[[Row, str, Files], ItemRow]


def _kind_of(table: Table, path: Path) -> _Kind:
    if "image_a" in table.columns:
        return _PAIRS
    if "ref_path" in table.columns or (path.name.lower() == NIGHTS_TABLE and "reference" not in table.columns):
        return _NIGHTS
    return _TRIPLETS


def _nights_table(folder: Path) -> Path:
    """data.csv in whatever capitals; the plain name where there is none."""
    try:
        return Files(folder, follow_links=True).find(NIGHTS_TABLE)
    except (BadFile, OSError):
        return folder / NIGHTS_TABLE


def _read(path: Path, choose: Callable[[Table], _Kind]) -> ItemFile:
    files = Files(path.parent, follow_links=False)
    with _in_words(path), open_table(path) as table:
        kind = choose(table)
        kind.require(table)
        read = (kind.row(row, f"{path.name}, line {row.line}", files) for row in table.rows)
        rows = list(_each_once(read))
        if not rows:
            raise BadFile("the table holds no rows.")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ItemFile(path=path, sha256=sha256, rows=rows)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except BadFile as error:
        where = f"{path}" if error.line is None else f"{path.name}, line {error.line}"
        raise BadInput(f"{where}: {error.message}") from None
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder, not a file.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def _require_nights(table: Table) -> None:
    table.require(NIGHTS_COLUMNS, optional=())


def _require_triplets(table: Table) -> None:
    if {"reference", "closer", "farther"} <= set(table.columns):
        raise BadFile(
            "it looks like training's judged triplets (reference,closer,farther). To have them judged, call the "
            "columns reference,candidate_0,candidate_1; to train on them, no study is needed: docs/training.md"
        )
    table.require(CSV_REQUIRED, optional=CSV_OPTIONAL)
    _require_both(table, "votes_0", "votes_1")


def _require_pairs(table: Table) -> None:
    table.require(PAIRS_REQUIRED, optional=PAIRS_OPTIONAL)
    _require_both(table, "different_votes", "votes")


def _require_both(table: Table, one: str, other: str) -> None:
    if (one in table.columns) != (other in table.columns):
        raise BadFile(f"{one} and {other} come together or not at all.")


def _nights_row(row: Row, where: str, files: Files) -> ItemRow:
    return ItemRow(
        where=where,
        reference=_path(row, "ref_path", files),
        candidate_0=_path(row, "left_path", files),
        candidate_1=_path(row, "right_path", files),
        number=row.count("id"),
        prompt=_text(row, "prompt"),
        split=row.one_of("split", SPLITS),
        is_imagenet=row.truth("is_imagenet"),
        recorded=_recorded_shares(row),
    )


def _triplet_row(row: Row, where: str, files: Files) -> ItemRow:
    has_votes = not (row.is_missing("votes_0") and row.is_missing("votes_1"))
    return ItemRow(
        where=where,
        reference=_path(row, "reference", files),
        candidate_0=_path(row, "candidate_0", files),
        candidate_1=_path(row, "candidate_1", files),
        prompt=_text(row, "prompt"),
        source=_text(row, "source"),
        split=row.one_of("split", SPLITS),
        recorded=(row.count("votes_0"), row.count("votes_1")) if has_votes else None,
    )


def _pair_row(row: Row, where: str, files: Files) -> ItemRow:
    return ItemRow(
        where=where,
        reference=_path(row, "image_a", files),
        candidate_0=_path(row, "image_b", files),
        candidate_1=None,
        number=row.count("pair_id") if "pair_id" in row.cells else None,
        prompt=_text(row, "prompt"),
        source=_text(row, "method"),
        split=row.one_of("split", SPLITS),
        recorded=_recorded_differences(row),
    )


_NIGHTS = _Kind(_require_nights, _nights_row)
_TRIPLETS = _Kind(_require_triplets, _triplet_row)
_PAIRS = _Kind(_require_pairs, _pair_row)


def _path(row: Row, column: str, files: Files) -> Path:
    name = row.cells[column]
    if not name.strip():
        raise row.bad(f"{column} names no file.")
    try:
        return files.find(name)
    except BadFile as error:
        raise row.bad(f"{column} {quoted(name)} {error.message}") from None
    except (OSError, RuntimeError) as error:  # too long a name, a closed folder, a link that leads to itself
        reason = getattr(error, "strerror", None) or error
        raise row.bad(f"{column} {quoted(name)} cannot be opened: {reason}.") from None


def _text(row: Row, column: str) -> str | None:
    value = row.text(column)
    if len(value) > _LONGEST_TEXT:
        raise row.bad(f"{column} is longer than {_LONGEST_TEXT} characters.")
    return value or None


def _recorded_shares(row: Row) -> tuple[int, int]:
    """Vote counts for candidates 0 and 1 from NIGHTS' majority or share columns and the number of votes."""
    votes = row.count("votes")
    if not votes:
        return 0, 0
    left, right = row.share("left_vote"), row.share("right_vote")
    recorded = (left * votes, right * votes)
    if not math.isclose(left + right, 1, abs_tol=1e-6):
        raise row.bad(f"left_vote and right_vote must add up to 1 (got {left:g} and {right:g}).")
    if any(abs(count - round(count)) > 1e-3 for count in recorded):
        raise row.bad(f"left_vote {left:g} of {counted(votes, 'vote')} is not a whole number of votes.")
    return round(recorded[0]), round(recorded[1])


def _recorded_differences(row: Row) -> tuple[int, int] | None:
    """How many said "same" and "different"."""
    if row.is_missing("different_votes") and row.is_missing("votes"):
        return None
    different, votes = row.count("different_votes"), row.count("votes")
    if different > votes:
        raise row.bad(f"different_votes is {different}, which is more than votes ({votes}).")
    return votes - different, different


def _each_once(rows: Iterable[ItemRow]) -> Iterator[ItemRow]:
    """The rows. Raises BadInput at the first that repeats another's number or files, before the next one is read."""
    numbers: dict[int, ItemRow] = {}
    files: dict[tuple[Path, ...], ItemRow] = {}
    for row in rows:
        if row.number is not None and (first := numbers.setdefault(row.number, row)) is not row:
            raise BadInput(f"{row.where}: the id {row.number} is taken by {first.where}.")
        reference, *candidates = row.images
        if (first := files.setdefault((reference, *sorted(candidates)), row)) is not row:
            raise repeated(row, first.where)
        yield row


def repeated(row: ItemRow, where: str) -> BadInput:
    """What is said of a row whose images are those of another one."""
    what = "pair" if row.candidate_1 is None else "reference with the same two candidates"
    return BadInput(f"{row.where}: the same {what} is in {where} already.")
