"""Whoever is asked to stop does so in order: the last user of the embedded database stops it on leaving."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_in_order() -> None:
    """Have every signal to stop end this process as Ctrl-C does. A SIGHUP that `nohup` has ignored stays so; the SIGINT
    that shells ignore for what runs in the background does not."""
    for number in STOPPING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    end_undisturbed()
    raise KeyboardInterrupt


def end_undisturbed() -> None:
    """From here on further signals change nothing: whoever sends two would leave a database behind."""
    for number in STOPPING:
        signal.signal(number, lambda *_: None)


@contextmanager
def told_to_stop(tell: Callable[[], object]) -> Iterator[None]:
    """Have `tell` called instead, as long as the block lasts. It runs between any two steps of the main thread."""
    before = {number: signal.signal(number, lambda *_: tell()) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
