"""The web application."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from app.db import POOL_SIZE, open_watched_sessions
from app.keys import load_keys
from app.paths import STATIC
from app.recruiters.configured import Doors
from app.services.assignments.enrolment_quota import Enrolments
from app.services.items import uploads
from app.services.items.import_sources import open_import_source
from app.settings import Settings
from app.storage import open_storage
from app.web import health, metrics, participant, webhooks
from app.web.admin.router import router as admin_router
from app.web.api.router import router as api_router
from app.web.assets import Assets
from app.web.body_limit import BodyLimit
from app.web.deps import Resources
from app.web.failures import AnswerErrors
from app.web.limits import Bodies, Compression, DefaultHeaders, Head
from app.web.metrics import Requests
from app.web.pages import MessagePage, render
from app.web.problems import add_error_handlers
from app.web.well_formed import RequireWellFormed

UPLOADS = {r"/admin/studies/[^/]+/import": uploads.LARGEST}


def create_app(settings: Settings) -> FastAPI:
    """The application; creating it opens nothing, its lifespan does.

    Raises (when it starts):
        Unavailable: the database schema is not current.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = 2 * POOL_SIZE
        with ExitStack() as stack:
            sessions = stack.enter_context(open_watched_sessions(settings))
            storage, keys = open_storage(settings, for_server=True), load_keys(settings)
            imports = open_import_source(settings, for_server=True)
            kept = uploads.open_uploads(settings, for_server=True)
            enrolments = Enrolments(settings.unstarted_per_address)
            app.state.resources = Resources(
                sessions, storage, keys, Doors(settings, keys), settings, imports, kept, enrolments
            )
            yield

    app = FastAPI(
        title="Lookalike",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,  # Starlette's would take the host from the request: see `problems`
    )
    # The last one added is the outermost.
    app.add_middleware(Bodies)
    app.add_middleware(BodyLimit, larger=UPLOADS)
    app.add_middleware(RequireWellFormed)
    app.add_middleware(AnswerErrors, has_current_schema=lambda: app.state.resources.has_current_schema())
    app.add_middleware(DefaultHeaders, framing=settings.mturk_origins, public_url=settings.public_url)
    app.add_middleware(Compression)
    app.state.requests = CollectorRegistry()
    app.add_middleware(Requests, registry=app.state.requests)
    app.add_middleware(Head)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        message = "This server runs visual similarity studies. To take part in one, use the link you were given."
        return render(request, MessagePage(title="Lookalike", message=message))

    add_error_handlers(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(participant.router)
    app.include_router(admin_router)
    app.include_router(api_router)
    app.include_router(webhooks.router)
    app.mount("/static", Assets(directory=STATIC), name="static")
    return app
