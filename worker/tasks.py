"""The worker's jobs: each one calls a service in a transaction of its own."""

import structlog
from procrastinate import App, PsycopgConnector
from sqlalchemy import make_url

from app.db import Sessions
from app.queue import ASSESS, CHECK_ROUND, TICK
from app.services import assignments, quality, rounds, studies

log = structlog.get_logger()


def make_worker_app(url: str, sessions: Sessions) -> App:
    """The queue with its tasks, on a connection pool of its own."""
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    app = App(connector=PsycopgConnector(conninfo=conninfo))

    @app.task(name=CHECK_ROUND)
    def check_round(study_id: int) -> None:
        with sessions.begin() as session:
            rounds.advance(session, study_id=study_id)

    @app.task(name=ASSESS)
    def assess(assignment_id: int) -> None:
        with sessions.begin() as session:
            quality.assess(session, assignment_id=assignment_id)

    @app.periodic(cron="* * * * * */20")
    @app.task(name=TICK, queueing_lock=TICK)
    def tick(timestamp: int) -> None:  # noqa: ARG001 - procrastinate hands it over
        """What time brings about: overdue assignments expire, leases end, rounds close whose last two votes came so
        close together that neither saw the other, and what a worker that died left unassessed is assessed."""
        with sessions.begin() as session:
            assignments.expire_overdue(session)
        with sessions.begin() as session:
            rounds.release_expired_leases(session)
        with sessions.begin() as session:
            collecting, unassessed = studies.collecting_ids(session), quality.unassessed_ids(session)
        for assignment_id in unassessed:
            with sessions.begin() as session:
                quality.assess(session, assignment_id=assignment_id)
        for study_id in collecting:
            with sessions.begin() as session:
                rounds.advance(session, study_id=study_id)

    return app
