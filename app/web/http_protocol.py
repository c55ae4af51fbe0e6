"""The HTTP protocol of the server: uvicorn's, with bounds on what comes before a request is one.

What the application can bound itself, such as a body, it does; it knows nothing of a request whose head never ends.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.limits import SECURITY_HEADERS

MAX_HEAD = 32 * 1024
"""Bytes of a request line and its headers: a signed link of a recruiter has 2 kB, cookies of other pages a few more."""
MAX_HEADERS = 100
HEAD_SECONDS = 20.0
"""So long a request's head may take, from the connection or the last answer on."""


class BoundedHTTPProtocol(HttpToolsProtocol):
    """Refuses a head that is too long (431) or too slow (408), and says so as the application would."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_in_head = True
        self._head_size = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # A line that does not end is told to nobody: it is counted here.
        if self._is_in_head and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_size = True, 0
        if self._deadline is None:
            self._set_deadline()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._require_short(len(self.url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            self._require_short(MAX_HEAD + 1)

    def on_headers_complete(self) -> None:
        self._require_short(len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers))
        self._is_in_head = False
        self._drop_deadline()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._set_deadline()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence
        """What uvicorn calls when it cannot make a request of what it got."""
        self._answer(self._refusal)

    def _require_short(self, size: int) -> None:
        """Within the parser, which ends with what is raised here."""
        if size > MAX_HEAD:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("too long")

    def _set_deadline(self) -> None:
        self._drop_deadline()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._set_deadline()  # what was pipelined waits for an answer that is under way
        elif self._head_size:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        self._drop_deadline()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an answer is under way: another one cannot begin in the middle of it
        else:
            self._answer(status)

    def _answer(self, status: HTTPStatus) -> None:
        body = json.dumps(
            {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": status.description}
        ).encode()
        headers = SECURITY_HEADERS | {
            "Content-Type": "application/problem+json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()
