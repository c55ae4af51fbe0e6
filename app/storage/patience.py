"""How long somebody waits for an S3 server that does not answer, and when it is not asked at all.

botocore's own retries share one quota of 35 for a client: sixteen readers use it up in a second, however many attempts
each of them is allowed.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from app.errors import Unavailable
from app.outside import explain

log = structlog.get_logger()

_ASKED_AT = "lookalike asked at"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 4.0
_THROTTLED = ("SlowDown", "RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException")


@dataclass(frozen=True)
class Patience:
    """`asks_for_s`: what fails is tried again until so long after the first attempt began. `for_server`: there is a
    breaker for those who come next."""

    connect_s: float
    read_s: float
    asks_for_s: float
    for_server: bool = True

    def config(self) -> Config:
        once = {"mode": "standard", "total_max_attempts": 1}
        return Config(connect_timeout=self.connect_s, read_timeout=self.read_s, retries=once)

    def practised_by(self, client: Any) -> None:
        """Have the client try again as long as our patience lasts: requests, parts of uploads, pages of listings."""
        client.meta.events.register("before-call.s3", self._note_time)
        client.meta.events.register("needs-retry.s3", self._pause)

    def _note_time(self, *, params: dict[str, Any], **_: Any) -> None:
        params["context"][_ASKED_AT] = time.monotonic()

    def _pause(
        self, *, attempts: int, response: Any, caught_exception: Any, request_dict: dict[str, Any], **_: Any
    ) -> float | None:
        """How long to wait before the next attempt, drawn so that not all come back at once; None if there is none."""
        problem = _temporary(response, caught_exception)
        pause: float = random.uniform(0.5, 1) * min(_FIRST_PAUSE_S * 2 ** (attempts - 1), _LONGEST_PAUSE_S)  # noqa: S311
        waited: float = time.monotonic() - request_dict["context"][_ASKED_AT]
        if problem is None or waited + pause > self.asks_for_s:
            return None
        log.warning("the bucket does not answer and is asked again", error=problem, attempt=attempts)
        return pause


JOBS = Patience(connect_s=5, read_s=30, asks_for_s=60, for_server=False)
"""Workers and commands: a bucket that restarts costs a pause."""
REQUESTS = Patience(connect_s=1, read_s=1, asks_for_s=0.5)
"""Somebody waits for the page. What breaks off at once, such as a connection that was idle too long, is tried again."""
UPLOADS = Patience(connect_s=1, read_s=10, asks_for_s=0.5)
"""Somebody waits, too, but a part of 16 MB may take its time."""


def _temporary(response: Any, caught: Any) -> str | None:
    """What is wrong, if it may be better in a moment."""
    if isinstance(caught, ConnectionError | HTTPClientError):
        return explain(caught)
    if response is None:
        return None
    http, parsed = response
    code = str(parsed.get("Error", {}).get("Code", "")) or str(http.status_code)
    return code if http.status_code in (500, 502, 503, 504) or code in _THROTTLED else None


class Breaker:
    """Once several calls in a row have failed, further ones are refused at once for `rest_s`; then one may try."""

    def __init__(self, *, failures: int = 5, rest_s: float = 3.0) -> None:
        self._allowed, self._rest_s = failures, rest_s
        self._failures = 0
        self._closed_until = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def guarding(self, server: str) -> Iterator[None]:
        """Raises Unavailable instead of calling. That a server refuses something shows that it is there."""
        self._require(server)
        try:
            yield
        except ClientError:
            self._note(works=True)
            raise
        except BotoCoreError:
            self._note(works=False)
            raise
        self._note(works=True)

    def _require(self, server: str) -> None:
        with self._lock:
            if self._failures < self._allowed:
                return
            if time.monotonic() < self._closed_until:
                raise Unavailable(f"{server} has not answered lately, and is asked again in a moment.")
            self._closed_until = time.monotonic() + self._rest_s  # the others wait for what this one finds

    def _note(self, *, works: bool) -> None:
        with self._lock:
            self._failures = 0 if works else self._failures + 1
            self._closed_until = time.monotonic() + self._rest_s
