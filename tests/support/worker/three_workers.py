"""Three GPU workers as three processes, forked once everything is imported.

`python -m tests.support.worker.three_workers HOME` prints their process ids, one a line.
"""

import os
import sys
from pathlib import Path

import worker.text_to_image  # noqa: F401 - so that the children need not
from app.settings import Settings
from worker.__main__ import run

STALLED_S = 2.0


def main(home: str) -> None:
    children = []
    for _ in range(3):
        if (child := os.fork()) == 0:
            run(Settings(LOOKALIKE_HOME=Path(home)), queue="gpu", device="cpu", stalled_s=STALLED_S)
            os._exit(0)
        children.append(child)
    print(*children, sep="\n", flush=True)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1])
