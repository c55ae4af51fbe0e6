"""Whoever sends or reads slowly keeps nobody waiting."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from app.errors import TooSlow, Unavailable
from app.web.body_limit import MAX_BODY, BodyLimit
from app.web.failures import AnswerErrors
from app.web.limits import Bodies
from app.web.places import Places

HALF: Message = {"type": "http.request", "body": b"{", "more_body": True}
REST: Message = {"type": "http.request", "body": b"}", "more_body": False}
SCOPE: Scope = {"type": "http", "method": "POST", "path": "/", "headers": []}


def run(what: Callable[[], Awaitable[None]]) -> None:
    """On a thread of its own: that of the browser tests has a loop already."""
    with ThreadPoolExecutor() as threads:
        threads.submit(anyio.run, what).result()


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Client:
    """Sends the messages and then nothing more."""

    def __init__(self, *messages: Message) -> None:
        self.left = list(messages)
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        if not self.left:
            await anyio.sleep_forever()
        return self.left.pop(0)

    async def send(self, message: Message) -> None:
        self.answer.append(message)


def test_who_sends_slowly_is_not_let_in() -> None:
    slow, other = Client(HALF), Client(HALF, REST)
    entered: list[Scope] = []

    async def enter(scope: Scope, receive: Receive, send: Send) -> None:
        entered.append(scope)
        await read_all(scope, receive, send)

    async def meet() -> None:
        bodies = Bodies(enter, patience=0.1)
        with pytest.raises(TooSlow):
            await bodies(SCOPE, slow.receive, slow.send)
        await bodies(SCOPE, other.receive, other.send)

    run(meet)
    assert other.answer[-1]["body"] == b"{}"
    assert len(entered) == 1


def test_nobody_waits_for_ever_for_a_place() -> None:
    async def meet() -> None:
        places = Places(1, patience_s=0.05)
        async with places.one():
            with pytest.raises(Unavailable, match="No place became free"):
                async with places.one():
                    pass
        async with places.one():
            pass

    run(meet)


def test_whoever_hangs_up_is_no_error() -> None:
    """Neither before the body is here nor while a route reads it."""
    gone: Message = {"type": "http.disconnect"}

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def hang_up() -> None:
        for app in (Bodies(read_all), reads):
            client = Client(HALF, gone)
            await AnswerErrors(app)(SCOPE, client.receive, client.send)
            assert client.answer == []

    run(hang_up)


def test_what_is_large_is_left_to_its_route() -> None:
    """Routes that take uploads raise the limit, once they know who sends one."""
    client, scope = Client(), {**SCOPE, "headers": [(b"content-length", str(MAX_BODY + 1).encode())]}

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 403, "headers": []})

    async def come() -> None:
        with anyio.fail_after(0.5):
            await Bodies(refuse)(scope, client.receive, client.send)

    run(come)
    assert client.answer[0]["status"] == 403


def test_a_body_that_stops_in_the_middle_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a route reads it that takes large ones; once it is whole, one may wait for its sender to hang up."""
    monkeypatch.setattr("app.web.body_limit.STALL_SECONDS", 0.2)
    stalled, whole = Client(HALF), Client(HALF, REST)
    scope = {**SCOPE, "path": "/large"}

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(scope, receive, send)
        with anyio.move_on_after(0.5) as waiting:
            await receive()
        assert waiting.cancelled_caught

    async def come() -> None:
        await AnswerErrors(BodyLimit(read_all, larger={"/large": 10}))(scope, stalled.receive, stalled.send)
        await AnswerErrors(BodyLimit(waits, larger={"/large": 10}))(scope, whole.receive, whole.send)

    run(come)
    assert stalled.answer[0]["status"] == 408
    assert whole.answer[0]["status"] == 200


def test_head_is_get_without_the_body(client: TestClient) -> None:
    for path in ("/", "/healthz", "/static/vendor/htmx.min.js", "/api/openapi.json", "/admin/sign-in", "/none"):
        asked, shown = client.head(path), client.get(path)
        assert (asked.status_code, asked.content) == (shown.status_code, b""), path
        assert asked.headers["content-length"] == shown.headers["content-length"], path
    assert client.head("/studies/none/decline").status_code == 405
