"""Studies to test with, made by the services that make real ones."""

import io
import random
import secrets
from collections.abc import Sequence

import pytest
from PIL import Image
from sqlalchemy import insert

from app.db import Sessions
from app.domain import protocol
from app.models.items import Item
from app.services import study_lookup
from app.services.items import images
from app.services.reports import requests as reports
from app.services.reports import statistics
from app.services.studies import lifecycle
from app.storage import Storage


def make_slug() -> str:
    return f"study-{secrets.token_hex(6)}"


def make_png(rng: random.Random, *, size: tuple[int, int] = (32, 32)) -> bytes:
    """A small image unlike any other."""
    image = Image.frombytes("RGB", (4, 4), rng.randbytes(48)).resize(size, Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make_study(
    sessions: Sessions,
    storage: Storage,
    *,
    items: int = 40,
    preset: str = "nights-2afc",
    is_open: bool = True,
    recorded: Sequence[tuple[int, int]] | None = None,
    seed: int = 1,
    **overrides: object,
) -> str:
    """A study with `items` triplets of small images; returns its slug. Up to 80 items have images of their own.

    Overrides name protocol fields, a double underscore standing for the dot: assignment__trials=20.
    """
    slug = make_slug()
    settings = {name.replace("__", "."): _toml(value) for name, value in overrides.items()}
    loaded = protocol.load(preset, overrides=settings)
    derivative = images.DERIVATIVE_FOR[loaded.kind]
    rng = random.Random(slug)
    checked = [images.check(make_png(rng), name="made", derivative=derivative) for _ in range(3 * min(items, 80))]
    with sessions.begin() as session:
        study = lifecycle.create(session, slug=slug, protocol=loaded, seed=seed)
        images.store(session, storage, checked)
        shas = [image.sha256 for image in checked]
        # The second lap over the images takes other candidates for the same reference, and so on.
        places = [(number % (len(shas) // 3), number // (len(shas) // 3)) for number in range(items)]
        rows = [
            {
                "study_id": study.id,
                "role": "pool",
                "number": number,
                "reference": shas[3 * place],
                "candidate_0": shas[(3 * place + 1 + lap) % len(shas)],
                "candidate_1": shas[(3 * place + 2 + 2 * lap) % len(shas)],
                "prompt": f"category {number % 7}",
                "split": "train",
                "recorded_0": recorded[number][0] if recorded else None,
                "recorded_1": recorded[number][1] if recorded else None,
            }
            for number, (place, lap) in enumerate(places)
        ]
        session.execute(insert(Item), rows)
    if is_open:
        with sessions.begin() as session:
            lifecycle.open_study(session, slug=slug)
    return slug


def make_report(sessions: Sessions, slug: str) -> None:
    """As a worker makes it that was asked for one."""
    with sessions.begin() as session:
        asked = reports.request_report(session, study=study_lookup.by_slug(session, slug)).id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "REPLICATES", 20)
        reports.run(sessions, report_id=asked)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
