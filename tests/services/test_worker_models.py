"""Worker models on a crowd whose truth is known."""

import random
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from app.db import Sessions
from app.errors import Conflict
from app.keys import Keys
from app.services import study_lookup
from app.services.reports.worker_models import SCHEMA, write_worker_models
from app.storage import LocalStorage
from tests.services.test_quality import FIXED, sit
from tests.support.factories import make_study


def test_they_know_whom_to_trust(sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path: Path) -> None:
    """Two careful people against three who click at random and outvote them now and then."""
    settings = FIXED | {"votes_per_round": 5, "min_votes": 5, "assignment__trials": 40}
    slug = make_study(sessions, storage, items=40, **settings)
    rng = random.Random(5)

    def careful(trial: Any) -> int:
        return trial.number % 2 if trial.answer is None else trial.answer

    for person in range(5):
        sit(sessions, keys, slug, f"{slug}-{person}", careful if person < 2 else lambda _: rng.getrandbits(1))
    path = tmp_path / "models.parquet"
    with sessions() as session:
        assert write_worker_models(session, study_lookup.by_slug(session, slug), path) == 40
    table = parquet.read_table(path)
    assert table.schema.equals(SCHEMA)
    rows = table.to_pylist()
    assert [(row["item"], row["question"], row["votes"]) for row in rows] == [(number, 0, 5) for number in range(40)]
    for model in ("dawid_skene", "glad"):
        assert sum((row[model] > 0.5) == row["item"] % 2 for row in rows) >= 38


def test_without_votes(sessions: Sessions, storage: LocalStorage, tmp_path: Path) -> None:
    slug = make_study(sessions, storage)
    with sessions() as session, pytest.raises(Conflict, match="no valid votes"):
        write_worker_models(session, study_lookup.by_slug(session, slug), tmp_path / "models.parquet")
    assert list(tmp_path.iterdir()) == []
