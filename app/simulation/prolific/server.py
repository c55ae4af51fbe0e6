"""The marketplace over HTTP: Prolific's paths and bodies, and the ways in which networks and servers fail."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from app.simulation.prolific.marketplace import Marketplace, ProlificError
from app.simulation.prolific.routes import Answer, route

Kind = Literal["throttle", "error", "html", "lose"]
"""429 or 500 before anything happens, a page of HTML instead of an answer, or a connection cut after it happened."""
TOKEN = "fake-token"  # noqa: S105 - it opens nothing but this fake


@dataclass
class Mischief:
    """What goes wrong: shares of all requests, and mishaps for the next request whose method and path fit."""

    rates: dict[Kind, float] = field(default_factory=dict)
    next: list[tuple[Kind, str, str]] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)  # noqa: S311

    def draw(self, method: str, path: str) -> Kind | None:
        for mishap in self.next:
            if mishap[1] == method and mishap[2] in path:
                self.next.remove(mishap)
                return mishap[0]
        draw = self._rng.random()
        for kind, rate in self.rates.items():
            if draw < rate:
                return kind
            draw -= rate
        return None


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

    def handle(self, method: str, target: str, authorization: str, body: bytes) -> Answer | Kind:
        url = urlsplit(target)
        with self.marketplace.lock:
            mishap = self.mischief.draw(method, url.path)
            if mishap in ("throttle", "error", "html"):
                return mishap
            query = dict(parse_qsl(url.query))
            request = json.loads(body) if body else None
            self.marketplace.work_off()
            try:
                if authorization != f"Token {self._token}" and not url.path.startswith("/.well-known"):
                    raise ProlificError(401, "Invalid token.")
                answer = route(self.marketplace, method, url.path, query, request)
            except ProlificError as error:
                answer = error.status, error.body
            self.on_exchange(Exchange(method, url.path, query, request, status=answer[0], response=answer[1]))
            return mishap or answer


@contextmanager
def serve(fake: FakeProlific, *, port: int = 0) -> Iterator[str]:
    """The fake behind a socket of this machine, while the block lasts; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            authorization = self.headers.get("Authorization", "")
            outcome = fake.handle(self.command, self.path, authorization, self.rfile.read(length))
            if outcome == "lose":
                self.close_connection = True
            elif outcome == "throttle":
                self.write(429, b'{"error": {"status": 429, "title": "Too many requests"}}')
            elif outcome == "error":
                self.write(500, b"Internal Server Error")
            elif outcome == "html":
                self.write(200, b"<!DOCTYPE html><title>Prolific</title>", "text/html")
            else:
                assert isinstance(outcome, tuple)
                status, response, *headers = outcome
                self.write(status, json.dumps(response).encode(), **headers[0] if headers else {})

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - http.server's names

        def write(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent: its log would hold participants' ids."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="fake-prolific", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
