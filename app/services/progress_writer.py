"""A worker's progress on its way to the page that shows it, and the place where its work can be broken off."""

import time
from collections.abc import Callable

EVERY_S = 0.5


class ProgressWriter:
    """Is called with every step (what is being done, how often done, of how many). Writes a new stage and the end of
    one at once, and others at most every half second; `latest` is the last step, written or not, for what the end is
    written with."""

    def __init__(self, write: Callable[[str, int, int], None]) -> None:
        self._write = write
        self._next_at = 0.0
        self.latest: tuple[str, int, int] | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        is_news = self.latest is None or self.latest[0] != what or done == total
        self.latest = (what, done, total)
        if is_news or time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + EVERY_S
            self._write(what, done, total)


class GivenBack(Exception):
    """The request stays as it is, for another worker."""


def unless_stopping(
    report: Callable[[str, int, int], None], stopping: Callable[[], bool]
) -> Callable[[str, int, int], None]:
    """Steps that raise GivenBack once the worker is to stop."""

    def step(what: str, done: int, total: int) -> None:
        if stopping():
            raise GivenBack
        report(what, done, total)

    return step
