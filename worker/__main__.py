"""The worker process: `python -m worker`, or `lookalike worker`."""

import sys
import time
from contextlib import ExitStack, suppress

import psycopg
import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import OperationalError

from app.db import Sessions, database_url, open_sessions, require_current_schema
from app.errors import LookalikeError
from app.logs import configure_logs
from app.outside import explain
from app.queue import DEFAULT, GPU
from app.settings import Settings, read_settings
from app.signals import end_in_order
from app.storage import open_storage
from worker.engine import GenerationEngine
from worker.exporting import add_exports
from worker.heartbeat import registered
from worker.importing import add_imports
from worker.malloc_tuning import limit_arenas
from worker.reporting import add_reports
from worker.running import run_queue
from worker.tasks import add_generation, add_requeue_stalled, excuse_database, make_worker_app, stop_if_unable

log = structlog.get_logger()

CONCURRENCY = {DEFAULT: 4, GPU: 2}
"""A long export, a long import, a recruiter that takes its time, and the rounds beside; on a GPU one batch is made
while the one before is stored."""
GRACE_S = 6.0
"""What is under way when the worker is to stop may end in this time; then it goes back to the queue."""
STALLED_S = 30.0
"""A worker not heard of for so long is gone, and others take over."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
"""Before a worker that lost the database begins again."""
DATABASE_IS_AWAY = (ConnectorException, OperationalError, psycopg.Error)
MODEL_RETRY_S = 15.0
"""How soon a worker that cannot load its model tries again."""


def run(
    settings: Settings,
    *,
    queue: str = DEFAULT,
    device: str | None = None,
    concurrency: int | None = None,
    stalled_s: float = STALLED_S,
) -> None:
    """Work until a signal to stop; a database that goes away is waited for, however often and however long.

    Raises:
        Unavailable: the database schema is not current, or no longer.
    """
    if queue == GPU:
        limit_arenas()
    end_in_order()
    with suppress(KeyboardInterrupt), database_url(settings) as url, open_sessions(settings) as sessions:
        pause_s = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                _work(settings, url, sessions, queue, device, concurrency or CONCURRENCY[queue], stalled_s)
            except DATABASE_IS_AWAY as error:
                log.warning("the worker lost the database and tries again", error=explain(error))
            pause_s = FIRST_PAUSE_S if time.monotonic() - began > STALLED_S else min(2 * pause_s, LONGEST_PAUSE_S)
            time.sleep(pause_s)


def _work(
    settings: Settings,
    url: str,
    sessions: Sessions,
    queue: str,
    device: str | None,
    concurrency: int,
    stalled_s: float,
) -> None:
    """Until the database is lost: by an error, or because the queue has ended, which says nothing then."""
    require_current_schema(sessions.kw["bind"])
    with registered(sessions, queue=queue, device=device) as heartbeat, ExitStack() as at_end:
        engine = None
        if queue == GPU:
            engine = GenerationEngine(sessions, open_storage(settings), heartbeat, device=device)
            at_end.callback(engine.close)
        while True:
            while engine is not None and not engine.prepare():
                _take_no_jobs(engine)
            app = make_worker_app(url, sessions, settings)
            add_exports(app, sessions, settings)
            add_imports(app, sessions, settings)
            add_reports(app, sessions)
            add_requeue_stalled(app, queue=queue, stalled_s=stalled_s)
            if engine is not None:
                add_generation(app, sessions, engine)
            _run_queue(app, queue, concurrency, stalled_s)
            if engine is None or engine.problem is None:
                log.warning("the worker's queue has ended and is begun again")
                return
            _take_no_jobs(engine)


def _run_queue(app: App, queue: str, concurrency: int, stalled_s: float) -> None:
    run_queue(
        app,
        queues=[queue],
        concurrency=concurrency,
        delete_jobs="successful",
        shutdown_graceful_timeout=GRACE_S,
        update_heartbeat_interval=stalled_s / 4,
        stalled_worker_timeout=stalled_s,
        task_middleware=[stop_if_unable, excuse_database],
    )


def _take_no_jobs(engine: GenerationEngine) -> None:
    log.error("the worker takes no jobs", problem=engine.problem)
    time.sleep(MODEL_RETRY_S)


if __name__ == "__main__":
    configure_logs("info")
    try:
        run(read_settings())
    except LookalikeError as error:
        sys.exit(error.message)
