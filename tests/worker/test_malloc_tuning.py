"""Threads share one heap where a model runs."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, threading
from worker.malloc_tuning import limit_arenas

if {shares}:
    limit_arenas()
thread = threading.Thread(target=lambda: bytearray(10_000))
thread.start()
thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has heaps of threads")
@pytest.mark.parametrize(("shares", "heaps"), [(False, 2), (True, 1)])
def test_threads_take_from_the_main_threads_heap(shares: bool, heaps: int) -> None:
    command = [sys.executable, "-c", SCRIPT.format(shares=shares)]
    stats = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert stats.count("Arena ") == heaps
