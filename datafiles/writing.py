"""CSV files, as every one that leaves the product is written."""

import csv
from collections.abc import Iterable
from typing import TextIO

from datafiles.formulas import guard


def write_table(file: TextIO, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Header and rows, separated by commas; None is left empty, and no text is a formula to a spreadsheet."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    return guard(value) if isinstance(value, str) else value
