"""Every page of the dashboard with 100,000 items, 1,000,000 judgments and 5,000 participants in the database.

For each GET address of the route table: the time until the last byte on a kept connection (median and 95th percentile
of 40 requests), how many statements were sent to the database, and what a browser that has cached nothing fetches for
the page, compressed and without the images of items.

    python -m benchmarks.dashboard [--home DIR]

On two cores: every page p95 at most 47 ms, at most 10 queries, at most 55 kB; `/live`, which every open page asks for
each 3 seconds, 14 ms.

With `--home` the database stays there, and a second run starts at once.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy
from fastapi.routing import iter_route_contexts
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import sessionmaker

from app.db import Sessions, make_engine, upgrade
from app.main import create_app
from app.models.accounts import Account
from app.postgres import embedded_postgres
from app.services import study_lookup
from app.services.accounts import login
from app.services.reports import requests
from app.settings import Settings
from app.web.admin.access import COOKIE
from benchmarks.crowded import SLUG, fill
from benchmarks.site import serving

REQUESTS = 40
STUDY = f"/admin/studies/{SLUG}"
FILTERS = (
    "/items?after=90000",
    "/items?fate=surviving",
    "/items?fate=dropped&after=99000",
    "/items?dropped=3",
    "/items?category=category+7",
    "/items?category=nowhere",
    "/items?dropped=9",
    "/items?agreement=unanimous",
    "/items?pace=slow",
    "/assignments?which=excluded",
    "/assignments?which=active",
    "/assignments?which=withdrawn",
    "/assignments?which=completed&before=100",
)


def addresses(sessions: Sessions) -> list[str]:
    """Every page and fragment; not the files, pictures and steps, which are no pages or change the study to look."""
    with sessions() as session:
        assignment = session.scalars(text("SELECT max(id) - 1000 FROM assignments")).one()
    known = {
        "slug": SLUG, "assignment_id": assignment, "number": 77, "step": "close", "turn": "exclude", "chart": "times",
    }  # fmt: skip
    found = []
    for route in iter_route_contexts(create_app(Settings()).routes):
        path = route.path or ""
        names = set(re.findall(r"{(\w+)}", path))
        is_page = path.startswith("/admin") and not path.endswith(("/report.html", "/report.json"))
        if "GET" in (route.methods or ()) and is_page and names <= known.keys():
            found.append(path.format(**known))
    return found + [STUDY + query for query in FILTERS]


def fetched(client: httpx.Client, page: httpx.Response) -> int:
    """Bytes over the wire for the page and the style sheets, scripts and modules it asks for by itself."""
    seen, waiting = {str(page.url.raw_path)}, [page]
    total = 0
    while waiting:
        response = waiting.pop()
        total += response.num_bytes_downloaded
        named = re.findall(r"""(?:src|href)="(/static/[^"]+)"|from "(\.[^"]+)\"""", response.text)
        for absolute, relative in named:
            url = response.url.join(absolute or relative)
            if url.path not in seen:
                seen.add(url.path)
                waiting.append(client.get(url))
    return total


def measure(client: httpx.Client, statements: list[Any], url: str) -> tuple[int, float, float, int, int]:
    statements.clear()
    page = client.get(url)
    asked = len(statements)
    times = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        client.get(url)
        times.append(1000 * (time.perf_counter() - started))
    return (
        page.status_code,
        float(numpy.median(times)),
        float(numpy.percentile(times, 95)),
        asked,
        fetched(client, page),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = parser.parse_args().home or Path(folder, "home")
        with embedded_postgres(home) as url:
            settings, engine = Settings(LOOKALIKE_HOME=home, DATABASE_URL=url), make_engine(url)
            upgrade(engine)
            sessions = sessionmaker(engine)
            with sessions() as session:
                is_there = session.scalar(text("SELECT true FROM studies WHERE slug = :slug"), {"slug": SLUG})
            if not is_there:
                started = time.monotonic()
                fill(sessions)
                print(f"filled the database in {time.monotonic() - started:.0f} s")
                started = time.monotonic()
                make_report(sessions)
                print(f"made the report in {time.monotonic() - started:.0f} s")
            report(settings, sessions)
            engine.dispose()


def make_report(sessions: Sessions) -> None:
    with sessions.begin() as session:
        asked = requests.request_report(session, study=study_lookup.by_slug(session, SLUG)).id
    requests.run(sessions, report_id=asked)


def report(settings: Settings, sessions: Sessions) -> None:
    with sessions.begin() as session:
        account = Account(email=f"{time.time_ns()}@example.org", name="Ada", password_hash="", is_site_owner=True)
        session.add(account)
        session.flush()
        token, _ = login.start(session, account=account)
    statements: list[Any] = []
    event.listen(Engine, "before_cursor_execute", lambda *statement: statements.append(statement[2]))
    table = Table("page", "status", "median ms", "p95 ms", "queries", "kB")
    with (
        serving(create_app(settings)) as base,
        httpx.Client(base_url=base, cookies={COOKIE: token}, headers={"Accept": "text/html"}, timeout=60) as client,
    ):
        for url in addresses(sessions):
            status, median, p95, queries, size = measure(client, statements, url)
            wrong = p95 >= 100 or queries > 12 or size >= 200_000
            cells = (url, str(status), f"{median:.1f}", f"{p95:.1f}", str(queries), f"{size / 1000:.1f}")
            table.add_row(*cells, style="red" if wrong else "")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
