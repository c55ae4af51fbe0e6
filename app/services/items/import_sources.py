"""Where the dashboard and the API import from: one folder of the server's, or what of a bucket begins with one prefix.

What browsers and programs name is a path below that place. Nothing outside it is ever read, whatever they write and
wherever links in it lead.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.errors import BadInput, Unavailable
from app.services.items.imports import Report
from app.services.items.item_files import IMPORTED, MOST_FILES, is_table, the_table
from app.settings import Settings
from app.storage import open_place

if TYPE_CHECKING:
    from app.storage.s3 import Bucket

MOST_SHOWN = 1000
"""Folders that a listing names."""
_READERS = 16
_FILES_PER_CHUNK = 64
_LONGEST = 500
_SUGGESTED = 5


@dataclass(frozen=True)
class Listing:
    """What lies directly in a folder: further folders, and tables; by name, in order."""

    folders: Sequence[str]
    tables: Sequence[str]


class ImportSource(Protocol):
    """The one place; as a string, what people know it by. Folders are called by their path below it, `""` is itself."""

    def look(self, folder: str) -> Listing:
        """Raises BadInput if there is no such folder, Unavailable if the place cannot be reached."""

    def fetch(self, folder: str, *, into: Path, report: Report) -> Path:
        """The folder as one on this machine, copied `into` one if it is far away; what is there is not copied again.

        Raises BadInput if there is no such folder, Unavailable if the place cannot be reached or the disk is full.
        """


def open_import_source(settings: Settings, *, for_server: bool = False) -> ImportSource:
    """Nothing is looked at yet. See `open_storage`."""
    place = open_place(settings, settings.import_place, for_server=for_server)
    return FolderSource(place.absolute()) if isinstance(place, Path) else BucketSource(place)


def require_table(place: ImportSource, folder: str) -> str:
    """The name of the table that says what a folder holds.

    Raises:
        BadInput: there is no such folder, it holds no table, or several; the message suggests others.
    """
    if not folder:
        raise BadInput("Name a folder to import.")
    try:
        return the_table(place.look(folder).tables, place=f"The folder {folder!r}")
    except BadInput as error:
        raise BadInput(error.message + _suggestions(place, folder)) from None


def _suggestions(place: ImportSource, folder: str) -> str:
    """The folders in it, or else the first ones there are."""
    try:
        found = place.look(folder).folders
    except BadInput:
        folder, found = "", place.look("").folders
    if not found:
        return ""
    names = [f"{folder}/{name}".lstrip("/") for name in found[:_SUGGESTED]]
    return f" There is {', '.join(map(repr, names))}{' and more' if len(found) > len(names) else ''}."


def _require_path(folder: str) -> None:
    """Raises BadInput for what is no plain path below the place."""
    if folder and not (len(folder) <= _LONGEST and all(map(_is_plain, folder.split("/")))):
        shown = folder if len(folder) <= _LONGEST else folder[:_LONGEST] + "…"
        raise BadInput(f"{shown!r} names no folder here: write its path below the place of imports, such as 'shoes'.")


def _is_plain(name: str) -> bool:
    """A name without hidden or special meaning."""
    return bool(name) and name.isprintable() and not name.startswith(".")


def _listing(folders: Iterable[str], files: Iterable[str]) -> Listing:
    return Listing(
        sorted(islice(filter(_is_plain, folders), MOST_SHOWN)),
        sorted(name for name in files if _is_plain(name) and is_table(name)),
    )


@dataclass(frozen=True)
class FolderSource:
    """A folder of this machine, which servers and workers share. Links are followed as long as they stay in it."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def look(self, folder: str) -> Listing:
        path = self._path(folder)
        try:
            with os.scandir(path) as entries:
                found = [entry for entry in entries if not entry.is_symlink() or self._is_inside(Path(entry))]
                folders = [entry.name for entry in found if entry.is_dir()]
                return _listing(folders, [entry.name for entry in found if entry.is_file()])
        except FileNotFoundError:  # nobody has made the place yet
            return Listing([], [])
        except OSError as error:
            raise BadInput(f"The folder {folder!r} cannot be read: {error.strerror}.") from None

    def fetch(self, folder: str, *, into: Path, report: Report) -> Path:  # noqa: ARG002 - it is here already
        return self._path(folder)

    def _path(self, folder: str) -> Path:
        _require_path(folder)
        path = self.root / folder
        try:
            if folder and not (self._is_inside(path) and path.is_dir()):
                raise BadInput(f"There is no folder {folder!r} among the imports.")
            return path.resolve()
        except OSError as error:
            raise BadInput(f"The folder {folder!r} cannot be opened: {error.strerror}.") from None

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.root.resolve())
        except (OSError, RuntimeError):  # a link that leads to itself
            return False


@dataclass(frozen=True)
class BucketSource:
    """What of a bucket begins with a prefix."""

    bucket: "Bucket"

    def __str__(self) -> str:
        return str(self.bucket)

    def look(self, folder: str) -> Listing:
        bucket = self._within(folder)
        found = _listing(bucket.folders(), (name for name, _, _ in bucket.entries()))
        if folder and not found.folders and not found.tables and bucket.is_empty():
            raise BadInput(f"There is no folder {folder!r} among the imports.")
        return found

    def fetch(self, folder: str, *, into: Path, report: Report) -> Path:
        bucket = self._within(folder)
        files = [file for file in islice(bucket.files(), MOST_FILES + 1) if _is_imported(file[0])]
        if not files:
            raise BadInput(f"There is no folder {folder!r} among the imports.")
        if len(files) > MOST_FILES:
            raise BadInput(f"The folder {folder!r} holds more than {MOST_FILES:,} files.")
        into.mkdir(parents=True, exist_ok=True)
        missing = [(name, size) for name, size in files if not _is_there(into / name, size)]
        _require_room(into, sum(size for _, size in missing))
        with ThreadPoolExecutor(_READERS) as readers:
            for start in range(0, len(missing), _FILES_PER_CHUNK):
                report("copying files", len(files) - len(missing) + start, len(files))
                chunk = [name for name, _ in missing[start : start + _FILES_PER_CHUNK]]
                list(readers.map(lambda name: _copy(bucket, name, into / name), chunk))
        return into.resolve()

    def _within(self, folder: str) -> "Bucket":
        _require_path(folder)
        return self.bucket.within(folder)


def _is_imported(name: str) -> bool:
    """Tables and images under plain names: any other could lead out of the folder that it is copied to."""
    return name.lower().endswith(IMPORTED) and all(map(_is_plain, name.split("/")))


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _require_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise Unavailable(
            f"{wanted / 10**9:,.1f} GB are to be copied, and the worker's disk has room for {free / 10**9:,.1f} GB."
        )


def _copy(bucket: "Bucket", name: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        bucket.download(name, path)
    except OSError as error:
        raise Unavailable(f"{name} cannot be copied to the worker's disk: {error.strerror}.") from None
