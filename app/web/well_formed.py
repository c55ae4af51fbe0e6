"""Requests that no browser sends are refused before anything reads them."""

import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class RequireWellFormed:
    """One Host of the form `name:port` (nothing is derived from it, but addresses have to be readable), and no null
    character in the address, which no column and no file name can hold."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _require_host([value for name, value in scope["headers"] if name == b"host"])
            if "\0" in scope["path"]:
                raise HTTPException(404)
            if b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
                raise HTTPException(422, "The address holds a null character.")
        await self._app(scope, receive, send)


def _require_host(hosts: list[bytes]) -> None:
    if len(hosts) > 1 or any(not _HOST.fullmatch(host) or len(host) > 300 for host in hosts):
        raise HTTPException(400, "The Host header is no name or number of a machine.")
