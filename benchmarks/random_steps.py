"""Ten thousand random steps of recruiting, paying and failing: the cap holds after each, no bonus is paid twice.

Study after study, each with its own seed, on a real database; processes die, answers are lost, people return their
places. At every study's end the books agree with the recruiter to the penny.

    python -m benchmarks.random_steps            10,000 steps
    python -m benchmarks.random_steps 500        fewer
"""

import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import structlog

from app.db import open_sessions
from app.keys import load_keys
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.recruiting.random_steps import STEPS, episode


def main(steps: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started, done = time.monotonic(), Counter[str]()
    studies = -(-steps // STEPS)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(LOOKALIKE_HOME=Path(folder))
        with open_sessions(settings, migrate=True) as sessions:
            for seed in range(studies):
                done += episode(sessions, LocalStorage(settings.images), load_keys(settings), seed).done
    killed, failed = done.pop("killed"), done.pop("failed calls")
    print(f"{done.total()} steps in {studies} studies: " + ", ".join(f"{n} {name}" for name, n in done.most_common()))
    print(f"{killed} processes killed at a call, {failed} calls failed; never over a cap, no bonus paid twice")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
