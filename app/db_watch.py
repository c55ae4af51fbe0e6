"""Whether the database answers, asked four times a second.

A server that hangs closes no connection and enforces none of its own timeouts: whoever waits for it would wait for
ever. What hangs is told from what only takes its time by a question that takes none.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Self, TypeVar

import psycopg
import structlog
from psycopg import OperationalError
from sqlalchemy import Engine, event, make_url

from app.outside import explain

log = structlog.get_logger()

EVERY_S = 0.25
LIMIT_S = 1.0
"""How long the answer to `SELECT 1` may take. With `EVERY_S`, whoever waits knows within a second and a half."""
LONGEST_S = 70.0
"""How long anything may take: the server's own bounds are below, but one process of it may hang alone."""

_Wanted = TypeVar("_Wanted")
_Result = TypeVar("_Result")


class DatabaseWatch:
    """Asks on a connection and a thread of its own, while the block lasts."""

    def __init__(self, url: str) -> None:
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="database-watch", daemon=True)
        self.answers = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def heeded_by(self, engine: Engine) -> None:
        """Have everybody who waits on a connection of this engine get an error once the database does not answer."""
        watch = self

        class Connection(_Heeding):
            answers = staticmethod(lambda: watch.answers)

        @event.listens_for(engine, "do_connect")
        def connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Connection:
            if not watch.answers:
                raise _lost()
            return Connection.connect(*arguments, **options)

    def _watch(self) -> None:
        connection: _Impatient | None = None
        while not self._ended.wait(EVERY_S):
            try:
                if connection is None:
                    connection = _Impatient.connect(self._conninfo, autocommit=True, connect_timeout=2)
                connection.execute("SELECT 1")
                self._say(True)
            except psycopg.Error as error:
                self._say(False, error)
                if connection is not None:
                    connection.pgconn.finish()
                    connection = None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _say(self, answers: bool, error: Exception | None = None) -> None:
        if answers != self.answers:
            self.answers = answers
            if answers:
                log.warning("the database answers again")
            else:
                log.error("the database does not answer", error=explain(error) if error else None)


class _Impatient(psycopg.Connection[Any]):
    """Waits `LIMIT_S` for an answer."""

    def wait(self, gen: Any, interval: float = EVERY_S, timeout: float | None = LIMIT_S) -> Any:
        return super().wait(gen, interval, timeout)


class _Heeding(psycopg.Connection[Any]):
    """Waits as long as `answers` says that it is worth it."""

    answers: Callable[[], bool]

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(_while(self.answers, gen, at_end=self.pgconn.finish), interval, timeout)

    @classmethod
    def _connect_gen(cls, *arguments: Any, **options: Any) -> Generator[Any, Any, Self]:
        return _while(cls.answers, super()._connect_gen(*arguments, **options))


def _while(
    answers: Callable[[], bool],
    steps: Generator[_Wanted, int, _Result],
    *,
    at_end: Callable[[], None] = lambda: None,
) -> Generator[_Wanted, int, _Result]:
    """psycopg's steps of a conversation, broken off where nothing comes and nothing will.

    Raises:
        OperationalError: the connection is unusable from here on.
    """
    deadline = time.monotonic() + LONGEST_S
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and (not answers() or time.monotonic() > deadline):
                at_end()
                raise _lost()
            wanted = steps.send(ready)
    except StopIteration as end:
        result: _Result = end.value
        return result


def _lost() -> OperationalError:
    return OperationalError("the database does not answer")
