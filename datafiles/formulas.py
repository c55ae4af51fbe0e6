"""Cells that a spreadsheet would run as formulas: marked in the CSV files that we write, and read back as they were.

The mark is an apostrophe before the text. It also goes before a text that already begins with apostrophes and would be
a formula without them, so that taking one apostrophe off gives back exactly what was written.
"""

import unicodedata

_STARTS = ("=", "+", "-", "@")
_TORN = ("\t", "\r", "\n")
"""Separators of rows and cells: programs that split there see what follows as the beginning of a cell."""
_UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp")
"""Characters that programs drop before they look at a cell, such as a byte order mark."""


def guard(text: str) -> str:
    """The text as a cell of a CSV file."""
    return f"'{text}" if _would_run(text.lstrip("'")) else text


def unguard(cell: str) -> str:
    """The text that `guard` made the cell of."""
    return cell[1:] if cell.startswith("'") and _would_run(cell.lstrip("'")) else cell


def _would_run(text: str) -> bool:
    if text.startswith(_TORN):
        return True
    seen = next((letter for letter in text if unicodedata.category(letter) not in _UNSEEN), "")
    # East Asian programs take the full-width forms, ＝ say, as the plain ones.
    return unicodedata.normalize("NFKC", seen).startswith(_STARTS)
