"""Routes whose JSON bodies are read within bounds."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.json_text import read_json


class _StorableRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


class _LenientRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body(), storable=False)


def _route_reading(kind: type[Request]) -> type[APIRoute]:
    class BoundedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def bounded(request: Request) -> Response:
                return await handle(kind(request.scope, request.receive))

            return bounded

    return BoundedRoute


StorableJSONRoute = _route_reading(_StorableRequest)
"""What it is given can be stored as it is."""

LenientJSONRoute = _route_reading(_LenientRequest)
"""For judgments: a measurement that cannot be stored is dropped by its field and never costs the answer."""
