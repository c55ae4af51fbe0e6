"""A bounded copy on local disk of what is read from a store far away."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

import structlog

from app.errors import NotFound, Unavailable
from app.storage.base import Storage, Stored
from app.storage.local import LocalStorage, write_aside

log = structlog.get_logger()

ROOM = 0.1
"""The share of the limit that is freed when the cache is full, so that this happens seldom."""


class CachedStorage:
    """What was read is kept in `folder`, at most `limit` bytes of it; what was not used for longest goes first.

    Any number of threads and processes may share the folder. Every read is hashed again, from the cache as from the
    store behind it: a damaged copy is fetched anew. A full disk costs speed, nothing else.
    """

    def __init__(self, store: Storage, folder: Path, *, limit: int) -> None:
        self._store = store
        self._folder = folder
        self._limit = limit
        self._copies = LocalStorage(folder)

    def put(self, data: bytes) -> str:
        return self._store.put(data)

    def get(self, key: str) -> bytes:
        path = self._folder / key[:2] / key[2:]
        try:
            data = self._copies.get(key)
            with suppress(OSError):  # evicted meanwhile, or a folder that became read-only
                os.utime(path)
        except (NotFound, Unavailable, OSError):
            data = self._store.get(key)
            self._keep(path, data)
        return data

    def objects(self) -> Iterator[Stored]:
        return self._store.objects()

    def delete(self, key: str) -> None:
        self._copies.delete(key)
        self._store.delete(key)

    def sweep(self, *, before: datetime, remove: bool) -> list[str]:
        return self._store.sweep(before=before, remove=remove)

    def _keep(self, path: Path, data: bytes) -> None:
        if len(data) > self._limit * ROOM:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "bytes").open("a+") as count:
                fcntl.flock(count, fcntl.LOCK_EX)  # ends with its holder, however that ends
                used = self._with_room(len(data), said=_read(count))
                count.truncate(0)
                count.write(str(used + len(data)))
                count.flush()  # first: who is killed now leaves a count that is too high, not too low
                write_aside(path, data)
        except OSError as error:
            log.warning("an image could not be cached", folder=str(self._folder), error=str(error))

    def _with_room(self, size: int, *, said: str) -> int:
        """Remove what was not used for longest if there is no room for so many bytes; returns how many there are."""
        used = int(said) if said.isdecimal() else None
        if used is not None and used + size <= self._limit:
            return used
        files = sorted(((path, path.stat()) for path in self._folder.glob("??/*")), key=lambda file: file[1].st_mtime)
        used = sum(found.st_size for _, found in files)
        wanted = self._limit if used + size <= self._limit else int(self._limit * (1 - ROOM))
        for path, found in files:
            if used + size <= wanted:
                break
            path.unlink(missing_ok=True)
            used -= found.st_size
        return used


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read()
