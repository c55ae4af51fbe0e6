"""What storing a vote costs, layer by layer, against the bare database.

Eight clients store votes for ten seconds a layer: (1) the least SQL that a vote needs, one insert and one slot update
on a psycopg connection; (2) the service, which also locks, counts, detects repeats and reports progress; (3) HTTP.

    python benchmarks/judgments.py
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
from sqlalchemy import make_url

from app.cli.supervisor import Child, running, wait_until_serving
from app.db import Sessions, database_url, open_sessions
from app.keys import Keys, load_keys
from app.recruiters.entry import Arrival
from app.services import study_lookup
from app.services.assignments import enrolment, judgments, lifecycle
from app.services.assignments.judgments import Answer
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.factories import make_study

CLIENTS = 8
SITTINGS = 16
TRIALS = 65
SECONDS = 10.0
PORT = 8598


@contextmanager
def seated(sessions: Sessions, keys: Keys, storage: LocalStorage) -> Iterator[list[list[tuple[str, int]]]]:
    """A fresh study with sittings enough for every client: per client, the (token, trial) of every vote to come."""
    slug = make_study(
        sessions,
        storage,
        items=CLIENTS * SITTINGS * TRIALS,
        assignment__trials=TRIALS,
        assignment__practice=0,
        assignment__sentinels=0,
        assignment__sentinel_misses_allowed=0,
    )
    votes: list[list[tuple[str, int]]] = [[] for _ in range(CLIENTS)]
    for sitting in range(CLIENTS * SITTINGS):
        name = f"{slug}-{sitting}"
        with sessions.begin() as session:
            study = study_lookup.by_slug(session, slug)
            token = enrolment.sign_up(session, keys, study=study, arrival=Arrival("direct", name, name)).token
            trials = lifecycle.progress(session, lifecycle.by_token(session, token)).open
        votes[sitting % CLIENTS] += [(token, trial.id) for trial in trials]
    yield votes


def rate(store: Callable[[int], Iterator[None]]) -> float:
    """Votes a second of all clients together; `store(client)` stores one vote per step."""
    deadline = time.monotonic() + SECONDS
    counted = [0] * CLIENTS
    barrier = threading.Barrier(CLIENTS)

    def client(number: int) -> None:
        barrier.wait()
        for _ in store(number):
            counted[number] += 1
            if time.monotonic() > deadline:
                return

    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return sum(counted) / (time.monotonic() - started)


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(LOOKALIKE_HOME=Path(folder, "home"))
        storage, keys = LocalStorage(settings.images), load_keys(settings)
        with database_url(settings) as url, open_sessions(settings, migrate=True) as sessions:
            conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
            with seated(sessions, keys, storage) as seats:

                def bare(client: int) -> Iterator[None]:
                    with psycopg.connect(conninfo) as connection:
                        for _, trial in seats[client]:
                            connection.execute(
                                "WITH j AS (INSERT INTO judgments (trial_id, question, choice, slot_id, late, suspect) "
                                "SELECT id, 0, 1, slot_id, false, false FROM trials WHERE id = %s RETURNING slot_id) "
                                "UPDATE slots SET state = 'filled' FROM j WHERE slots.id = j.slot_id",
                                (trial,),
                            )
                            connection.commit()
                            yield

                baseline = rate(bare)
            with seated(sessions, keys, storage) as seats:

                def service(client: int) -> Iterator[None]:
                    for token, trial in seats[client]:
                        with sessions.begin() as session:
                            judgments.record(session, token=token, answers=[Answer(trial, ("left",), timing={})])
                        yield

                by_service = rate(service)
            children = [Child("server", ["serve", "--port", str(PORT), "--home", str(settings.home)])]
            base = f"http://127.0.0.1:{PORT}"
            with running(children), seated(sessions, keys, storage) as seats:
                wait_until_serving(base, children)

                def over_http(client: int) -> Iterator[None]:
                    with httpx.Client(base_url=base) as http:
                        for token, trial in seats[client]:
                            body = {"judgments": [{"trial": trial, "answers": ["left"], "rt_ms": 500, "timing": {}}]}
                            http.post(f"/assignments/{token}/judgments", json=body).raise_for_status()
                            yield

                by_http = rate(over_http)
    for layer, votes in (("least SQL, psycopg", baseline), ("service", by_service), ("HTTP", by_http)):
        print(f"{layer:<20} {votes:>8,.0f} votes a second   {votes / baseline:.2f}")


if __name__ == "__main__":
    main()
