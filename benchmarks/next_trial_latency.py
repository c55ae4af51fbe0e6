"""How long after an answer the next trial is visible, when every answer of the server takes 100 ms longer.

    python -m benchmarks.next_trial_latency

A headless Chromium sits through an assignment of 120 trials with images of 512 pixels. Measured in the page: from the
time stamp of the key that answers, to the time at which the browser painted the last of the next trial's three images
(Element Timing). Fails if the 95th percentile is above 100 ms.
"""

import io
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import numpy
import uvicorn
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sqlalchemy.orm import sessionmaker
from starlette.types import ASGIApp, Receive, Scope, Send

from app.db import Sessions, make_engine, upgrade
from app.domain import protocol
from app.main import create_app
from app.postgres import embedded_postgres
from app.services import imports, studies
from app.services.item_files import read_csv
from app.settings import Settings
from app.storage import LocalStorage

ADDED_S = 0.1
LIMIT_MS = 100
TRIALS = 120
IMAGE_SIDE = 512
THINKING_MS = 400
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]

# The observer of the images runs before they are painted, in time to ask for a record of that.
WATCH = """() => {
  let answered;
  window.painted = {};
  addEventListener('keydown', (event) => (answered = event.timeStamp), { capture: true });
  new MutationObserver(() => {
    for (const image of document.querySelectorAll('.triplet img')) image.setAttribute('elementtiming', answered);
  }).observe(document.querySelector('.triplet .right'), { childList: true });
  new PerformanceObserver((list) => {
    for (const { identifier, renderTime } of list.getEntries()) (window.painted[identifier] ??= []).push(renderTime);
  }).observe({ type: 'element' });
}"""


class Slow:
    """Holds every answer back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await anyio.sleep(ADDED_S)
        await self._app(scope, receive, send)


def make_triplets(folder: Path) -> Path:
    """A CSV of triplets of noisy gradients, which compress about as badly as photographs."""
    rng = numpy.random.default_rng(1)
    images = []
    for number in range(30):
        corners = rng.integers(0, 256, (4, 4, 3), dtype=numpy.uint8)
        base = Image.fromarray(corners).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC)
        noisy = numpy.asarray(base, dtype=numpy.int16) + rng.integers(-20, 21, (IMAGE_SIDE, IMAGE_SIDE, 3))
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(numpy.uint8)).save(buffer, "PNG")
        images.append(f"{number}.png")
        (folder / images[-1]).write_bytes(buffer.getvalue())
    rows = [
        f"{images[i % 30]},{images[(i + 1 + i // 30) % 30]},{images[(i + 11 + i // 30) % 30]}" for i in range(TRIALS)
    ]
    (folder / "triplets.csv").write_text("\n".join(["reference,candidate_0,candidate_1", *rows]) + "\n")
    return folder / "triplets.csv"


def make_study(sessions: Sessions, storage: LocalStorage, triplets: Path) -> None:
    overrides = {
        "assignment.trials": str(TRIALS),
        "assignment.practice": "0",
        "assignment.sentinels": "0",
        "assignment.sentinel_misses_allowed": "0",
    }
    with sessions.begin() as session:
        studies.create(session, slug="latency", protocol=protocol.load("nights-2afc", overrides=overrides))
    imports.import_items(
        sessions, storage, slug="latency", file=read_csv(triplets), normalise=False, report=lambda *_: None
    )
    with sessions.begin() as session:
        studies.open_study(session, slug="latency")


@contextmanager
def slow_server(home: Path) -> Iterator[str]:
    with embedded_postgres(home) as url:
        settings = Settings(LOOKALIKE_HOME=home, DATABASE_URL=url)
        engine = make_engine(url)
        upgrade(engine)
        make_study(sessionmaker(engine), LocalStorage(settings.images), make_triplets(home))
        engine.dispose()
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(Slow(create_app(settings)), log_level="warning", access_log=False, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)


def judge_all(page: Page) -> list[float]:
    page.get_by_role("button", name="I agree").click()
    for number in range(1, TRIALS + 1):
        page.get_by_text(f"Trial {number} of {TRIALS}").wait_for()
        page.locator("#two-afc:not(.is-blank)").wait_for()
        if number == 1:
            page.evaluate(WATCH)
        page.wait_for_timeout(THINKING_MS)
        page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
    page.locator("#completion-code").filter(visible=True).wait_for()
    painted: dict[str, list[float]] = page.evaluate("window.painted")
    assert [len(times) for times in painted.values()] == [3] * (TRIALS - 1), painted
    return [max(times) - float(answered) for answered, times in painted.items()]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, slow_server(Path(folder)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{url}/studies/latency?participant=benchmark")
        latencies = judge_all(page)
        browser.close()
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    print(f"answer → next trial visible, {len(latencies)} trials, {ADDED_S * 1000:.0f} ms added to every answer:")
    print(f"p50 {percentiles[49]:.1f} ms · p95 {percentiles[94]:.1f} ms · max {max(latencies):.1f} ms")
    return 0 if percentiles[94] <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
