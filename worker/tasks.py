"""The worker's jobs: each one calls a service in a transaction of its own."""

import structlog
from procrastinate import App, PsycopgConnector
from sqlalchemy import make_url

from app.db import Sessions
from app.errors import Conflict, Unavailable
from app.keys import load_keys
from app.queue import CHECK_ROUND, RECRUIT, TICK
from app.services import assignments, erasure, rounds, studies
from app.services.recruiting.look import look_at_all
from app.settings import Settings

log = structlog.get_logger()


def make_worker_app(url: str, sessions: Sessions, settings: Settings) -> App:
    """The queue with its tasks, on a connection pool of its own."""
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    app = App(connector=PsycopgConnector(conninfo=conninfo))

    @app.task(name=CHECK_ROUND)
    def check_round(study_id: int) -> None:
        with sessions.begin() as session:
            rounds.advance(session, study_id=study_id)

    @app.periodic(cron="* * * * *")
    @app.task(name=RECRUIT, queueing_lock=RECRUIT)
    def recruit(timestamp: int = 0) -> None:  # noqa: ARG001 - procrastinate hands it over
        """What recruiters tell, what we want of them, and what is kept of people no longer."""
        with sessions.begin() as session:
            erasure.forget_overdue(session)
        try:
            look_at_all(sessions, load_keys(settings), settings)
        except (Conflict, Unavailable) as error:
            log.warning("recruiting waits", problem=error.message)

    @app.periodic(cron="* * * * * */20")
    @app.task(name=TICK, queueing_lock=TICK)
    def tick(timestamp: int) -> None:  # noqa: ARG001 - procrastinate hands it over
        """What time brings about: overdue assignments expire, leases end, and rounds close whose last two votes came
        so close together that neither saw the other."""
        with sessions.begin() as session:
            assignments.expire_overdue(session)
        with sessions.begin() as session:
            rounds.release_expired_leases(session)
        with sessions.begin() as session:
            collecting = studies.collecting_ids(session)
        for study_id in collecting:
            with sessions.begin() as session:
                rounds.advance(session, study_id=study_id)

    return app
