"""Odd-one-out choices of THINGS."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datafiles.encoding import open_text
from datafiles.errors import BadFile
from datafiles.values import whole_number
from training.errors import DataError
from training.tables import index_images, naming


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
    with naming(table), open_text(table) as text:
        choices = [_choice(line, number) for number, line in enumerate(text, start=1) if line.strip()]
    if not choices:
        raise DataError(f"{table} has no line")
    images, indices = index_images(folder, [[f"{number}.png" for number in choice] for choice in choices])
    return OddOneOut(str(table), images, indices)


def _choice(line: str, number: int) -> list[int]:
    """Three image numbers, separated by spaces, tabs, commas or semicolons."""
    try:
        choice = [whole_number(part) for part in re.split(r"[\s,;]+", line.strip())]
    except ValueError:
        choice = []
    if len(choice) != 3:
        raise BadFile("must be three image numbers, the odd one last", line=number)
    return choice
