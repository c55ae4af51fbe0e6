"""What the server takes on at most, and the headers every answer carries."""

from collections.abc import Sequence

import anyio
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import TooSlow
from app.web.body_limit import MAX_BODY, says_it_is_large

_COMPRESSED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream", "application/vnd.apache.parquet")

_CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; "
)
SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT + "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ONE_YEAR_OF_HTTPS = "max-age=31536000"


PARTICIPANT_PATHS = ("/studies/", "/assignments/")


class DefaultHeaders:
    """Security headers on every answer that does not say otherwise. What participants see may be in a frame of the
    `framing` sites, and may post its last form there. Who came by https, or will once they know `public_url`, is to
    come so for a year."""

    def __init__(self, app: ASGIApp, *, framing: Sequence[str] = (), public_url: str = "") -> None:
        self._app = app
        self._is_https = public_url.startswith("https:")
        self._framed = SECURITY_HEADERS
        if framing:
            sites = " ".join(framing)
            policy = f"{_CONTENT}form-action 'self' {sites}; frame-ancestors {sites}"
            self._framed = SECURITY_HEADERS | {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_participants = scope["type"] == "http" and scope["path"].startswith(PARTICIPANT_PATHS)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (self._framed if is_participants else SECURITY_HEADERS).items():
                    headers.setdefault(name, value)
                if self._is_https or scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", ONE_YEAR_OF_HTTPS)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class Head:
    """HEAD is answered as GET would be, without the body, wherever there is a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class Compression:
    """Answers in gzip for those who take it, but for what is compressed already.

    Starlette's middleware hands on only what belongs to an answer; tests also look at the context of its template.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answering(scope: Scope, receive: Receive, compress: Send) -> None:
            async def hand_on(message: Message) -> None:
                await (send if message["type"] == "http.response.debug" else compress)(message)

            await self._app(scope, receive, hand_on)

        await GZipMiddleware(answering, compresslevel=6, exclude_content_types=_COMPRESSED)(scope, receive, send)


class Bodies:
    """A request goes on once its body is here, as far as an ordinary one goes: whoever sends slowly holds nothing that
    others wait for. One that says it is larger is left unread: its route knows whether it may be, and whose."""

    def __init__(self, app: ASGIApp, *, patience: float = 30.0) -> None:
        self._app = app
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or says_it_is_large(scope):
            await self._app(scope, receive, send)
            return
        begun: list[Message] = []
        with anyio.move_on_after(self._patience) as reading:
            begun = await _read(receive)
        if reading.cancelled_caught:
            raise TooSlow("The request did not arrive in time. Please send it again.")

        async def received() -> Message:
            return begun.pop(0) if begun else await receive()

        await self._app(scope, received, send)


async def _read(receive: Receive) -> list[Message]:
    """A request's body, or the beginning of one that is larger than `MAX_BODY`. Raises ClientDisconnect."""
    messages, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        messages.append(message)
        size += len(message.get("body", b""))
        if not message.get("more_body") or size > MAX_BODY:
            return messages
