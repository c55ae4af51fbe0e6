"""The queue: procrastinate in the same Postgres, and the names of its queues and jobs.

Jobs are deferred in the caller's transaction, so a job exists exactly if what asked for it was committed.
"""

from collections.abc import Sequence
from typing import Any

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.types import JSONDict
from sqlalchemy import text
from sqlalchemy.orm import Session

ASSESS = "lookalike.assess"
DEFAULT = "default"
GPU = "gpu"
QUEUES = (DEFAULT, GPU)

CHECK_ROUND = "lookalike.check_round"
EXPORT = "lookalike.export"
GENERATE = "lookalike.generate"
IMPORT = "lookalike.import"
RECRUIT = "lookalike.recruit"
REPORT = "lookalike.report"
REQUEUE_STALLED = "lookalike.take_over"
"""Named so in the queues of installations that run."""
TICK = "lookalike.tick"

_JOBS_AT_ONCE = 5000
_LONG = "exports"
"""The lock of what may take an hour: one after the other, so that rounds never wait for more than one."""

queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
"""Never opened: it only writes jobs over sessions' own connections. The worker has an app of its own."""


def defer_round_check(session: Session, *, study_id: int) -> None:
    """Have the worker look whether the study's round can be closed; one waiting check per study is enough."""
    _defer(session, CHECK_ROUND, queueing_lock=f"round-{study_id}", study_id=study_id)


def defer_assessment(session: Session, *, assignment_id: int) -> None:
    """Have the worker look at an assignment that has ended."""
    _defer(session, ASSESS, queueing_lock=f"assess-{assignment_id}", assignment_id=assignment_id)


def defer_batches(session: Session, *, batch_ids: Sequence[int]) -> None:
    """Have workers make the batches, in this order."""
    jobs = queue.configure_task(GENERATE, queue=GPU, connection=_driver(session))
    for start in range(0, len(batch_ids), _JOBS_AT_ONCE):
        arguments: list[JSONDict] = [{"batch_id": batch_id} for batch_id in batch_ids[start : start + _JOBS_AT_ONCE]]
        jobs.batch_defer(*arguments)


def remove_batches(session: Session, *, batch_ids: Sequence[int]) -> None:
    """Take back the jobs of batches that no worker has begun."""
    session.execute(
        text(
            "SELECT procrastinate_cancel_job_v1(id, false, true) FROM procrastinate_jobs "
            "WHERE task_name = :task AND status = 'todo' AND (args ->> 'batch_id')::bigint = ANY(:batch_ids)"
        ),
        {"task": GENERATE, "batch_ids": list(batch_ids)},
    )


def retry(session: Session, *, job_id: int) -> None:
    """Have a failed job done again, now."""
    session.execute(
        text("SELECT procrastinate_retry_job_v2(:job, clock_timestamp(), NULL, NULL, NULL)"), {"job": job_id}
    )


def defer_export(session: Session, *, request_id: int) -> None:
    """Have a worker write the export."""
    queue.configure_task(EXPORT, connection=_driver(session), lock=_LONG).defer(request_id=request_id)


def defer_report(session: Session, *, report_id: int) -> None:
    """Have a worker make the report."""
    queue.configure_task(REPORT, connection=_driver(session), lock=_LONG).defer(report_id=report_id)


def defer_import(session: Session, *, request_id: int) -> None:
    """Have a worker import a folder; one after the other, for the same reason."""
    queue.configure_task(IMPORT, connection=_driver(session), lock="imports").defer(request_id=request_id)


def defer_recruiting(session: Session) -> None:
    """Have the worker look at the recruiters soon; one waiting look is enough."""
    _defer(session, RECRUIT, queueing_lock=RECRUIT)


def _defer(session: Session, name: str, *, queueing_lock: str, **arguments: Any) -> None:
    try:
        # A duplicate aborts the transaction it happens in: give it one of its own, begun before the driver is used.
        with session.begin_nested():
            queue.configure_task(name, connection=_driver(session), queueing_lock=queueing_lock).defer(**arguments)
    except AlreadyEnqueued:
        pass


def _driver(session: Session) -> Any:
    return session.connection().connection.driver_connection
