"""Whether this server is alive, and whether it can work: for proxies and orchestrators.

What is wrong is for the log; the answers go to whoever asks, and name no more than the part.
"""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.errors import LookalikeError, NotFound
from app.web.deps import Resources, ResourcesDep

log = structlog.get_logger()
router = APIRouter(include_in_schema=False)
NO_IMAGE = "0" * 64
ROOM = 2**20
"""Bytes that must fit on the home's disk."""


@router.get("/healthz")
async def healthz() -> Response:
    """Alive: it answers. Nothing else is asked, so that trouble elsewhere does not have servers restarted."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(resources: ResourcesDep) -> Response:
    """Ready: database and image store answer, and there is room on the disk; 503 and the names of those if not."""
    failing = [name for name, works in _PARTS.items() if not await _works(name, works, resources)]
    if failing:
        return JSONResponse({"status": "not ready", "failing": failing}, status_code=503)
    return JSONResponse({"status": "ok"})


async def _works(name: str, works: Callable[[Resources], Awaitable[None]], resources: Resources) -> bool:
    try:
        await works(resources)
    except (LookalikeError, SQLAlchemyError, OSError) as error:
        log.error("not ready", part=name, error=str(error))
        return False
    return True


async def _database(resources: Resources) -> None:
    await to_thread.run_sync(_ask, resources)


def _ask(resources: Resources) -> None:
    with resources.sessions() as session:
        session.execute(text("SELECT 1"))


async def _storage(resources: Resources) -> None:
    """A store that answers says that there is no such image."""
    try:
        await resources.outside.call(lambda: resources.storage.get(NO_IMAGE))
    except NotFound:
        return


async def _disk(resources: Resources) -> None:
    """By writing: a quota, a limit of files or a disk that has become read-only shows in no figure. Where database and
    images are elsewhere, the home holds nothing that a server cannot do without."""
    settings = resources.settings
    if settings.database_url is None or settings.s3_bucket is None:
        await to_thread.run_sync(_write, settings.home)


def _write(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(ROOM))


_PARTS: dict[str, Callable[[Resources], Awaitable[None]]] = {
    "database": _database,
    "storage": _storage,
    "disk": _disk,
}
