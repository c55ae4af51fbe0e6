"""Whoever sends or reads slowly keeps nobody waiting."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from app.errors import TooSlow
from app.web.body_limit import MAX_BODY, BodyLimit
from app.web.failures import AnswerErrors
from app.web.limits import Places

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
    """Sends the messages and then nothing more; reads what comes once it `reads`."""

    def __init__(self, *messages: Message, reads: bool = True) -> None:
        self.left = list(messages)
        self.reads = reads
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        if not self.left:
            await anyio.sleep_forever()
        return self.left.pop(0)

    async def send(self, message: Message) -> None:
        if not self.reads:
            await anyio.sleep_forever()
        self.answer.append(message)


def test_one_place_among_slow_clients() -> None:
    refused: list[Client] = []
    slow_sender, slow_reader, other = Client(HALF), Client(HALF, REST, reads=False), Client(HALF, REST)
    places = Places(read_all, count=1, patience=1.0)

    async def meet() -> None:
        async def send_slowly() -> None:
            with pytest.raises(TooSlow):
                await places(SCOPE, slow_sender.receive, slow_sender.send)
            refused.append(slow_sender)

        async with anyio.create_task_group() as group:
            group.start_soon(send_slowly)
            group.start_soon(places, SCOPE, slow_reader.receive, slow_reader.send)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(0.5):
                await places(SCOPE, other.receive, other.send)
            await anyio.sleep(1.0)
            group.cancel_scope.cancel()

    run(meet)
    assert other.answer[-1]["body"] == b"{}"
    assert refused == [slow_sender]


def test_whoever_hangs_up_keeps_no_place_and_is_no_error() -> None:
    """Neither before the body is here nor while a route reads it."""
    gone: Message = {"type": "http.disconnect"}

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def hang_up() -> None:
        for app in (Places(read_all, count=1), reads):
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
            await Places(refuse, count=1)(scope, client.receive, client.send)

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
