"""A study on a real server with a database of its own, for benchmarks that sit in front of it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy
import uvicorn
from PIL import Image
from sqlalchemy.orm import sessionmaker
from starlette.types import ASGIApp

from app.db import make_engine, upgrade
from app.domain import protocol
from app.main import create_app
from app.postgres import embedded_postgres
from app.services.items import imports
from app.services.items.item_files import read_csv, read_pairs
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage import LocalStorage

IMAGES = 30
_TRIPLET = ("reference", "candidate_0", "candidate_1")
_PAIR = ("image_a", "image_b")


@contextmanager
def study_page(
    home: Path,
    *,
    preset: str,
    overrides: Mapping[str, str],
    items: int,
    image_side: int,
    wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> Iterator[str]:
    """Serve an open study with so many items of noisy pictures: triplets, or in JND pairs.

    Args:
        wrap: put around the application.

    Yields:
        The address of the consent page.
    """
    with embedded_postgres(home) as url:
        settings = Settings(LOOKALIKE_HOME=home, DATABASE_URL=url)
        engine = make_engine(url)
        upgrade(engine)
        sessions = sessionmaker(engine)
        loaded = protocol.load(preset, overrides=overrides)
        with sessions.begin() as session:
            lifecycle.create(session, slug="benchmark", protocol=loaded)
        read, columns = (read_pairs, _PAIR) if loaded.kind == "jnd" else (read_csv, _TRIPLET)
        file, storage = read(_make_items(home, columns, items, image_side)), LocalStorage(settings.images)
        imports.import_items(sessions, storage, slug="benchmark", file=file, normalise=False, report=lambda *_: None)
        with sessions.begin() as session:
            lifecycle.open_study(session, slug="benchmark")
        engine.dispose()
        with serving(wrap(create_app(settings))) as base:
            yield f"{base}/studies/benchmark?participant=benchmark"


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The application behind a real socket, in a thread; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


def _make_items(folder: Path, columns: Sequence[str], items: int, side: int) -> Path:
    """A CSV of items of noisy gradients, which compress about as badly as photographs; no two items are equal."""
    rng = numpy.random.default_rng(1)
    for number in range(IMAGES):
        corners = rng.integers(0, 256, (4, 4, 3), dtype=numpy.uint8)
        base = Image.fromarray(corners).resize((side, side), Image.Resampling.BICUBIC)
        noisy = numpy.asarray(base, dtype=numpy.int16) + rng.integers(-20, 21, (side, side, 3))
        Image.fromarray(noisy.clip(0, 255).astype(numpy.uint8)).save(folder / f"{number}.png")
    steps = (0, 1, 11)[: len(columns)]
    rows = [
        ",".join(f"{(item + step + bool(step) * (item // IMAGES)) % IMAGES}.png" for step in steps)
        for item in range(items)
    ]
    (folder / "items.csv").write_text("\n".join([",".join(columns), *rows]) + "\n")
    return folder / "items.csv"
