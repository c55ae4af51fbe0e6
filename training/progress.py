"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # called with (done, total)


def silent(_done: int, _total: int) -> None:
    """The progress of work that nobody watches."""
