"""People whom the fake Prolific sends, and its events on their way to the server."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qsl, urlsplit

import httpx

from simulation.crowd import Guest
from simulation.prolific.hooks import SignedEvent
from simulation.prolific.marketplace import FakeSubmission, Marketplace

PATIENCE_S = 0.2


def guests(market: Marketplace, *, is_over: Callable[[], bool]) -> Iterator[Guest]:
    """Whoever finds a place, until the study is over."""
    while not is_over():
        found = [submission for study in list(market.studies) if (submission := market.take_place(study))]
        for submission in found:
            yield _guest(market, submission)
        if not found:
            time.sleep(PATIENCE_S)


def _guest(market: Marketplace, submission: FakeSubmission) -> Guest:
    def tell(code: str | None) -> None:
        if code is None:
            market.end(submission.id, "RETURNED")
        else:
            market.submit(submission.id, code)

    return Guest(submission.id, dict(parse_qsl(urlsplit(market.link(submission)).query)), tell)


@contextmanager
def sending_events(market: Marketplace, url: str) -> Iterator[None]:
    """While the block lasts, what changes at the marketplace is told to the server at `url`; what is lost is lost."""
    waiting: queue.SimpleQueue[SignedEvent | None] = queue.SimpleQueue()
    market.on_event = lambda *told: waiting.put(market.hooks.sign(*told))

    def send() -> None:
        with httpx.Client(base_url=url, timeout=10) as http:
            while (event := waiting.get()) is not None:
                with suppress(httpx.TransportError):
                    http.post("/hooks/prolific", content=event.body, headers=event.headers)

    postman = threading.Thread(target=send, name="prolific-events", daemon=True)
    postman.start()
    try:
        yield
    finally:
        waiting.put(None)
        postman.join()
