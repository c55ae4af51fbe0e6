"""Imitated services behind real sockets, and the ways in which networks and servers fail."""

import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol

Kind = Literal["throttle", "error", "html", "lose"]
"""429 or 500 before anything happens, a page of HTML instead of an answer, or a connection cut after it happened."""


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
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


INTERNAL_ERROR = Reply(500, b"Internal Server Error", {"Content-Type": "text/plain"})
PAGE = Reply(200, b"<!DOCTYPE html><title>Welcome</title>", {"Content-Type": "text/html"})


class Fake(Protocol):
    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """The answer; None cuts the connection."""
        ...


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that went away is what some are there for."""


@contextmanager
def serve(fake: Fake, *, port: int = 0) -> Iterator[str]:
    """The fake behind a socket of this machine, while the block lasts; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait 40 ms for each other

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            reply = fake.handle(self.command, self.path, dict(self.headers), self.rfile.read(length))
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            """Silent: its log would hold participants' ids."""

    with _Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="fake", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
