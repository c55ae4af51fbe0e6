"""Webhooks as Prolific makes them: a secret per workspace, subscriptions that must be confirmed, signed events."""

import hmac
import json
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime

EVENT_TYPES = (
    "study.status.change",
    "study.progress.change",
    "submission.status.change",
    "study.has_high_return_rate",
)


@dataclass(frozen=True)
class SignedEvent:
    body: bytes
    headers: dict[str, str]


@dataclass
class Hooks:
    """`confirmed` are the subscriptions in force."""

    secret: str = ""
    confirmed: list[dict[str, str]] = field(default_factory=list)
    _asked: dict[str, tuple[dict[str, str], str]] = field(default_factory=dict)

    def make_secret(self) -> str:
        self.secret = secrets.token_urlsafe(24)
        return self.secret

    def ask(self, wanted: dict[str, str]) -> tuple[dict[str, str], str]:
        """The subscription, and what has to be sent back to confirm it."""
        subscription, proof = {**wanted, "id": secrets.token_hex(12), "is_enabled": "true"}, secrets.token_urlsafe(12)
        self._asked[subscription["id"]] = subscription, proof
        return subscription, proof

    def confirm(self, subscription_id: str, proof: str) -> bool:
        asked = self._asked.get(subscription_id)
        if asked is None or asked[1] != proof:
            return False
        self.confirmed.append(asked[0])
        return True

    def sign(self, event_type: str, resource: str, participant: str, status: str) -> SignedEvent:
        told = {"event_type": event_type, "resource_id": resource, "participant_id": participant, "status": status}
        body, stamp = json.dumps(told).encode(), str(int(datetime.now(UTC).timestamp()))
        signature = b64encode(hmac.digest(self.secret.encode(), stamp.encode() + body, "sha256")).decode()
        headers = {
            "X-Prolific-Request-Timestamp": stamp,
            "X-Prolific-Request-Signature": signature,
            "X-Event-ID": secrets.token_hex(8),
        }
        return SignedEvent(body, headers)
