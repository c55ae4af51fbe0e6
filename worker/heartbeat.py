"""A worker's row in the database: it is there, on what, and what keeps it from working."""

import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from sqlalchemy.exc import DBAPIError

from app.db import Sessions
from app.outside import explain
from app.services import workers

log = structlog.get_logger()

BEAT_S = 5.0


class Heartbeat:
    """What the worker says of itself; every change is written at once, and all of it with every beat."""

    def __init__(self, sessions: Sessions, worker_id: int) -> None:
        self._sessions = sessions
        self._worker_id = worker_id
        self._model: str | None = None
        self._note: str | None = None
        self._problem: str | None = None

    def set_status(self, *, model: str | None = None, note: str | None = None, problem: str | None = None) -> None:
        if (model, note, problem) != (self._model, self._note, self._problem):
            self._model, self._note, self._problem = model, note, problem
            self.beat()

    def beat(self) -> None:
        """A database that is away is no reason to stop: the next beat comes."""
        try:
            with self._sessions.begin() as session:
                workers.beat(
                    session,
                    worker_id=self._worker_id,
                    model=self._model,
                    note=self._note,
                    problem=self._problem,
                )
        except DBAPIError as error:
            log.warning("the worker could not report itself", error=explain(error))


@contextmanager
def registered(sessions: Sessions, *, queue: str, device: str | None) -> Iterator[Heartbeat]:
    """In the list of workers while the block lasts."""
    with sessions.begin() as session:
        name = f"{platform.node()}:{os.getpid()}"
        worker_id = workers.register(session, name=name, queue=queue, device=device)
    heartbeat, ended = Heartbeat(sessions, worker_id), threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            heartbeat.beat()

    heart = threading.Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    try:
        yield heartbeat
    finally:
        ended.set()
        heart.join()
        with suppress(DBAPIError), sessions.begin() as session:
            workers.deregister(session, worker_id=worker_id)
