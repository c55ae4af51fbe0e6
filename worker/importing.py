"""The worker's imports: asked for in the dashboard or through the API."""

from procrastinate import App, JobContext
from procrastinate.exceptions import JobAborted

from app.db import Sessions
from app.queue import IMPORT
from app.services.items.import_requests import run
from app.services.items.import_sources import open_import_source
from app.services.items.uploads import open_uploads
from app.services.progress_writer import GivenBack
from app.settings import Settings
from app.storage import open_storage
from worker.tasks import GOES_ON


def add_imports(app: App, sessions: Sessions, settings: Settings) -> None:
    storage, place, uploads = open_storage(settings), open_import_source(settings), open_uploads(settings)

    @app.task(name=IMPORT, pass_context=True, retry=GOES_ON)
    def import_folder(context: JobContext, request_id: int) -> None:
        try:
            run(
                sessions, storage, place, uploads, incoming=settings.incoming, request_id=request_id,
                stopping=context.should_abort,
            )  # fmt: skip
        except GivenBack:
            raise JobAborted from None
