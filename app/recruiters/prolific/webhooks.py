"""Events from Prolific: hints that something changed, believed only as far as the reason to go and look.

They come more than once and in any order, so nothing of their content is stored: the state is fetched.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.errors import BadInput, LookalikeError
from app.json_text import UnusableJSON, read_json
from app.recruiters.prolific import schemas
from app.recruiters.prolific.api import Api
from app.recruiters.recruiter import OutcomeUnclear

SIGNATURE, TIMESTAMP, EVENT_ID = "x-prolific-request-signature", "x-prolific-request-timestamp", "x-event-id"
EVENTS = (
    "study.status.change",
    "study.progress.change",
    "submission.status.change",
    "study.has_high_return_rate",
)
OLDEST_S = 300


class Unsigned(LookalikeError):
    status = 401
    title = "Not signed by the recruiter"


@dataclass(frozen=True)
class Event:
    """`id_sha256` tells repeats."""

    id_sha256: bytes
    kind: str


def read_event(body: bytes, headers: Mapping[str, str], *, secret: str, now: datetime) -> Event:
    """An event whose signature holds: base64(HMAC-SHA256(secret, timestamp + body)) over the raw bytes.

    Raises:
        Unsigned: no signature of this secret, or a timestamp more than five minutes off.
        BadInput: signed, but not an event that we know.
    """
    stamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    expected = b64encode(hmac.digest(secret.encode(), stamp.encode() + body, "sha256")).decode()
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise Unsigned("The signature does not fit the body.")
    if abs((now - _moment(stamp)).total_seconds()) > OLDEST_S:
        raise Unsigned("The event's timestamp is more than five minutes off: an old event, or a clock that is wrong.")
    try:
        event: Any = read_json(body)
    except UnusableJSON as error:
        raise BadInput(f"The event is no JSON that can be used: {error.msg}.") from None
    kind = event.get("event_type") if isinstance(event, dict) else None
    if kind not in EVENTS:
        raise BadInput(f"Unknown event {str(kind)[:80]!r}.")
    # An event without an id is told apart by its content.
    event_id = headers.get(EVENT_ID, "").encode() or stamp.encode() + body
    return Event(hashlib.sha256(event_id).digest(), str(kind))


def _moment(stamp: str) -> datetime:
    """Seconds since 1970, or ISO 8601."""
    try:
        return datetime.fromtimestamp(float(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        raise Unsigned("The event has no readable timestamp.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def subscribe(api: Api, *, workspace: str, target_url: str) -> str:
    """Have the workspace's events sent to `target_url`; returns the secret they are signed with.

    A workspace has one secret: making ours ends any other.
    """
    made = api.send("POST", "/api/v1/hooks/secrets/", {"workspace_id": workspace}, repeatable=False)
    secret = schemas.read(schemas.HookSecret, made, otherwise=OutcomeUnclear).value
    types = schemas.read(schemas.EventTypes, api.get("/api/v1/hooks/event-types/"))
    offered = {event.event_type for event in types.results}
    for kind in EVENTS:
        if kind in offered:
            _subscribe(api, {"workspace_id": workspace, "event_type": kind, "target_url": target_url})
    return secret


def _subscribe(api: Api, wanted: dict[str, str]) -> None:
    """In two steps: what the answer's header says is sent back, to show that we asked for it."""
    path = "/api/v1/hooks/subscriptions/"
    asked = api.call("POST", path, json=wanted, repeatable=False)
    told = asked.json()
    listed = schemas.read(schemas.Subscriptions, told).results if "results" in told else []
    subscription = listed[0] if listed else schemas.read(schemas.Made, told, otherwise=OutcomeUnclear)
    echoed = asked.headers.get("X-Hook-Secret")
    if echoed is None:
        raise OutcomeUnclear("Prolific answered a subscription without its secret, so that it is not confirmed.")
    api.send("POST", f"{path}{subscription.id}/", {"secret": echoed})
