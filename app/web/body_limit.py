"""How large a request's body may be."""

import re
from collections.abc import Mapping

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 256 * 1024
"""Bytes of a request's body: far more than an honest page sends."""
STALL_SECONDS = 30.0
"""So long the next piece of a body may take."""


class BodyLimit:
    """Refuses bodies of more than `MAX_BODY` bytes, or of files with more than an address is given in `larger`, bytes
    by a pattern of the whole path: by their own word if they say how long they are, else as soon as they are too long.
    Files are kept on disk as they come; all else is read into memory. Nobody waits for ever for the next piece.
    """

    def __init__(self, app: ASGIApp, *, larger: Mapping[str, int]) -> None:
        self._app = app
        self._larger = [(re.compile(pattern), most) for pattern, most in larger.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, size, is_whole = self._most(scope), 0, False
        if says_it_is_large(scope, most):
            raise _too_large(most)

        async def limited() -> Message:
            nonlocal size, is_whole
            with anyio.move_on_after(None if is_whole else STALL_SECONDS) as waiting:
                message = await receive()
            if waiting.cancelled_caught:
                raise HTTPException(408, "The request did not arrive in time.", headers={"Connection": "close"})
            size, is_whole = size + len(message.get("body", b"")), not message.get("more_body", False)
            if size > most:
                raise _too_large(most)
            return message

        await self._app(scope, limited, send)

    def _most(self, scope: Scope) -> int:
        larger = self._larger if carries_files(scope) else []
        return next((most for pattern, most in larger if pattern.fullmatch(scope["path"])), MAX_BODY)


def carries_files(scope: Scope) -> bool:
    """Whether a request's body is a form with files."""
    return Headers(scope=scope).get("content-type", "").lower().startswith("multipart/form-data")


def says_it_is_large(scope: Scope, most: int = MAX_BODY) -> bool:
    """Whether a request says that its body has more than `most` bytes."""
    said = Headers(scope=scope).get("content-length", "")
    return said.isascii() and said.isdigit() and (len(said) > 15 or int(said) > most)


def _too_large(most: int) -> HTTPException:
    """Of Starlette's kind, which frameworks hand through. The connection ends: what is left unread is not read."""
    return HTTPException(413, f"A request holds at most {most // 1024} kB here.", headers={"Connection": "close"})
