"""The way out to a recruiter: few calls at a time, each with an end, and none for a while after one had no answer.

A recruiter that hangs then costs a few threads of its own and nothing else: who calls waits as long as their patience
says, and the call is left behind. What became of it the next look finds out, as after a lost answer.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import cache
from typing import TypeVar

from app.recruiters.retry import Patience

AT_ONCE = 4
"""Calls under way of one process to one recruiter, those left behind among them."""
RESTS_S = 30.0
_STEP_S = 0.1

_T = TypeVar("_T")


class NotCalledError(Exception):
    """Nothing was sent. The message says why, as a sentence without its subject."""


class NoAnswerError(Exception):
    """Sent, perhaps, and no answer came while somebody waited for it."""


class Outbound:
    """The calls of this process to one recruiter."""

    def __init__(self, *, at_once: int = AT_ONCE, rests_s: float = RESTS_S) -> None:
        self._places = threading.BoundedSemaphore(at_once)
        self._rests_s = rests_s
        self._asked_from = 0.0

    def call(self, do: Callable[[], _T], patience: Patience) -> _T:
        """What `do` returns or raises. It should end by itself in the end, since nothing ends it.

        Raises:
            NotCalledError: it has not answered lately, too many calls wait for it, or this process ends.
            NoAnswerError: none within `patience.call_s`, or this process ends.
        """
        if patience.is_over():
            raise NotCalledError("is not called: this process is ending")
        if time.monotonic() < self._asked_from:
            raise NotCalledError("has not answered lately, and is asked again in half a minute")
        if not self._places.acquire(blocking=False):
            raise NotCalledError("has not answered several earlier calls yet")
        answer = in_a_thread(do, at_end=self._places.release)
        until = time.monotonic() + patience.call_s
        while not wait([answer], min(_STEP_S, max(0.0, until - time.monotonic()))).done:
            if patience.is_over() or time.monotonic() >= until:
                raise NoAnswerError
        return answer.result()

    def rest(self) -> None:
        """Ask nothing for a while: it hangs."""
        self._asked_from = time.monotonic() + self._rests_s


@cache
def outbound_to(url: str) -> Outbound:  # noqa: ARG001 - what they are told apart by
    """One for each recruiter, however many callers there are."""
    return Outbound()


def in_a_thread(do: Callable[[], _T], *, at_end: Callable[[], None] = lambda: None) -> "Future[_T]":
    """Do it in a thread that no ending process waits for."""
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            result = do()
        except BaseException as error:
            at_end()
            answer.set_exception(error)
        else:
            at_end()
            answer.set_result(result)

    threading.Thread(target=run, name="outbound", daemon=True).start()
    return answer
