"""Importing what came as a ZIP file: unpacked with care, then imported like any folder."""

import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from app.db import Sessions
from app.errors import BadInput
from app.services.imports import ImportResult, import_items
from app.services.item_files import IMPORTED, MOST_FILES, read_table, the_table
from app.storage import Storage

LARGEST = 1024 * 2**20
"""Bytes of an upload."""
LARGEST_UNPACKED = 4 * LARGEST
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError,
)  # fmt: skip
_CHUNK = 2**20


def import_archive(
    sessions: Sessions, storage: Storage, *, slug: str, archive: BinaryIO, normalise: bool
) -> ImportResult:
    """Import the items of a ZIP file: a NIGHTS folder, or one CSV file of triplets or pairs with its images.

    Raises:
        BadInput: no such ZIP file, or something in it is not usable. Conflict: the study has started.
    """
    with tempfile.TemporaryDirectory(prefix="lookalike-upload-") as made:
        folder = Path(made).resolve()
        try:
            _unpack(archive, folder)
            tables = sorted(folder.rglob("*.csv"), key=lambda path: (len(path.parts), path))
            wanted = the_table([path.name for path in tables], place="The ZIP file")
            file = read_table(next(path for path in tables if path.name == wanted))
            return import_items(sessions, storage, slug=slug, file=file, normalise=normalise, report=lambda *_: None)
        except BadInput as error:  # files are called as the ZIP file calls them
            raise BadInput(error.message.replace(f"{folder}/", "")) from None


def _unpack(archive: BinaryIO, folder: Path) -> None:
    """Unpack tables and images, and nothing else. What an entry says of its own size is not believed."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = [entry for entry in zipped.infolist() if _is_wanted(entry)]
            if len(entries) > MOST_FILES:
                raise BadInput(f"The ZIP file holds more than {MOST_FILES:,} files.")
            left = LARGEST_UNPACKED
            for entry in entries:
                left = _unpack_entry(zipped, entry, _place_of(entry, folder), left)
    except _UNREADABLE as error:
        raise BadInput(f"This is not a ZIP file that can be read: {error}.") from None


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not entry.is_dir() and not is_hidden and path.suffix.lower() in IMPORTED


def _place_of(entry: zipfile.ZipInfo, folder: Path) -> Path:
    place = (folder / entry.filename).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise BadInput(f"The ZIP file names a file outside itself: {entry.filename!r}.")
    return place


def _unpack_entry(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, left: int) -> int:
    place.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(entry) as packed, place.open("wb") as file:
        while chunk := packed.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BadInput(f"Unpacked, the ZIP file is larger than {LARGEST_UNPACKED // 2**30} GB.")
            file.write(chunk)
    return left
