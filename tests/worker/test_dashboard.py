"""A text-to-image model ordered at the dashboard: looked up on the hub before anything is planned."""

import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.db import Sessions
from app.models.generation import GenerationPlan
from app.services import study_lookup
from app.storage import LocalStorage
from tests.support.dashboard import make_account, page_of, sign_in
from tests.support.factories import make_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")
REVISION = "7" * 40


@pytest.fixture
def hub(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that was fetched from the hub, which is out of reach by now; its id there."""
    fetched = tmp_path / "models--lab--tiny"
    shutil.copytree(model, fetched / "snapshots" / REVISION)
    (fetched / "refs").mkdir()
    (fetched / "refs" / "main").write_text(REVISION)
    absent = fetched / ".no_exist" / REVISION / "tokenizer"  # what the hub said it does not have
    absent.mkdir(parents=True)
    (absent / "config.json").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return "lab/tiny"


def test_images_are_ordered_of_a_model_on_the_hub(
    client: TestClient, sessions: Sessions, storage: LocalStorage, hub: str
) -> None:
    slug = make_study(sessions, storage, items=1, is_open=False)
    ada = sign_in(client, sessions, make_account(sessions, is_site_owner=True))
    url = f"/admin/studies/{slug}/generate"
    order = {"generator": "diffusers", "per_category": "2", "categories": "owl\r\ncat", "articles": "on", "model": hub,
             "prompt": "A photograph of a {category}."}  # fmt: skip
    unknown = ada.post(url, order | {"model": "lab/unknown"})
    assert page_of(unknown).problems[""].startswith("The model 'lab/unknown' is not on this machine")
    long = ada.post(url, order | {"prompt": "very " * 40 + "{category}"})
    assert "prompts are too long" in page_of(long).problems[""]
    assert ada.post(url, order).status_code == 303
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        plan = session.scalars(select(GenerationPlan).where(GenerationPlan.study_id == study.id)).one()
        assert (plan.model, plan.revision, plan.articles) == (hub, REVISION, True)
    making = page_of(ada.get(f"/admin/studies/{slug}")).making
    assert (making.progress.items, making.progress.waiting) == (4, 4)
