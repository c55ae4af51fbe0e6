"""Odd-one-out choices of THINGS."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.tables import find_images


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
