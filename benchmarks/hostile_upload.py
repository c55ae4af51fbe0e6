"""A small ZIP that unpacks to a very large table, sent to the dashboard: what it costs other pages, and the server.

The 95th percentile of pages before and while a worker reads the ZIP, of one request after the other, and how much the
server's memory grew. Server, worker, database and these requests share the machine.

    python -m benchmarks.hostile_upload
"""

import io
import os
import random
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable
from itertools import combinations, cycle, repeat
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import text

from app.db import Sessions, open_sessions
from app.services.accounts import accounts, login
from app.settings import Settings
from app.storage import open_storage
from app.web.admin.access import COOKIE, form_key
from tests.support.dashboard import make_account
from tests.support.factories import make_png, make_study
from tests.support.outages import command, served, wait_until
from tests.support.triplet_folder import make_draft

BEFORE_S = 15.0
TIMES = 3


def packed(rows: Iterable[str], images: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("triplets.csv", "reference,candidate_0,candidate_1\n" + "\n".join(rows))
        for name, data in (images or {}).items():
            archive.writestr(name, data)
    return buffer.getvalue()


def many_triplets_of_few_images() -> bytes:
    images = {f"{number}.png": make_png(random.Random(number), size=(8, 8)) for number in range(60)}
    rows = (f"{one},{a},{b}" for one in images for a, b in combinations(images.keys() - {one}, 2))
    return packed(rows, images)


UPLOADS: dict[str, Callable[[], bytes]] = {
    "four million equal rows": lambda: packed(repeat("a.png,b.png,c.png", 4_000_000)),
    "102,660 triplets of 60 images": many_triplets_of_few_images,
}


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Pages:
    """Somebody who opens one page after the other."""

    def __init__(self, client: httpx.Client, addresses: list[str]) -> None:
        self._client, self._addresses = client, cycle(addresses)

    def open_until(self, ended: threading.Event) -> list[float]:
        took = []
        while not ended.is_set():
            began = time.perf_counter()
            assert self._client.get(next(self._addresses)).status_code == 200
            took.append(time.perf_counter() - began)
            time.sleep(0.01)
        return took


_STATES = text("SELECT state, coalesce(message, '') FROM import_requests ORDER BY id")


def states(sessions: Sessions) -> list[tuple[str, str]]:
    with sessions() as session:
        return [(state, message) for state, message in session.execute(_STATES)]


def main() -> None:
    os.environ.pop("DATABASE_URL", None)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        settings = Settings(LOOKALIKE_HOME=Path(name).resolve() / "home")
        with open_sessions(settings, migrate=True) as sessions:
            slug = make_study(sessions, open_storage(settings), items=80, assignment__trials=40)
            drafts = [make_draft(sessions) for _ in range(TIMES * len(UPLOADS))]
            email = make_account(sessions, is_site_owner=True)
            with sessions.begin() as session:
                token, _ = login.start(session, account=accounts.by_email(session, email))
            worker = command("worker", home=settings.home)
            try:
                with served(settings, slug) as site, httpx.Client(base_url=f"http://127.0.0.1:{site.port}") as client:
                    client.cookies.set(COOKIE, token, path="/admin")
                    addresses = [f"/studies/{slug}", "/healthz", "/admin", f"/admin/studies/{slug}", site.images[0]]
                    for what, pack in UPLOADS.items():
                        data = pack()
                        print(f"{what}, {len(data) / 1e3:.0f} kB packed; pages opened one after the other")
                        mine, drafts = drafts[:TIMES], drafts[TIMES:]
                        measure(client, addresses, data, mine, form_key(token), sessions, site.pid)
            finally:
                worker.terminate()
                worker.wait(60)


def measure(
    client: httpx.Client,
    addresses: list[str],
    data: bytes,
    drafts: list[str],
    key: str,
    sessions: Sessions,
    pid: int,
) -> None:
    pages, memory = Pages(client, addresses), resident_mb(pid)
    ended = len(states(sessions))
    for count, draft in enumerate(drafts, start=ended + 1):
        alone = threading.Event()
        threading.Timer(BEFORE_S, alone.set).start()
        before, done, largest = pages.open_until(alone), threading.Event(), memory

        def send(draft: str = draft, done: threading.Event = done, count: int = count) -> None:
            nonlocal largest
            files = {"archive": ("triplets.zip", data, "application/zip")}
            url = f"/admin/studies/{draft}/import?form_key={key}"
            with httpx.Client(base_url=client.base_url, cookies=client.cookies) as other:
                assert other.post(url, files=files, headers={"Accept": "text/html"}).status_code == 303
            wait_until(
                lambda: sum(state in ("done", "failed") for state, _ in states(sessions)) == count, "no end", 300
            )
            largest = max(largest, resident_mb(pid))
            done.set()

        began = time.perf_counter()
        sender = threading.Thread(target=send)
        sender.start()
        during = pages.open_until(done)
        sender.join()
        print(
            f"{': '.join(states(sessions)[-1])[:90]} after {time.perf_counter() - began:.1f} s; "
            f"p95 {np.percentile(before, 95) * 1e3:.0f} ms before, {np.percentile(during, 95) * 1e3:.0f} ms meanwhile "
            f"({len(during)} pages); server +{largest - memory:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
