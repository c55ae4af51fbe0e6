"""The database: where it is, whether its schema is current, and sessions on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import alembic.command
import structlog
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from app.db_watch import DatabaseWatch
from app.errors import BadInput, Unavailable
from app.paths import MIGRATIONS
from app.settings import Settings

log = structlog.get_logger()

Sessions = sessionmaker[Session]

POOL_SIZE = 40
"""Connections of one process, and so the number of requests a server works on at a time."""


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The URL of the database; without DATABASE_URL, of the home's embedded server, run while the block lasts."""
    if settings.database_url is not None:
        yield with_driver(settings.database_url.get_secret_value())
        return
    from app.postgres import embedded_postgres

    with embedded_postgres(settings.home) as url, _kept_running(settings.home):
        yield url


@contextmanager
def _kept_running(home: Path) -> Iterator[None]:
    """Look after the embedded server once a second: whoever uses it brings it back if it dies."""
    from app.postgres import PostgresUnavailable, ensure_running

    ended = threading.Event()

    def look_after() -> None:
        while not ended.wait(1.0):
            try:
                ensure_running(home)
            except PostgresUnavailable as error:
                log.error("the embedded database is down", error=str(error))

    guardian = threading.Thread(target=look_after, name="postgres-guardian", daemon=True)
    guardian.start()
    try:
        yield
    finally:
        ended.set()
        guardian.join()


def with_driver(url: str) -> str:
    """The URL with psycopg 3 named as its driver, which SQLAlchemy would otherwise not choose.

    Raises:
        BadInput: it is no URL; the message does not repeat it, as it may hold a password.
    """
    try:
        return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    except (ArgumentError, ValueError):
        raise BadInput(
            "DATABASE_URL must be a PostgreSQL URL, such as postgresql://user:password@host:5432/name."
        ) from None


COMMANDS = "-c timezone=UTC -c lock_timeout=30s"
REQUESTS = "-c timezone=UTC -c lock_timeout=10s -c statement_timeout=60s"
"""Waits are bounded, so that a forgotten transaction shows as an error and not as a server that hangs."""

_NETWORK = {
    # A machine that is gone is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def make_engine(url: str, *, for_server: bool = False, **options: Any) -> Engine:
    """`for_server`: somebody waits for the page."""
    bounds = {"options": REQUESTS, "connect_timeout": 3} if for_server else {"options": COMMANDS, "connect_timeout": 10}
    options = {"pool_size": POOL_SIZE, "max_overflow": 5, "pool_pre_ping": True, "hide_parameters": True} | options
    return create_engine(url, connect_args=_NETWORK | bounds, **options)


@contextmanager
def open_watched_sessions(settings: Settings) -> Iterator[Sessions]:
    """For a server, whose requests must not wait for a database that does not answer.

    Raises:
        Unavailable: the schema is not at this version's revision.
    """
    with database_url(settings) as url:
        engine, watch = make_engine(url, for_server=True, pool_timeout=5), DatabaseWatch(url)
        watch.heeded_by(engine)
        try:
            require_current_schema(engine)
            with watch:
                yield sessionmaker(engine, expire_on_commit=False)
        finally:
            engine.dispose()


@contextmanager
def open_sessions(settings: Settings, *, migrate: bool = False) -> Iterator[Sessions]:
    """Sessions on a database whose schema is current.

    Raises:
        Unavailable: the schema is not at this version's revision and `migrate` is not set.
    """
    with database_url(settings) as url:
        engine = make_engine(url)
        try:
            if migrate:
                upgrade(engine)
            require_current_schema(engine)
            yield sessionmaker(engine, expire_on_commit=False)
        finally:
            engine.dispose()


def _alembic(engine: Engine) -> Config:
    config = Config(attributes={"engine": engine})
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def upgrade(engine: Engine) -> None:
    """Bring the schema to this version's revision; two at once wait for each other.

    Raises:
        Unavailable: the schema is a newer version's.
    """
    _require_known(_alembic(engine), _revision(engine))
    alembic.command.upgrade(_alembic(engine), "head")


def require_current_schema(engine: Engine) -> None:
    """Raises Unavailable, saying what to do, unless the schema is at this version's revision."""
    found = _revision(engine)
    _require_known(_alembic(engine), found)
    if found != _wanted_revision():
        raise Unavailable(
            f"The database schema is at revision {found or 'none'}, this version needs {_wanted_revision()}. "
            "Run `lookalike db upgrade`, then start again."
        )


def has_current_schema(engine: Engine) -> bool:
    """Not while and after somebody upgrades the database below a process that runs."""
    return _revision(engine) == _wanted_revision()


@cache
def _wanted_revision() -> str | None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _require_known(config: Config, revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise Unavailable(
            f"The database schema is at revision {revision}, which a newer version of Lookalike made. Install that one."
        )
