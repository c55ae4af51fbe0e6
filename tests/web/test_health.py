"""What proxies and orchestrators ask."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db import Sessions
from app.errors import Unavailable
from app.main import create_app
from app.settings import Settings
from app.storage import LocalStorage
from app.web import health
from tests.support.disks import no_space, small_disk
from tests.support.factories import make_study
from tests.support.s3_server import S3Server


def test_a_server_that_can_work(client: TestClient) -> None:
    for path in ("/healthz", "/readyz"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"


def test_a_database_that_does_not_answer(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(resources: Any) -> None:
        raise Unavailable("connection refused by db.internal")

    monkeypatch.setitem(health._PARTS, "database", broken)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "failing": ["database"]})
    assert client.get("/healthz").status_code == 200


def test_a_disk_that_is_full(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.tempfile, "TemporaryFile", no_space)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "failing": ["disk"]})


def test_a_small_disk_that_is_really_full(database_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    app = create_app(Settings(LOOKALIKE_HOME=home, DATABASE_URL=database_url))
    with small_disk(home, kilobytes=1500), TestClient(app) as client:
        assert client.get("/readyz").status_code == 200
        (home / "filler").write_bytes(bytes(900_000))
        assert client.get("/readyz").json()["failing"] == ["disk"]
        assert client.get("/healthz").status_code == 200


def test_a_store_that_does_not_answer(s3: S3Server, database_url: str, tmp_path: Path) -> None:
    for bucket, status in ((s3.bucket.name, 200), (f"gone-{secrets.token_hex(4)}", 503)):
        settings = Settings(
            LOOKALIKE_HOME=tmp_path, DATABASE_URL=database_url, S3_BUCKET=bucket, S3_ENDPOINT_URL=s3.url
        )
        with TestClient(create_app(settings)) as client:
            assert client.get("/readyz").status_code == status
            assert client.get("/healthz").status_code == 200


def test_participants_are_not_told_about_the_bucket(
    client: TestClient, sessions: Sessions, storage: LocalStorage, s3: S3Server, settings: Settings
) -> None:
    slug = make_study(sessions, storage, items=8, assignment__sentinels=1, assignment__sentinel_misses_allowed=0)
    fields = {"participant": "ada", "consent": True}
    token = client.post(f"/studies/{slug}/assignments", json=fields).json()["token"]
    (image, *_) = client.get(f"/assignments/{token}/trials").json()["trials"][0]["images"].values()
    assert client.get(image).status_code == 200
    elsewhere = Settings(
        LOOKALIKE_HOME=settings.home, DATABASE_URL=settings.database_url, S3_BUCKET="gone", S3_ENDPOINT_URL=s3.url
    )
    with TestClient(create_app(elsewhere)) as broken:
        answer = broken.get(image)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "Nothing was lost" in answer.json()["detail"]
    assert "gone" not in answer.text


def test_an_image_deleted_by_hand_is_told_to_the_log_alone(
    client: TestClient, sessions: Sessions, storage: LocalStorage, capfd: pytest.CaptureFixture[str]
) -> None:
    slug = make_study(sessions, storage, items=8, assignment__sentinels=1, assignment__sentinel_misses_allowed=0)
    fields = {"participant": "ada", "consent": True}
    token = client.post(f"/studies/{slug}/assignments", json=fields).json()["token"]
    (image, *_) = client.get(f"/assignments/{token}/trials").json()["trials"][0]["images"].values()
    with sessions() as session:
        items = (
            "SELECT unnest(ARRAY[reference, candidate_0, candidate_1]) FROM items i JOIN studies s ON s.id = study_id"
        )
        keys = session.scalars(
            text(f"SELECT sha256 FROM derivatives WHERE image IN ({items} WHERE slug = :slug)"), {"slug": slug}
        ).all()
    for key in keys:
        storage.delete(key)
    answer = client.get(image)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert not any(key in answer.text for key in keys)
    assert "There is no stored image" in "".join(capfd.readouterr())
