"""The worker's exports: asked for in the dashboard, written to the home."""

from procrastinate import App

from app.db import Sessions
from app.queue import EXPORT
from app.services.exports.requests import fulfil
from app.settings import Settings
from app.storage import open_storage
from worker.tasks import WHEN_IT_IS_BACK


def add_exports(app: App, sessions: Sessions, settings: Settings) -> None:
    storage = open_storage(settings)

    @app.task(name=EXPORT, retry=WHEN_IT_IS_BACK)
    def export(request_id: int) -> None:
        fulfil(sessions, storage, folder=settings.exports, request_id=request_id)
