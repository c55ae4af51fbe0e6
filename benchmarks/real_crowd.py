"""A real crowd's votes through the whole system: is exactly the right set kept, and how long does it take?

The triplets of `material100/triplets.csv` that have exactly five votes are imported, judged by a simulated crowd that
replays those votes over HTTP (five rounds, 40 people at a time), and filtered. Kept must be exactly the triplets whose
five votes agree.

    python -m benchmarks.real_crowd            all of them
    python -m benchmarks.real_crowd 1000       the first thousand
"""

import csv
import shutil
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from app.cli.supervisor import Child, running, wait_until_serving
from app.db import open_sessions
from app.domain import protocol
from app.services.items.imports import import_items
from app.services.items.item_files import read_csv
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from benchmarks.shared import SHARED, require
from simulation.crowd import CrowdPlan, run_crowd

PORT = 8599
VOTES = 5


def copy_material(folder: Path, limit: int | None) -> Path:
    """The five-vote triplets as a CSV file beside copies of their images."""
    source = SHARED / "data/material100"
    require(source)
    shutil.copytree(source / "images", folder / "images", copy_function=shutil.copyfile)
    with (source / "triplets.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["votes_0"]) + int(row["votes_1"]) == VOTES]
    path = folder / "triplets.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:limit])
    return path


def main(limit: int | None) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(LOOKALIKE_HOME=Path(folder, "home"))
        storage = LocalStorage(settings.images)
        file = read_csv(copy_material(Path(folder), limit))
        expected = {
            number for number, row in enumerate(file.rows) if row.recorded and 0 in row.recorded and sum(row.recorded)
        }
        with open_sessions(settings, migrate=True) as sessions:
            overrides = {"rounds": str(VOTES), "min_votes": str(VOTES)}
            with sessions.begin() as session:
                lifecycle.create(session, slug="m", protocol=protocol.load("nights-2afc", overrides=overrides), seed=1)
            started = time.monotonic()
            import_items(sessions, storage, slug="m", file=file, normalise=False, report=lambda *_: None)
            imported = time.monotonic()
            with sessions.begin() as session:
                lifecycle.open_study(session, slug="m")
            children = [
                Child("server", ["serve", "--port", str(PORT), "--home", str(settings.home)]),
                Child("worker", ["worker", "--home", str(settings.home)]),
            ]
            url = f"http://127.0.0.1:{PORT}"
            with running(children):
                wait_until_serving(url, children)
                plan = CrowdPlan(slug="m", participants=5000, concurrency=40, answers="recorded", seed=1)
                report = run_crowd(url, sessions, plan)
            with sessions() as session:
                kept = set(session.scalars(text(
                    "SELECT number FROM items WHERE role = 'pool' AND dropped_round IS NULL AND votes_0 + votes_1 >= 5"
                )))  # fmt: skip
                votes = session.scalars(text("SELECT count(*) FROM judgments WHERE slot_id IS NOT NULL")).one()
                ended = session.scalars(text("SELECT finished_at IS NOT NULL FROM studies")).one()
    print(f"triplets          {len(file.rows):>8,}")
    print(f"expected to stay  {len(expected):>8,}")
    print(f"kept              {len(kept):>8,}   {'exactly those' if kept == expected else 'NOT THE SAME'}")
    print(f"votes             {votes:>8,}")
    print(f"sittings          {report.sittings:>8,}   ({report.waits} waits, {report.retries} retries)")
    print(f"import            {imported - started:>8.1f} s")
    print(f"crowd             {report.seconds:>8.1f} s   ({report.judgments / report.seconds:,.0f} judgments a second)")
    if kept != expected or not ended:
        raise SystemExit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
