"""A bounded copy on local disk of what is read from a store far away."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import structlog

from app.errors import NotFound, Unavailable
from app.storage.base import Storage, Stored
from app.storage.local import DRAFT, LocalStorage, write_aside

log = structlog.get_logger()

ROOM = 0.1
"""The share of the limit that is freed when the cache is full, so that this happens seldom."""
ABANDONED_S = 3600
"""The age at which a half-written file is taken for what a killed process left."""


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
            with self._budget() as budget:
                used = int(budget.read_text() or 0) + len(data)
                if used > self._limit:
                    used = self._evict(down_to=int(self._limit * (1 - ROOM)) - len(data)) + len(data)
                # Before the bytes are there: a process killed in between leaves a count that is too high.
                budget.write_text(str(used))
            write_aside(path, data)
        except OSError as error:
            log.warning("an image could not be cached", folder=str(self._folder), error=str(error))

    @contextmanager
    def _budget(self) -> Iterator[Path]:
        """The file that says how many bytes the cache has, locked. Without one, the cache is of unknown size."""
        path = self._folder / "bytes"
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with its holder, however that ends
            if path.stat().st_size == 0:
                path.write_text(str(sum(found.st_size for _, found in self._files())))
            yield path

    def _evict(self, *, down_to: int) -> int:
        """Remove the copies that were not used for longest; returns the bytes that are left."""
        files = sorted(self._files(), key=lambda file: file[1].st_mtime)
        left = sum(found.st_size for _, found in files)
        for path, found in files:
            if left <= down_to:
                break
            if not path.name.startswith(DRAFT) or found.st_mtime < time.time() - ABANDONED_S:
                path.unlink(missing_ok=True)
                left -= found.st_size
        return left

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):  # a draft that has its name by now, or was given up
                yield path, path.stat()
