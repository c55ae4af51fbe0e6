"""Prolific's public keys, with which its signed links are verified.

They come over the network, for a page that somebody waits for: one fetch at a time, in a thread of its own, for which
few wait, and not for long. Keys that are known are used while newer ones cannot be had.
"""

import threading
import time
from concurrent.futures import Future
from typing import Any

import jwt
import structlog

from app.errors import Unavailable
from app.outside import explain
from app.recruiters.outbound import in_a_thread

log = structlog.get_logger()

HOLDS_S = 60 * 60
ASKED_EVERY_S = 15.0
"""As often at most, also where a link names a key that there is not: anybody can write such a link."""
WAITING = 8
WAIT_S = 1.5


class SigningKeys:
    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=10)
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._known_until = self._asked_from = 0.0
        self._fetching: Future[None] | None = None
        self._waiting = threading.BoundedSemaphore(WAITING)

    def key_of(self, link: str) -> jwt.PyJWK:
        """The key that signed the link, by what its header says.

        Raises:
            jwt.PyJWTError: it names none, or none of Prolific's. Unavailable: the keys cannot be had at the moment.
        """
        name: Any = jwt.get_unverified_header(link).get("kid")
        now = time.monotonic()
        if name not in self._keys or now > self._known_until:
            fetching = self._fetch(now)
            if name not in self._keys and fetching is not None:
                self._wait(fetching)
        if name in self._keys:
            return self._keys[name]
        if not self._keys:
            raise _unavailable()
        raise jwt.PyJWKClientError("Prolific has no such key.")

    def _fetch(self, now: float) -> "Future[None] | None":
        """The fetch under way, which this may begin; None where it is too early for another."""
        with self._lock:
            if self._fetching is None and now >= self._asked_from:
                self._asked_from = now + ASKED_EVERY_S
                self._fetching = in_a_thread(self._read)
            return self._fetching

    def _read(self) -> None:
        try:
            fetched = self._client.get_signing_keys()
            self._keys = {key.key_id: key for key in fetched if key.key_id}
            self._known_until = time.monotonic() + HOLDS_S
        except Exception as error:  # of the network, or an answer nobody thought of: the keys stay as they are
            log.warning("Prolific's keys cannot be read", problem=explain(error))
        finally:
            with self._lock:
                self._fetching = None

    def _wait(self, fetching: "Future[None]") -> None:
        if not self._waiting.acquire(blocking=False):
            raise _unavailable()
        try:
            fetching.result(timeout=WAIT_S)
        except TimeoutError:
            raise _unavailable() from None
        finally:
            self._waiting.release()


def _unavailable() -> Unavailable:
    return Unavailable("Prolific's keys cannot be read at the moment. Please try again.")
