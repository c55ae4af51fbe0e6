"""Events from recruiters: each sets off one look, a repeat none."""

from datetime import timedelta

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.models.recruiting import WebhookEvent
from app.queue import defer_recruiting
from app.recruiters.prolific.webhooks import Event

KEPT = timedelta(days=2)
"""Longer than Prolific repeats an event."""


def take(session: Session, event: Event) -> None:
    taken = session.scalar(
        insert(WebhookEvent)
        .values(event_sha256=event.id_sha256)
        .on_conflict_do_nothing()
        .returning(WebhookEvent.event_sha256)
    )
    if taken is None:
        return
    session.execute(delete(WebhookEvent).where(WebhookEvent.received_at < func.clock_timestamp() - KEPT))
    defer_recruiting(session)
