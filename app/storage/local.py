"""Images in a folder of this machine."""

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from app.errors import Unavailable
from app.storage.base import KEY, Stored, missing, verified

DRAFT = ".draft-"


class LocalStorage:
    """A folder: `ab/cdef…` for the key `abcdef…`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        key = hashlib.sha256(data).hexdigest()
        path = self._path(key)
        try:
            os.utime(path)
        except FileNotFoundError:
            self._write(path, data)
        return key

    def get(self, key: str) -> bytes:
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            raise missing(key) from None
        return verified(key, data)

    def objects(self) -> Iterator[Stored]:
        for path in self._files():
            key = path.parent.name + path.name
            if re.fullmatch(KEY, key):
                with suppress(FileNotFoundError):  # deleted since it was listed
                    found = path.stat()
                    yield Stored(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def sweep(self, *, before: datetime, remove: bool) -> list[str]:
        names = []
        for path in self._files():
            with suppress(FileNotFoundError):  # renamed into place since it was listed
                if path.name.startswith(DRAFT) and path.stat().st_mtime < before.timestamp():
                    names.append(str(path.relative_to(self._folder)))
                    if remove:
                        path.unlink()
        return names

    def _files(self) -> Iterator[Path]:
        return self._folder.glob("??/*")

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_durably(path, data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Unavailable(
                f"The disk of {self._folder} is full. Make room there and run the command again."
            ) from None


def write_durably(path: Path, data: bytes) -> None:
    """Complete or absent, also after a power cut: written aside, synced, renamed into place."""
    write_aside(path, data, sync=True)
    _sync_folder(path.parent)


def write_aside(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Complete or absent for whoever looks, but for a power cut if not synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=DRAFT)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """A new name is on disk once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
