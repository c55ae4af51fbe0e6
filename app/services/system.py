"""The installation as its owners look after it: workers, queues, failed jobs, database and disk."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as installed_version

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import queue
from app.errors import Conflict, NotFound
from app.queue import QUEUES
from app.services import audit, workers
from app.services.workers import WorkerLine
from app.settings import Settings

SHOWN_JOBS = 50
TABLES = ("items", "judgments", "assignments", "participants", "images")


@dataclass(frozen=True)
class Queue:
    """Jobs of one queue; those that succeeded are not kept."""

    name: str
    waiting: int
    under_way: int
    failed: int
    workers: int


@dataclass(frozen=True)
class FailedJob:
    id: int
    task: str
    queue: str
    arguments: str
    attempts: int
    failed_at: datetime | None


@dataclass(frozen=True)
class TableSize:
    """`rows` is Postgres's own running estimate: nothing is counted."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class SystemStatus:
    """`images` says where they are kept; `disk_free` of `disk_total` bytes are left in the home."""

    version: str
    schema: str
    postgres: str
    database_bytes: int
    tables: Sequence[TableSize]
    images: str
    disk_free: int
    disk_total: int
    queues: Sequence[Queue]
    workers: Sequence[WorkerLine]
    failed_jobs: Sequence[FailedJob]
    webhook_at: datetime | None


_DATABASE = text("""
    SELECT (SELECT version_num FROM alembic_version) AS schema, current_setting('server_version') AS postgres,
           pg_database_size(current_database()) AS bytes,
           (SELECT max(received_at) FROM webhook_events) AS webhook_at
""")
_TABLES = text("""
    SELECT relname AS name, n_live_tup AS rows, pg_total_relation_size(relid) AS bytes
    FROM pg_stat_user_tables WHERE relname = ANY(:names) ORDER BY bytes DESC
""")
_QUEUES = text("""
    SELECT queue_name AS name, count(*) FILTER (WHERE status = 'todo') AS waiting,
           count(*) FILTER (WHERE status = 'doing') AS under_way, count(*) FILTER (WHERE status = 'failed') AS failed
    FROM procrastinate_jobs WHERE status IN ('todo', 'doing', 'failed') GROUP BY queue_name
""")
_FAILED = text("""
    SELECT id, task_name AS task, queue_name AS queue, CAST(args AS text) AS arguments, attempts,
           (SELECT max(at) FROM procrastinate_events e WHERE e.job_id = j.id AND e.type = 'failed') AS failed_at
    FROM procrastinate_jobs j WHERE status = 'failed' ORDER BY id DESC LIMIT :limit
""")


def system_status(session: Session, settings: Settings) -> SystemStatus:
    database = session.execute(_DATABASE).one()
    disk = shutil.disk_usage(settings.home)
    present = workers.present(session)
    return SystemStatus(
        version=installed_version("lookalike"),
        schema=database.schema,
        postgres=database.postgres,
        database_bytes=database.bytes,
        tables=[TableSize(**row._asdict()) for row in session.execute(_TABLES, {"names": list(TABLES)})],
        images=f"bucket {settings.s3_bucket}" if settings.s3_bucket else "the home's images/",
        disk_free=disk.free,
        disk_total=disk.total,
        queues=queues(session, present),
        workers=present,
        failed_jobs=[FailedJob(**row._asdict()) for row in session.execute(_FAILED, {"limit": SHOWN_JOBS})],
        webhook_at=database.webhook_at,
    )


def queues(session: Session, present: Sequence[WorkerLine]) -> list[Queue]:
    """Every queue there is, also those in which nothing waits."""
    found = {row.name: row for row in session.execute(_QUEUES)}
    return [
        Queue(
            name,
            found[name].waiting if name in found else 0,
            found[name].under_way if name in found else 0,
            found[name].failed if name in found else 0,
            sum(worker.queue == name and worker.problem is None for worker in present),
        )
        for name in QUEUES
    ]


def retry_job(session: Session, *, job_id: int) -> None:
    """Put a failed job back into its queue.

    Raises:
        NotFound: no failed job has this number. Conflict: another job waits that does the same.
    """
    failed = text("SELECT task_name FROM procrastinate_jobs WHERE id = :id AND status = 'failed' FOR UPDATE")
    task = session.scalar(failed, {"id": job_id})
    if task is None:
        raise NotFound(f"No failed job has the number {job_id}. Perhaps somebody else has put it back.")
    try:
        with session.begin_nested():
            queue.retry(session, job_id=job_id)
    except IntegrityError:
        raise Conflict("Another job that does the same is waiting already.") from None
    audit.record(session, "put back the failed job", subject=str(job_id), task=task)
