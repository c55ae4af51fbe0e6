"""Child processes kept running until Ctrl-C."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from app.cli.console import err
from app.errors import Unavailable
from app.signals import end_in_order

GRACE_S = 10
RESTARTS_PER_MINUTE = 5


@dataclass
class Child:
    """A `lookalike` command in a process of its own. `check` raises what makes another start hopeless."""

    name: str
    arguments: list[str]
    check: Callable[[], None] = lambda: None
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)

    def start(self) -> None:
        # In a session of its own: a Ctrl-C in the terminal reaches us alone, and we end the children in order.
        self.process = subprocess.Popen([sys.executable, "-m", "app.cli.main", *self.arguments], start_new_session=True)
        self.starts = [start for start in self.starts if start > time.monotonic() - 60] + [time.monotonic()]

    @property
    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(children: Sequence[Child]) -> Iterator[None]:
    """The children run while the block does, which signals to stop end; the last one started is the first to end."""
    end_in_order()
    try:
        for child in children:
            child.start()
        yield
    finally:
        for child in reversed(children):
            child.stop()


def restart_dead(children: Sequence[Child]) -> None:
    """Start those that died again.

    Raises:
        Unavailable: one keeps dying, or cannot be started.
    """
    for child in children:
        if child.died:
            child.check()
            if len(child.starts) > RESTARTS_PER_MINUTE:
                raise Unavailable(f"The {child.name} keeps ending; its messages are above.")
            err.print(f"[yellow]The {child.name} ended unexpectedly and is started again.[/]")
            child.start()


def supervise(children: Sequence[Child]) -> None:
    """Keep the children running until a signal to stop. Raises Unavailable like `restart_dead`."""
    try:
        with running(children):
            while True:
                restart_dead(children)
                time.sleep(0.2)
    except KeyboardInterrupt:
        err.print("[dim]Stopped.[/]")


def wait_until_serving(url: str, children: Sequence[Child]) -> None:
    """Raises Unavailable if the server does not come up."""
    for attempt in Retrying(
        stop=stop_after_delay(60),
        wait=wait_fixed(0.05),
        retry=retry_if_exception_type(httpx.TransportError),
        retry_error_callback=lambda _: _not_up(url),
    ):
        with attempt:
            if any(child.died for child in children):
                _not_up(url)
            httpx.get(url)


def _not_up(url: str) -> None:
    raise Unavailable(f"The server at {url} did not start; its messages are above.")
