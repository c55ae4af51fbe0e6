"""The commands of README.md and docs/, as written, each page in a folder that holds only what its reader has."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import make_database
from tests.support.docs.pages import BadPage, Command, read_commands
from tests.support.docs.reader import READERS, UP, Reader
from tests.training.conftest import ROOT

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
LONGEST = 600  # seconds for a page, on a machine that does other work
ANSWERS = """
import sys, time, urllib.request
for _ in range(600):
    try:
        urllib.request.urlopen("http://127.0.0.1:8000/healthz").read(); sys.exit()
    except OSError:
        time.sleep(0.2)
sys.exit("the server does not answer")
"""


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_as_written(
    page: str, server_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    commands = read_commands(ROOT / page, ROOT)
    chosen = [command for command in commands if command.not_run is None]
    record_property("documented commands run", len(chosen))
    record_property("documented commands marked", len(commands) - len(chosen))
    if not chosen:
        return
    reader = READERS.get(page, Reader())
    settings = {}
    if reader.has_database:
        settings["DATABASE_URL"] = make_database(server_url, f"docs_{Path(page).stem}")
    run_as_written(page, chosen, reader, tmp_path, settings)


def run_as_written(page: str, commands: list[Command], reader: Reader, folder: Path, settings: dict[str, str]) -> None:
    folder = folder / "empty"
    (folder / "home").mkdir(parents=True)
    for prepare in reader.files:
        prepare(folder)
    script = shell_script([*(Command(text, 0, "sh", kept_running=text == UP) for text in reader.done), *commands])
    with own_network() as prefix:
        shell = subprocess.Popen(
            [*prefix, "bash", "-c", script],
            cwd=folder,
            env=readers_environment(folder / "home") | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = shell.communicate(timeout=LONGEST)
        finally:
            with_everything_it_started(shell)
    if shell.returncode:
        _, _, last = output.rpartition("\n=== ")
        line, _, said = last.partition(" === ")
        pytest.fail(
            f"{page}:{line} does not run as written. Mend the command, or write directly before its block why it is "
            f"not run: <!-- not run: `COMMAND`: REASON -->\n\n{said[-4000:]}",
            pytrace=False,
        )


def shell_script(commands: list[Command]) -> str:
    """One session: each command is announced by its line, and the first that fails ends it."""
    lines = ["set -eo pipefail", "trap 'kill $(jobs -p) 2> kill.log || true; wait' EXIT"]
    if own_network_command():
        lines.append("ip link set lo up")
    for number, command in enumerate(commands):
        announced = f"\n=== {command.line} === {command.text}"
        lines.append(f"printf '%s\\n' {shlex.quote(announced)}")
        if command.language == "python":
            lines.append(f"python - <<'END OF SAMPLE'\n{command.text}\nEND OF SAMPLE")
        elif command.kept_running:
            lines.append(f"{command.text.partition('  #')[0]} > kept-running-{number}.log 2>&1 &")
            lines.append(f"python -c {shlex.quote(ANSWERS)} || {{ cat kept-running-{number}.log; exit 1; }}")
        else:
            lines.append(command.text)
    return "\n".join(lines)


def readers_environment(home: Path) -> dict[str, str]:
    """What a shell of the reader's has: the commands of this environment, a home, and no settings of ours."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": "http://127.0.0.1:9",  # the hub is away: what the reader has of it is in the cache
    }


@contextmanager
def own_network() -> Iterator[list[str]]:
    """Pages name port 8000. Where the system lets us, each has a network of its own; elsewhere one runs at a time."""
    if prefix := own_network_command():
        yield prefix
        return
    with Path(f"/tmp/lookalike-docs-{os.getuid()}.lock").open("w") as lock:  # noqa: S108
        flock(lock, LOCK_EX)
        yield []


@cache
def own_network_command() -> list[str]:
    if not shutil.which("unshare") or not shutil.which("ip"):
        return []
    tried = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return ["unshare", "--net"] if tried.returncode == 0 else []


def with_everything_it_started(shell: subprocess.Popen[str]) -> None:
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    shell.wait()


def read(folder: Path, text: str) -> list[Command]:
    (folder / "page.md").write_text(text)
    return read_commands(folder / "page.md", folder)


def test_marks_and_commands_are_read_from_a_page(tmp_path: Path) -> None:
    block = "```sh\n# first\na --long \\\n  --way\nb 'x'    # why\n```\n"
    first, second = read(tmp_path, f"Text\n\n{block}")
    assert (first.text, first.line) == ("a --long \\\n  --way", 5)
    assert (second.text, second.line, second.not_run) == ("b 'x'    # why", 7, None)
    assert [one.not_run for one in read(tmp_path, f"<!-- not run: a GPU -->\n{block}")] == ["a GPU"] * 2
    marked = read(tmp_path, f"<!-- not run: `b 'x'`: no b -->\n<!-- kept running: `b 'x'` -->\n\n{block}")
    assert [(one.not_run, one.kept_running) for one in marked] == [(None, False), ("no b", True)]
    assert read(tmp_path, "```text\nanything\n```\n") == []
    assert [one.language for one in read(tmp_path, "1. In a list\n\n   ```python\n   x = 1\n   ```\n")] == ["python"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```\nls\n```\n", r"page\.md:1: write ```sh for commands, which are run, ```text for other text"),
        ("```bash\nls\n```\n", "found ```bash"),
        ("<!-- not run: `pwd`: no -->\n```sh\nls\n```\n", "`pwd` is marked, but is no command of this block"),
        ("<!-- not run:  -->\n```sh\nls\n```\n", "say why it is not run"),
        ("<!-- not run: no -->\n```text\nls\n```\n", "is not run anyway"),
        ("<!-- not run: no -->\n\nText.\n\n```sh\nls\n```\n", "stands before no block"),
    ],
)
def test_a_page_that_does_not_say_what_is_run_fails(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadPage, match=complaint):
        read(tmp_path, text)


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    commands = read(tmp_path, "```sh\necho fine\necho trouble && false\necho never\n```\n")
    with pytest.raises(pytest.fail.Exception, match=r"page\.md:3 does not run as written") as failed:
        run_as_written("page.md", commands, Reader(), tmp_path, {})
    assert "trouble" in str(failed.value)
    assert "never" not in str(failed.value)
