"""One row of a table, and its cells as what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from datafiles import values
from datafiles.errors import BadFile
from datafiles.formulas import unguard

_LONGEST_QUOTE = 80


def quoted(value: str) -> str:
    """A cell's content as errors quote it."""
    return repr(value if len(value) <= _LONGEST_QUOTE else value[:_LONGEST_QUOTE] + "…")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row by column, as they are written. `line` is where the row ends.

    Every method raises BadFile, naming line and column, for a cell that means nothing of its kind.
    """

    line: int
    cells: dict[str, str]

    def is_missing(self, column: str) -> bool:
        """Whether there is no value: no such column, an empty cell, or what programs write for one."""
        return self.cells.get(column, "").strip().lower() in values.MISSING

    def text(self, column: str) -> str:
        """Words, without spaces around them and without a formula's mark; `""` where there are none."""
        # One kind of line end: a lone carriage return would leave an export as a torn line of CSV.
        return unguard(self.cells.get(column, "").strip()).replace("\r\n", "\n").replace("\r", "\n")

    def count(self, column: str) -> int:
        cell = self.cells.get(column, "")
        try:
            return values.whole_number(cell.strip())
        except ValueError:
            raise self.bad(
                f"{column} must be a whole number from 0 to {10**values.MOST_DIGITS - 1:,} (got {quoted(cell)})."
            ) from None

    def share(self, column: str) -> float:
        """A number in [0, 1]."""
        cell = self.cells.get(column, "")
        try:
            share = values.number(cell.strip())
        except ValueError:
            share = -1
        if not 0 <= share <= 1:
            raise self.bad(f"{column} must be between 0 and 1 (got {quoted(cell)}).")
        return share

    def truth(self, column: str) -> bool:
        cell = self.cells.get(column, "")
        try:
            return values.truth(cell.strip())
        except ValueError:
            raise self.bad(f"{column} must be True or False (got {quoted(cell)}).") from None

    def one_of(self, column: str, allowed: Sequence[str]) -> str | None:
        """One of these lower-case words, in whatever case; None where there is none."""
        if self.is_missing(column):
            return None
        word = self.cells[column].strip()
        if word.lower() not in allowed:
            raise self.bad(f"{column} must be {', '.join(allowed)} or empty (got {quoted(word)}).")
        return word.lower()

    def bad(self, message: str) -> BadFile:
        """An error about this row."""
        return BadFile(message, line=self.line)
