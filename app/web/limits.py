"""What the server takes on: so much in a body, so many requests at a time; and the headers every answer carries."""

import anyio
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 256 * 1024

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class BodyLimit:
    """Refuses a body by its declared length before reading it, and one that declares none once it grows too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        body = await _read(receive) if declared.isdigit() and int(declared) <= MAX_BODY else None
        if body is None:
            await _too_large(scope, receive, send)
            return
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Message:
            return next(messages, None) or await receive()

        await self._app(scope, replay, send)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None as soon as it is longer than MAX_BODY."""
    body = b""
    while len(body) <= MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body if len(body) <= MAX_BODY else None
    return None


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    detail = f"A request holds at most {MAX_BODY // 1024} kB."
    problem = {"type": "about:blank", "title": "Too large", "status": 413, "detail": detail}
    response = JSONResponse(
        problem, status_code=413, media_type="application/problem+json", headers={"Connection": "close"}
    )
    await response(scope, receive, send)


class DefaultHeaders:
    """Security headers on every answer that does not say otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class Places:
    """At most `count` requests under way; the others wait their turn before they hold anything.

    A synchronous route hops through several worker threads: dependencies, route, serialisation. If waiting requests
    could take every thread, the one that holds the row they wait for would find none to finish on. As long as there
    are no fewer threads than places, it always does.
    """

    def __init__(self, app: ASGIApp, *, count: int) -> None:
        self._app = app
        self._places = anyio.Semaphore(count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async with self._places:
            await self._app(scope, receive, send)
