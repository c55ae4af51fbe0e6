"""Who may use what at a time: the database has its places, and what is slow and outside has others."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import Unavailable

_Result = TypeVar("_Result")


class Places:
    """At most `count` at a time; nobody waits for a place longer than `patience_s`."""

    def __init__(self, count: int, *, patience_s: float) -> None:
        self._free = anyio.Semaphore(count)
        self._patience_s = patience_s

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises Unavailable if none becomes free in time."""
        with anyio.move_on_after(self._patience_s) as waiting:
            await self._free.acquire()
        if waiting.cancelled_caught:
            raise Unavailable(f"No place became free within {self._patience_s:.0f} s.")
        try:
            yield
        finally:
            self._free.release()


class Outside:
    """Calls to what may hang: in threads of their own, so that nobody else waits when they do.

    What is called ends by itself; a thread cannot be stopped.
    """

    def __init__(self, threads: int, *, patience_s: float) -> None:
        self._places = Places(threads, patience_s=patience_s)
        self._threads = CapacityLimiter(threads)

    async def call(self, function: Callable[[], _Result]) -> _Result:
        """Raises Unavailable if no thread becomes free in time, and what the function raises."""
        async with self._places.one():
            return await to_thread.run_sync(function, limiter=self._threads)


class Fetched(Response):
    """Bytes that come from outside once the route has ended: it then holds neither the database nor a place there."""

    def __init__(
        self, outside: Outside, fetch: Callable[[], bytes], *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(media_type=media_type)
        self._outside, self._fetch, self._said = outside, fetch, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        data = await self._outside.call(self._fetch)
        await Response(data, media_type=self.media_type, headers=self._said)(scope, receive, send)
