"""A queue at work until a signal to stop.

procrastinate ends by itself when it loses the database, mostly without an error. With its own signal handlers that
looks as if it had been asked to.
"""

import asyncio
from contextlib import suppress
from typing import Any

from procrastinate import App

from app.signals import told_to_stop

ENOUGH_S = 15.0
"""What a worker that is to stop may take to say so to a database that does not answer."""


def run_queue(app: App, **options: Any) -> None:
    """Returns, or raises what procrastinate raises, when the queue ended by itself.

    Raises:
        KeyboardInterrupt: a signal has ended it, in order.
    """
    if asyncio.run(_until_stopped(app, options)):
        raise KeyboardInterrupt


async def _until_stopped(app: App, options: dict[str, Any]) -> bool:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    with told_to_stop(lambda: loop.call_soon_threadsafe(stop.set)):
        working, stopping = asyncio.create_task(_work(app, options)), asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not stop.is_set():
            await working
            return False
        working.cancel()
        with suppress(asyncio.CancelledError, Exception):  # it may be a database that is away that ends it
            await asyncio.wait_for(working, ENOUGH_S)
    return True


async def _work(app: App, options: dict[str, Any]) -> None:
    async with app.open_async():
        await app.run_worker_async(install_signal_handlers=False, **options)
