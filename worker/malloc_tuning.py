"""How the process that runs a model gets its memory."""

import ctypes
import sys

_M_ARENA_MAX = -8
"""As in glibc's malloc.h."""


def limit_arenas() -> None:
    """Have all threads use the main thread's heap; before there is a second thread, which would have its own.

    glibc gives each a heap of its own, which returns the memory of large tensors to the system and asks for it again:
    on a CPU a model took 6 % longer there than on the main thread, which a worker needs for its queue.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)
