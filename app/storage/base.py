"""What every store can do, and what it says about bytes that are not what they should be."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.errors import Damaged, NotFound

KEY = r"[0-9a-f]{64}"


@dataclass(frozen=True)
class Stored:
    """An object as a listing shows it, without its bytes."""

    key: str
    bytes: int
    modified: datetime


class Storage(Protocol):
    """Content-addressed bytes. `put` returns once they are durable, so rows that name a key are written after it."""

    def put(self, data: bytes) -> str:
        """Store the bytes under their sha256 (hex) and return it; the same content is stored once.

        What was there already counts as modified now, so that a check does not take it for abandoned.

        Raises:
            Unavailable: no space left, or the store cannot be reached.
        """

    def get(self, key: str) -> bytes:
        """The bytes of a key, hashed again.

        Raises:
            NotFound: there is nothing under that key. Damaged: its bytes are not what it says.
            Unavailable: the store cannot be reached.
        """

    def objects(self) -> Iterator[Stored]:
        """Everything stored, in no particular order."""

    def delete(self, key: str) -> None:
        """Forget an object; one that is not there is forgotten already."""

    def sweep(self, *, before: datetime, remove: bool) -> list[str]:
        """What interrupted puts left behind before that moment, by name; gone afterwards if asked for."""


def verified(key: str, data: bytes) -> bytes:
    """The bytes, if they are what their key says."""
    if hashlib.sha256(data).hexdigest() != key:
        raise Damaged(
            f"The stored image {key} is damaged: its bytes are not what its name says. "
            "`lookalike storage check` tells what can be made again."
        )
    return data


def missing(key: str) -> NotFound:
    return NotFound(f"There is no stored image {key}. `lookalike storage check` finds all that are missing.")
