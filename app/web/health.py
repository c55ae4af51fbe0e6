"""Whether this server is alive, and whether it can work: for proxies and orchestrators.

What is wrong is for the log; the answers go to whoever asks, and name no more than the part.
"""

from collections.abc import Callable

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.errors import LookalikeError, NotFound
from app.web.deps import Resources, ResourcesDep

log = structlog.get_logger()
router = APIRouter(include_in_schema=False)
NO_IMAGE = "0" * 64


@router.get("/healthz")
def healthz() -> Response:
    """Alive: it answers. Nothing else is asked, so that trouble elsewhere does not have servers restarted."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
def readyz(resources: ResourcesDep) -> Response:
    """Ready: database and image store answer; 503 and their names if not."""
    failing = [name for name, answers in _PARTS.items() if not _works(name, answers, resources)]
    if failing:
        return JSONResponse({"status": "not ready", "failing": failing}, status_code=503)
    return JSONResponse({"status": "ok"})


def _works(name: str, answers: Callable[[Resources], None], resources: Resources) -> bool:
    try:
        answers(resources)
    except (LookalikeError, SQLAlchemyError, OSError) as error:
        log.error("not ready", part=name, error=str(error))
        return False
    return True


def _database(resources: Resources) -> None:
    with resources.sessions() as session:
        session.execute(text("SELECT 1"))


def _storage(resources: Resources) -> None:
    """A store that answers says that there is no such image."""
    try:
        resources.storage.get(NO_IMAGE)
    except NotFound:
        return


_PARTS: dict[str, Callable[[Resources], None]] = {"database": _database, "storage": _storage}
