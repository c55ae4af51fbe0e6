"""ZIP files as people pack them: tables and images unpacked with care, and nothing else."""

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from app.errors import BadInput
from app.services.items.item_files import IMPORTED, is_table, the_table

MOST_FILES = 100_000
LARGEST_UNPACKED = 4 * 2**30
LARGEST_RATIO = 100
"""How many times its own size a ZIP file may unpack to, beyond `ANY_RATIO` bytes: images do not shrink."""
ANY_RATIO = 64 * 2**20
_LARGEST_DIRECTORY = 32 * 2**20  # as much as names in plenty take; it is read whole into memory
_LONGEST_NAME, _LONGEST_PATH = 255, 1000  # bytes, as file systems have it
_CHUNK = 2**20
_IS_UTF8 = 0x800
_ENCRYPTED = 0x1
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, RuntimeError, ValueError, EOFError, OSError,
)  # fmt: skip


def unpack(archive: Path, folder: Path, *, report: Callable[[str, int, int], None]) -> Path:
    """Unpack into the folder; returns the table that says what there is: data.csv, or the only one, however deep.

    Raises:
        BadInput: it is no such ZIP file, or larger than the limits. What entries say of their own size is not believed.
    """
    try:
        with archive.open("rb") as file, zipfile.ZipFile(cast(BinaryIO, _Bounded(file))) as zipped:
            members = list(_wanted(zipped))
            left = min(LARGEST_UNPACKED, max(ANY_RATIO, LARGEST_RATIO * archive.stat().st_size))
            for done, member in enumerate(members):
                report("unpacking files", done, len(members))
                left = _unpack_member(zipped, member, folder, left)
    except NotImplementedError:
        raise BadInput("The ZIP file is packed by a method that is not read here. Pack it with Deflate.") from None
    except _UNREADABLE as error:
        raise BadInput(f"This is not a ZIP file that can be read: {error}.") from None
    tables = sorted((folder / member.path for member in members if is_table(member.path)), key=lambda t: len(t.parts))
    wanted = the_table(list(dict.fromkeys(table.name for table in tables)), place="The ZIP file")
    return next(table for table in tables if table.name == wanted)


@dataclass(frozen=True)
class _Member:
    """A file in a ZIP file, and its path in the folder."""

    info: zipfile.ZipInfo
    path: str


class _Bounded:
    """The file, read in no larger pieces than its directory of names may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, _LARGEST_DIRECTORY + 1) if size >= 0 else _LARGEST_DIRECTORY + 1)
        if len(data) > _LARGEST_DIRECTORY:
            raise BadInput("The ZIP file holds too many files.")
        return data

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def _wanted(zipped: zipfile.ZipFile) -> Iterator[_Member]:
    """The tables and images, without what systems add (.DS_Store, __MACOSX and ._ files, Thumbs.db)."""
    seen: set[str] = set()
    for info in zipped.infolist():
        parts = [part for part in re.split(r"[/\\]+", _name(info)) if part not in ("", ".")]
        is_hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if not parts or is_hidden or not parts[-1].lower().endswith(IMPORTED) or info.is_dir():
            continue
        path = "/".join(parts)
        if len(path.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts):
            raise BadInput(f"The ZIP file holds a file whose name is too long: {path[:80]!r}….")
        if path in seen:
            raise BadInput(f"The ZIP file holds {path!r} twice.")
        if info.flag_bits & _ENCRYPTED:
            raise BadInput("The ZIP file is encrypted. Pack it without a password.")
        seen.add(path)
        if len(seen) > MOST_FILES:
            raise BadInput(f"The ZIP file holds more than {MOST_FILES:,} tables and images.")
        yield _Member(info, path)


def _name(info: zipfile.ZipInfo) -> str:
    """Its name: what does not say that it is UTF-8 often is, from macOS; else it is the DOS code page."""
    if not info.flag_bits & _IS_UTF8:
        try:
            return info.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return info.filename


def _unpack_member(zipped: zipfile.ZipFile, member: _Member, folder: Path, left: int) -> int:
    """Returns how many more bytes may be unpacked. Every part of its path is a plain name: it stays in the folder."""
    place = folder / member.path
    place.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member.info) as packed, place.open("xb") as file:
        while chunk := packed.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BadInput(
                    f"Unpacked, the ZIP file is larger than {LARGEST_UNPACKED // 2**30} GB, or than {LARGEST_RATIO} "
                    "times its own size."
                )
            file.write(chunk)
    return left
