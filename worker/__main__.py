"""The worker process: `python -m worker`, or `lookalike worker`."""

import structlog
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from app.db import database_url, open_sessions
from app.settings import Settings
from worker.tasks import make_worker_app

log = structlog.get_logger()


def run(settings: Settings, *, queue: str = "default") -> None:
    """Work until stopped by SIGINT or SIGTERM; a database that goes away is waited for.

    Raises:
        Unavailable: the database schema is not current.
    """
    with database_url(settings) as url, open_sessions(settings) as sessions:
        for attempt in Retrying(
            retry=retry_if_exception_type((ConnectorException, OperationalError)),
            wait=wait_exponential(min=0.5, max=10),
            before_sleep=_say_so,
        ):
            with attempt:
                make_worker_app(url, sessions, settings).run_worker(queues=[queue], delete_jobs="successful")


def _say_so(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("the worker lost the database and tries again", error=str(error))


if __name__ == "__main__":
    run(Settings())
