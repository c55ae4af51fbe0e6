"""The worker's jobs: each one calls a service in a transaction of its own."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision, RetryStrategy
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.jobs import Job
from procrastinate.worker import Worker
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from app.db import Sessions
from app.errors import LookalikeError, Unavailable
from app.keys import load_keys
from app.outside import explain
from app.queue import ASSESS, CHECK_ROUND, GENERATE, GPU, RECRUIT, REQUEUE_STALLED, TICK
from app.recruiters.retry import PATIENT
from app.redaction import redact
from app.services import study_lookup
from app.services.assignments import erasure, lifecycle
from app.services.generation import batches
from app.services.recruiting.reconcile import SomebodyLooks, look_at_all
from app.services.reports import quality_rules
from app.services.rounds import rounds, tallies
from app.settings import Settings
from worker.engine import GenerationEngine
from worker.generator import CannotGenerate, Stopped

log = structlog.get_logger()

_FIRST = 10
"""The priority of what keeps the queue going, over what waits in it."""
_ATTEMPTS = 5
GOES_ON = RetryStrategy(wait=2, retry_exceptions=(JobAborted, OperationalError))
"""It is no failure of a job that its worker was to stop, or that the database was away for a moment."""
_LEFT_TO_THE_NEXT = (ASSESS, CHECK_ROUND, RECRUIT, TICK)
"""Jobs that are soon asked for again, or whose work the next tick does."""
_TEMPORARY = (CannotGenerate, OperationalError, Unavailable)


def make_worker_app(url: str, sessions: Sessions, settings: Settings) -> App:
    """The queue with its tasks, on a connection pool of its own."""
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    app = App(connector=PsycopgConnector(conninfo=conninfo, timeout=5))

    @app.task(name=CHECK_ROUND)
    def check_round(study_id: int) -> None:
        with sessions.begin() as session:
            rounds.advance(session, study_id=study_id)

    @app.task(name=ASSESS)
    def assess(assignment_id: int) -> None:
        with sessions.begin() as session:
            quality_rules.assess(session, assignment_id=assignment_id)

    @app.periodic(cron="* * * * *")
    @app.task(name=RECRUIT, queueing_lock=RECRUIT, pass_context=True)
    def recruit(context: JobContext, timestamp: int = 0) -> None:  # noqa: ARG001 - procrastinate hands it over
        """What recruiters tell, what we want of them, and what is kept of people no longer."""
        with sessions.begin() as session:
            erasure.forget_overdue(session)
        try:
            patience = replace(PATIENT, is_over=context.should_abort)
            look_at_all(sessions, load_keys(settings), settings, patience=patience)
        except SomebodyLooks as error:
            log.info("recruiting waits", problem=error.message)

    @app.periodic(cron="* * * * * */20")
    @app.task(name=TICK, queueing_lock=TICK)
    def tick(timestamp: int) -> None:  # noqa: ARG001 - procrastinate hands it over
        """What time brings about: overdue assignments expire, leases end, rounds close whose last two votes came so
        close together that neither saw the other, and what a worker that died left unassessed is assessed."""
        with sessions.begin() as session:
            lifecycle.expire_overdue(session)
        with sessions.begin() as session:
            rounds.release_expired_leases(session)
        with sessions.begin() as session:
            tallies.fold(session)
        with sessions.begin() as session:
            collecting, unassessed = study_lookup.collecting_ids(session), quality_rules.unassessed_ids(session)
        for assignment_id in unassessed:
            with sessions.begin() as session:
                quality_rules.assess(session, assignment_id=assignment_id)
        for study_id in collecting:
            with sessions.begin() as session:
                rounds.advance(session, study_id=study_id)

    return app


def add_requeue_stalled(app: App, *, queue: str, stalled_s: float) -> None:
    """Have this queue's workers return to it what a worker that is no longer heard of has begun."""
    name = f"{REQUEUE_STALLED}.{queue}"

    @app.periodic(cron="* * * * * */5")
    @app.task(name=name, queue=queue, queueing_lock=name, priority=_FIRST)
    async def requeue_stalled(timestamp: int) -> None:  # noqa: ARG001 - procrastinate hands it over
        with suppress(ConnectorException):  # the database is away: in five seconds there is another look
            for job in await app.job_manager.get_stalled_jobs(queue=queue, seconds_since_heartbeat=stalled_s):
                await take(job)

    async def take(job: Job) -> None:
        with suppress(ConnectorException):  # it ended after all, or another worker was quicker
            await app.job_manager.retry_job(job)
            log.warning("requeued the job of a stalled worker", job=job.call_string)


def add_generation(app: App, sessions: Sessions, engine: GenerationEngine) -> None:
    """Have this worker make batches."""

    @app.task(name=GENERATE, queue=GPU, pass_context=True, retry=_Retry())
    def generate(context: JobContext, batch_id: int) -> None:
        try:
            engine.make(batch_id, context.should_abort)
        except Stopped:
            raise JobAborted from None
        except _TEMPORARY:
            raise
        except Exception as error:
            if _is_final(error, context.job):
                reason = redact(f"{type(error).__name__}: {error}".splitlines()[0])
                with sessions.begin() as session:
                    batches.fail(session, batch_id=batch_id, reason=reason)
            raise


def stop_if_unable(call_next: Callable[[], Any], context: JobContext, worker: Worker) -> Any:  # noqa: ARG001
    """A worker without its model takes no further jobs."""
    try:
        return call_next()
    except CannotGenerate:
        worker.stop()  # type: ignore[no-untyped-call]
        raise


def excuse_database(call_next: Callable[[], Any], context: JobContext, worker: Worker) -> Any:  # noqa: ARG001
    """What the next job of its kind does anyway is not counted as failed because the database was away."""
    try:
        return call_next()
    except OperationalError as error:
        if context.job.task_name not in _LEFT_TO_THE_NEXT:
            raise
        log.warning("the database was away", job=context.job.task_name, error=explain(error))


class _Retry(BaseRetryStrategy):
    """A batch goes back to the queue unless trying again is no use."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, (JobAborted, *_TEMPORARY)):
            return RetryDecision()
        return None if _is_final(exception, job) else RetryDecision(retry_in={"seconds": 2})


def _is_final(error: BaseException, job: Job) -> bool:
    """What a service refuses it will refuse again; anything else may be the moment's."""
    return isinstance(error, LookalikeError) or job.attempts + 1 >= _ATTEMPTS
