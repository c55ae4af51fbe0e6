"""Where image bytes lie: by the sha256 of their content, written once and never changed."""

import errno
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from app.errors import NotFound, Unavailable


class Storage(Protocol):
    """Content-addressed bytes. `put` returns once they are durable, so rows that name a key are written after it."""

    def put(self, data: bytes) -> str:
        """Store the bytes under their sha256 (hex) and return it; the same content is stored once.

        Raises:
            Unavailable: no space left, or the store cannot be reached.
        """

    def get(self, key: str) -> bytes:
        """Raises NotFound for an unknown key, Unavailable if the stored bytes are not what their key says."""


class LocalStorage:
    """A folder: `ab/cdef…` for the key `abcdef…`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        key = hashlib.sha256(data).hexdigest()
        path = self._path(key)
        if not path.exists():
            try:
                _write_durably(path, data)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise Unavailable(
                    f"The disk of {self._folder} is full. Make room there and run the command again."
                ) from None
        return key

    def get(self, key: str) -> bytes:
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"There is no stored image {key}.") from None
        if hashlib.sha256(data).hexdigest() != key:
            raise Unavailable(f"The stored image {key} is damaged: its bytes are not what its name says.")
        return data

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


def _write_durably(path: Path, data: bytes) -> None:
    """Complete or absent, also after a power cut: written aside, synced, renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A new name is on disk once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
