"""The queue: procrastinate in the same Postgres, and the names of its jobs.

Jobs are deferred in the caller's transaction, so a job exists exactly if what asked for it was committed.
"""

from typing import Any

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy.orm import Session

CHECK_ROUND = "lookalike.check_round"
RECRUIT = "lookalike.recruit"
TICK = "lookalike.tick"

queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
"""Never opened: it only writes jobs over sessions' own connections. The worker has an app of its own."""


def defer_round_check(session: Session, *, study_id: int) -> None:
    """Have the worker look whether the study's round can be closed; one waiting check per study is enough."""
    _defer(session, CHECK_ROUND, queueing_lock=f"round-{study_id}", study_id=study_id)


def defer_recruiting(session: Session) -> None:
    """Have the worker look at the recruiters soon; one waiting look is enough."""
    _defer(session, RECRUIT, queueing_lock=RECRUIT)


def _defer(session: Session, name: str, *, queueing_lock: str, **arguments: Any) -> None:
    try:
        # A duplicate aborts the transaction it happens in: give it one of its own, begun before the driver is used.
        with session.begin_nested():
            connection = session.connection().connection.driver_connection
            queue.configure_task(name, connection=connection, queueing_lock=queueing_lock).defer(**arguments)
    except AlreadyEnqueued:
        pass
