"""What every reader of judgments needs: rows of tables, shares of arrays, images that are there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datafiles.errors import BadFile
from datafiles.names import Files, NoSuchFile
from datafiles.rows import Row
from datafiles.tables import Limits, open_table
from training.errors import DataError

_LIMITS = Limits(bytes=8 * 2**30, rows=20_000_000)


@contextmanager
def naming(table: Path) -> Iterator[None]:
    """What is wrong with the table becomes a DataError that names it."""
    try:
        yield
    except BadFile as error:
        where = f"{table}" if error.line is None else f"{table}, line {error.line}"
        raise DataError(f"{where}: {error.message}") from None
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror})") from None


def read_rows(table: Path, required: Sequence[str]) -> list[Row]:
    """The rows of a table with at least these columns. Raises DataError, also where there are none."""
    with naming(table), open_table(table, _LIMITS) as opened:
        opened.require(required)
        rows = list(opened.rows)
    if not rows:
        raise DataError(f"{table} has no row")
    return rows


def load_share(file: Path) -> float:
    try:
        value = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: is not a plain array ({error})") from None
    if value.size != 1:
        raise DataError(f"{file}: must hold one share, not {value.size} numbers")
    share = float(value.reshape(-1)[0])
    if not 0 <= share <= 1:
        raise DataError(f"{file}: the share must be between 0 and 1 (got {share})")
    return share


def table_in(folder: Path, *names: str) -> Path | None:
    """The first of these tables that the folder has, in whatever capitals."""
    files = Files(folder, follow_links=True)
    for name in names:
        with suppress(NoSuchFile):
            return files.find(name)
    return None


def index_images(root: Path, rows: Sequence[Sequence[str]]) -> tuple[tuple[Path, ...], NDArray[np.int64]]:
    """The distinct images that n rows name, as absolute paths in order, and where in them each of a row's k is (n, k).

    Links are followed, also out of `root`: research data often are links.
    Raises DataError for names that lead out of it by themselves and for files that are not there.
    """
    found = _find_images(root, sorted({name for row in rows for name in row}))
    images = sorted(set(found.values()), key=str)
    order = {path: place for place, path in enumerate(images)}
    return tuple(images), np.array([[order[found[name]] for name in row] for row in rows], dtype=np.int64)


def _find_images(root: Path, names: Sequence[str]) -> dict[str, Path]:
    files, images, missing = Files(root, follow_links=True), {}, []
    for name in names:
        try:
            images[name] = files.find(name)
        except NoSuchFile:
            missing.append(name)
        except (BadFile, OSError) as error:
            raise DataError(f"{root}: {name} {error}") from None
    if missing:
        raise DataError(f"{root}: {len(missing)} of {len(names)} images are missing, the first is {min(missing)}")
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
            self._names[folder] = {path.stem: path.name for path in there if not path.name.startswith(".")}
        name = self._names[folder].get(judgment.stem, f"{judgment.stem}.png")
        return str((folder / name).relative_to(self._root))
