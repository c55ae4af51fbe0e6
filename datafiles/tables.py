"""Tables as people save them: what Excel, pandas, R and Windows make of CSV, read row by row in bounded memory."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from datafiles.encoding import open_text
from datafiles.errors import BadFile
from datafiles.rows import Row

LONGEST_ROW = 2**17
"""Characters of a row, which is also the longest cell that Python's csv takes."""
MOST_COLUMNS = 256
_SEPARATORS = (",", ";", "\t")
_EXCEL_SAYS = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_UNNAMED = re.compile(r"unnamed:_[0-9]+(\.[0-9]+)*")  # as pandas calls a column that had no name
_IN_WORDS = (
    ("unexpected end of data", "a quotation mark is opened and never closed"),
    ("expected after", "something stands between a closing quotation mark and the separator"),
)


@dataclass(frozen=True)
class Limits:
    """What of a table is read at most."""

    bytes: int = 256 * 2**20
    rows: int = 1_000_000


@dataclass(frozen=True)
class Table:
    """`columns` in lower case with `_` for spaces, without those that have no name; `rows` come once, as they are
    read, and raise BadFile for what is wrong with the one that is next."""

    columns: tuple[str, ...]
    rows: Iterator[Row]

    def require(self, required: Iterable[str], *, optional: Iterable[str] | None = None) -> None:
        """Raises BadFile for columns that are missing or, given `optional`, not known."""
        required = tuple(required)
        known = self.columns if optional is None else {*required, *optional}
        missing = [name for name in required if name not in self.columns]
        unknown = [name for name in self.columns if name not in known]
        for names, problem in ((missing, "missing"), (unknown, "not known here")):
            if names:
                several = len(names) > 1
                raise BadFile(
                    f"the column{'s' * several} {', '.join(map(repr, names))} {'are' if several else 'is'} {problem}; "
                    f"it has {', '.join(map(repr, self.columns)) or 'none'}.{self._hint}"
                )

    @property
    def _hint(self) -> str:
        """What is likely wrong with a table of a single column: another separator, or a title above the header."""
        if len(self.columns) > 1:
            return ""
        return " The first row must name the columns, with commas, semicolons or tabs between them."


@contextmanager
def open_table(path: Path, limits: Limits = Limits()) -> Iterator[Table]:
    """A table whose first row names its columns: separated by commas, semicolons or tabs, in UTF-8 or UTF-16.

    Not counted as content are empty rows, empty columns at the end, an unnamed index before the others, and spaces
    around the separators' neighbours in the header.

    Raises:
        BadFile: here or while rows are read: it is no table, or larger than the limits. OSError: it cannot be read.
    """
    if path.is_file() and path.stat().st_size > limits.bytes:
        raise BadFile(f"the table is larger than {limits.bytes // 2**20:,} MB.")
    with open_text(path) as file:
        lines = _Lines(file)
        separator, first = _beginning(lines)
        reader = csv.reader(chain(first, lines), delimiter=separator, strict=True, skipinitialspace=True)
        rows = _records(reader, lines)
        _, header = next(rows, (0, []))
        columns = _Columns.of(header)
        yield Table(columns.names, _rows(rows, columns, limits))


class _Lines:
    """The lines of a file, none of them and no row of them longer than `LONGEST_ROW`."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.read = 0
        self._of_row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_ROW + 1)
        if not line:
            raise StopIteration
        self.read += 1
        self._of_row += len(line)
        if self._of_row > LONGEST_ROW:
            raise BadFile(
                f"a row is longer than {LONGEST_ROW:,} characters. A closing quotation mark may be missing.",
                line=self.read,
            )
        if "\0" in line:
            raise BadFile("the line holds null characters: the file is damaged, or not a table.", line=self.read)
        return line

    def row_ended(self) -> None:
        self._of_row = 0


def _beginning(lines: _Lines) -> tuple[str, list[str]]:
    """The separator, and the lines that were read to know it: the header's first one."""
    for line in lines:
        said = _EXCEL_SAYS.fullmatch(line)
        if line.strip() and not said:
            return max(_SEPARATORS, key=lambda separator: _width(line, separator)), [line]
        lines.row_ended()
        if said and said[1] in _SEPARATORS:
            return said[1], []
    raise BadFile("the file is empty.")


def _width(line: str, separator: str) -> int:
    return len(next(csv.reader([line], delimiter=separator, skipinitialspace=True), []))


def _records(reader: Iterator[Sequence[str]], lines: _Lines) -> Iterator[tuple[int, Sequence[str]]]:
    """The rows that hold something, each with the line where it ends."""
    try:
        for cells in reader:
            lines.row_ended()
            if any(cell.strip() for cell in cells):
                yield lines.read, cells
    except csv.Error as error:
        said = next((words for part, words in _IN_WORDS if part in str(error)), str(error))
        raise BadFile(f"this is not CSV: {said}.", line=lines.read) from None


@dataclass(frozen=True)
class _Columns:
    """What the cells of a row belong to; `""` is a column without a name, `first` the first one that has a name."""

    cells: tuple[str, ...]
    names: tuple[str, ...]
    first: int

    @classmethod
    def of(cls, header: Sequence[str]) -> "_Columns":
        cells = tuple("_".join(name.lower().replace("\ufeff", "").split()) for name in header)
        cells = tuple("" if _UNNAMED.fullmatch(name) else name for name in cells)
        names = tuple(filter(None, cells))
        if len(cells) > MOST_COLUMNS:
            raise BadFile(f"the table has {len(cells):,} columns; at most {MOST_COLUMNS} are read.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadFile(f"the table has twice the column{'s' * (len(twice) > 1)} {', '.join(map(repr, twice))}.")
        return cls(cells, names, next((place for place, name in enumerate(cells) if name), len(cells)))

    def row(self, line: int, cells: Sequence[str]) -> Row:
        if any(self.cells[len(cells) :]) or any(cell.strip() for cell in cells[len(self.cells) :]):
            values = f"{len(cells)} value{'s' * (len(cells) != 1)} for {len(self.cells)} columns"
            raise BadFile(f"{values}. {self._cause(len(cells))}", line=line)
        found = {}
        for place, (name, cell) in enumerate(zip(self.cells, cells, strict=False)):
            if name:
                found[name] = cell
            elif cell.strip() and place > self.first:  # what stands before the first name is an index
                raise BadFile(f"column {place + 1} has no name, but holds something. Name or delete it.", line=line)
        return Row(line, found)

    def _cause(self, values: int) -> str:
        in_quotes = "A cell that holds a separator or a line end must stand in quotation marks."
        if values < len(self.cells):
            return f"{in_quotes} Empty cells at the end of a row need their separators, too."
        if values == len(self.cells) + 1:
            return f"{in_quotes} Names of rows need a column of their own: in R, use write.csv or col.names = NA."
        return in_quotes


def _rows(records: Iterator[tuple[int, Sequence[str]]], columns: _Columns, limits: Limits) -> Iterator[Row]:
    for count, (line, cells) in enumerate(records, start=1):
        if count > limits.rows:
            raise BadFile(f"the table has more than {limits.rows:,} rows.")
        yield columns.row(line, cells)
