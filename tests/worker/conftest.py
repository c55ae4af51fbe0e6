"""Tiny models, saved once a run, and a study to fill."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import Sessions
from app.domain import protocol
from app.domain.generation import Options
from app.generators.diffusion_models import describe
from app.models.generation import GenerationBatch
from app.services.generation import batches, plans
from app.services.generation.batches import Work
from app.services.studies import lifecycle
from tests.support.factories import make_slug

OPTIONS = Options(steps=1, dtype="float32", width=32, height=32)
Planned = Callable[..., list[Work]]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion."""
    from tests.support.worker import pipelines

    return pipelines.stable_diffusion(tmp_path_factory.mktemp("models") / "sd")


@pytest.fixture
def planned(sessions: Sessions) -> Planned:
    """Plan items of a model in a new study; returns its batches."""

    def planned(folder: Path, *, items: int = 4, batch_size: int = 4, seed: int = 3) -> list[Work]:
        described = describe(str(folder), options=OPTIONS)
        order = plans.Order(
            "diffusers", ["dog", "cat"], items // 2, batch_size, described.name, described.revision, described.options
        )
        slug = make_slug()
        with sessions.begin() as session:
            lifecycle.create(session, slug=slug, protocol=protocol.load("nights-2afc"), seed=seed)
            plan_id = plans.make_plan(session, slug=slug, order=order).id
        with sessions() as session:
            ids = session.scalars(
                select(GenerationBatch.id).where(GenerationBatch.plan_id == plan_id).order_by(GenerationBatch.id)
            )
            found = [batches.waiting(session, batch_id=batch_id) for batch_id in ids]
        return [work for work in found if work is not None]

    return planned
