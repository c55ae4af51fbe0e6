"""Where recruiters say that something changed."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from app.errors import NotFound
from app.recruiters.prolific.webhooks import read_event
from app.services.recruiting import webhook_events
from app.web.deps import ResourcesDep, SessionDep

router = APIRouter(prefix="/hooks", include_in_schema=False)


async def read_body(request: Request) -> bytes:
    return await request.body()


@router.post("/prolific", status_code=204)
def prolific(
    request: Request, session: SessionDep, resources: ResourcesDep, body: Annotated[bytes, Depends(read_body)]
) -> None:
    """An event: a hint to go and look."""
    secret = resources.settings.prolific_webhook_secret
    if secret is None:
        raise NotFound("This server expects no events from Prolific.")
    event = read_event(body, request.headers, secret=secret.get_secret_value(), now=datetime.now(UTC))
    webhook_events.take(session, event)
