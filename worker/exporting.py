"""The worker's exports: asked for in the dashboard, written to the home."""

from procrastinate import App, JobContext
from procrastinate.exceptions import JobAborted

from app.db import Sessions
from app.queue import EXPORT
from app.services.exports.requests import run
from app.services.progress_writer import GivenBack
from app.settings import Settings
from app.storage import open_storage
from worker.tasks import GOES_ON


def add_exports(app: App, sessions: Sessions, settings: Settings) -> None:
    storage = open_storage(settings)

    @app.task(name=EXPORT, pass_context=True, retry=GOES_ON)
    def export(context: JobContext, request_id: int) -> None:
        try:
            run(
                sessions, storage, folder=settings.exports, request_id=request_id, stopping=context.should_abort
            )  # fmt: skip
        except GivenBack:
            raise JobAborted from None
