"""The marketplace over HTTP: Prolific's paths and bodies."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from simulation.prolific.marketplace import Marketplace, ProlificError
from simulation.prolific.routes import route
from simulation.serving import INTERNAL_ERROR, PAGE, Mischief, Reply

TOKEN = "fake-token"  # noqa: S105 - it opens nothing but this fake


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, for whoever checks them against a description of the API."""

    method: str
    path: str
    query: dict[str, str]
    request: Any
    status: int
    response: Any


class FakeProlific:
    """Answers one request at a time. `on_exchange` sees every request that was handled."""

    def __init__(self, marketplace: Marketplace, *, token: str = TOKEN) -> None:
        self.marketplace = marketplace
        self.mischief = Mischief()
        self.on_exchange: Callable[[Exchange], None] = lambda _: None
        self._token = token

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply | None:
        url = urlsplit(target)
        with self.marketplace.lock:
            match mishap := self.mischief.draw(method, url.path):
                case "throttle":
                    return _json(429, {"error": {"status": 429, "title": "Too many requests"}})
                case "error":
                    return INTERNAL_ERROR
                case "html":
                    return PAGE
            query = dict(parse_qsl(url.query))
            request = json.loads(body) if body else None
            self.marketplace.work_off()
            try:
                if headers.get("Authorization") != f"Token {self._token}" and not url.path.startswith("/.well-known"):
                    raise ProlificError(401, "Invalid token.")
                status, answer, *more = route(self.marketplace, method, url.path, query, request)
            except ProlificError as error:
                status, answer, more = error.status, error.body, []
            self.on_exchange(Exchange(method, url.path, query, request, status=status, response=answer))
            return None if mishap == "lose" else _json(status, answer, *more)


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})
