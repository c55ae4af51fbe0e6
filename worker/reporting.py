"""The worker's reports: asked for in the dashboard, kept in the database."""

from procrastinate import App

from app.db import Sessions
from app.queue import REPORT
from app.services.reports.requests import run
from worker.tasks import GOES_ON


def add_reports(app: App, sessions: Sessions) -> None:
    @app.task(name=REPORT, retry=GOES_ON)
    def report(report_id: int) -> None:
        run(sessions, report_id=report_id)
