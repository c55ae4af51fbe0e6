"""The worker's reports: asked for in the dashboard, kept in the database."""

from procrastinate import App

from app.db import Sessions
from app.queue import REPORT
from app.services.reports.requests import fulfil
from worker.tasks import WHEN_IT_IS_BACK


def add_reports(app: App, sessions: Sessions) -> None:
    @app.task(name=REPORT, retry=WHEN_IT_IS_BACK)
    def report(report_id: int) -> None:
        fulfil(sessions, report_id=report_id)
