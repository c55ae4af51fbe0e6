"""Commands name the address where the home's server really listens, and say at once when none does."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.server_address import announced, running_server
from tests.cli.conftest import Run
from tests.support.factories import make_slug
from tests.support.triplet_folder import TripletFolder


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def study(run: Run, tmp_path: Path) -> str:
    name, folder = make_slug(), TripletFolder(tmp_path / "folder")
    run("study", "create", name, "--protocol", "nights-2afc", "--set", "assignment.trials=4",
        "--set", "assignment.practice=0", "--set", "assignment.sentinels=0",
        "--set", "assignment.sentinel_misses_allowed=0")  # fmt: skip
    run("import", "csv", folder.csv(folder.csv_rows(4)), "--study", name)
    return name


def test_the_link_of_an_opened_study(
    run: Run, home: Path, study: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(exist_ok=True)
    path = f"/studies/{study}?participant=ID\n"
    with announced(home, listener):
        port = listener.getsockname()[1]
        assert run("study", "open", study).stdout.endswith(f"for each: http://127.0.0.1:{port}{path}")
        monkeypatch.setenv("PUBLIC_URL", "https://lab.example/")
        assert run("study", "open", study).stdout.endswith(f"for each: https://lab.example{path}")
        monkeypatch.delenv("PUBLIC_URL")
    opened = run("study", "open", study).stdout
    assert opened.endswith(f"for each, once the server runs (lookalike up): http://127.0.0.1:8000{path}")


def test_a_server_that_was_killed_is_not_named(home: Path) -> None:
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener, announced(home, listener):
        note = next(home.iterdir()).read_text("utf-8")
        assert running_server(home) == note
    (home / "server-address").write_text(note, "utf-8")
    assert running_server(home) is None


@pytest.mark.parametrize(("host", "called"), [("0.0.0.0", "http://127.0.0.1"), ("::", "http://[::1]")])  # noqa: S104
def test_a_server_that_listens_everywhere_is_called_on_this_machine(home: Path, host: str, called: str) -> None:
    home.mkdir()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener, announced(home, listener):
        assert running_server(home) == f"{called}:{listener.getsockname()[1]}"


def test_a_crowd_without_a_server_says_so_at_once(run: Run, study: str) -> None:
    run("study", "open", study)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    started = time.monotonic()
    refused = run("simulate", study, "--participants", "1", "--answers", "recorded", "--url", closed)
    assert refused.exit_code == 1
    assert f"No server answers at {closed}. Start it in another terminal (lookalike up)" in refused.stderr
    assert time.monotonic() - started < 60, "not after the two minutes for which a server may be away"
    strange = run("simulate", study, "--participants", "1", "--url", "localhost:8000")
    assert (strange.exit_code, "--url takes an address such as" in strange.stderr) == (2, True)
