"""The researcher's JSON API: tokens, scopes, roles."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.db import Sessions
from app.domain.roles import Role, Scope
from app.keys import Keys
from app.services import audit, study_lookup
from app.services.items import import_requests
from app.services.items.import_sources import open_import_source
from app.services.items.uploads import open_uploads
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.assignments import sit
from tests.support.dashboard import Visitor, key_of, make_account, page_of, sign_in
from tests.support.factories import make_slug, make_study
from tests.support.triplet_folder import TripletFolder, contents, make_draft


@pytest.fixture(scope="module")
def study(sessions: Sessions, storage: LocalStorage) -> str:
    return make_study(sessions, storage, items=40)


def test_reading(client: TestClient, sessions: Sessions, study: str) -> None:
    key = key_of(sessions, study, "viewer", scope="read")
    assert [line["slug"] for line in client.get("/api/v1/studies", headers=key).json()] == [study]
    status = client.get(f"/api/v1/studies/{study}", headers=key).json()
    assert (status["status"], status["items"], status["by_round"][0]["wanted"]) == ("collecting", 40, 40)
    assert len(client.get(f"/api/v1/studies/{study}/forecast", headers=key).json()["rounds"]) == 10


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [("owner", "read", 403), ("viewer", "steer", 403), (None, "steer", 404), ("researcher", "steer", 200)],
)
def test_steering(
    client: TestClient, sessions: Sessions, study: str, role: Role | None, scope: Scope, status: int
) -> None:
    before = contents(sessions, study)
    key = key_of(sessions, study, role, scope=scope)
    response = client.post(f"/api/v1/studies/{study}/pause", headers=key)
    assert response.status_code == status
    if status == 200:
        assert response.json()["status"] == "paused"
        with sessions() as session:
            entry = audit.entries(session, study_id=study_lookup.by_slug(session, study).id)[0]
            assert (entry.actor.endswith("(API)"), entry.action) == (True, "paused the study")
    else:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert contents(sessions, study) == before


def test_a_protocol_is_changed_from_the_version_that_was_read(
    client: TestClient, sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=8, assignment__trials=4, assignment__practice=1, assignment__sentinels=2)
    key, url = key_of(sessions, slug, "researcher"), f"/api/v1/studies/{slug}/protocol"
    read = client.get(url, headers=key).json()
    assert (read["version"], read["fixed"], read["protocol"]["pay"]["reward"]) == (1, ["kind"], 120)

    def change(version: int, **fields: Any) -> httpx.Response:
        return client.patch(url, headers=key, json={"version": version, "protocol": fields})

    changed = change(1, pay={"reward": 150}).json()
    read["protocol"]["pay"]["reward"] = 150
    assert changed == read | {"version": 2}
    stale = change(1, rounds="x")
    assert (stale.status_code, stale.json()["detail"][:9]) == (409, "Version 2")
    assert (change(9).status_code, change(2, **read["protocol"]).json()["version"]) == (422, 2)
    assert change(2, kind="jnd").json()["fields"].keys() == {"kind", "protocol"}
    sit(sessions, keys, slug, "ada", lambda _: 0)
    before = contents(sessions, slug)
    wrong = change(2, rounds=3, presentation={"scale": 2.0}, pay={"reward": -1, "currency": 5}, check={"a": 1}, b=1)
    fields = wrong.json()["fields"]
    assert fields.keys() == {"rounds", "presentation.scale", "pay.reward", "pay.currency", "check", "b"}
    assert fields["rounds"] == "is fixed since the first sitting; duplicate the study to change it"
    assert contents(sessions, slug) == before
    assert "rounds" in client.get(url, headers=key).json()["fixed"]
    assert change(2, title="Which?").json()["protocol"]["title"] == "Which?"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer made-up"}, {"Authorization": "Basic x"}])
def test_without_a_token(client: TestClient, study: str, header: dict[str, str]) -> None:
    for url in ("/api/v1/studies", f"/api/v1/studies/{study}", "/api/v1/studies/nowhere"):
        assert client.get(url, headers=header).status_code == 401


def test_tokens_are_made_and_revoked_in_the_dashboard(client: TestClient, sessions: Sessions) -> None:
    ada = sign_in(client, sessions, make_account(sessions))
    assert page_of(ada.post("/admin/account/tokens", {"name": "", "scope": "all", "days": "7"})).problems.keys() == {
        "name",
        "scope",
        "days",
    }
    page = page_of(ada.post("/admin/account/tokens", {"name": "notebook", "scope": "read", "days": "30"}))
    key, (token,) = {"Authorization": f"Bearer {page.new_token}"}, page.tokens
    assert client.get("/api/v1/studies", headers=key).json() == []
    eve: Visitor = sign_in(client, sessions, make_account(sessions))
    assert eve.post(f"/admin/account/tokens/{token.id}/revoke").status_code == 404
    assert ada.post(f"/admin/account/tokens/{token.id}/revoke").status_code == 303
    assert page_of(ada.get("/admin/account")).tokens == []
    assert client.get("/api/v1/studies", headers=key).status_code == 401


def test_items_page_by_page(
    client: TestClient, sessions: Sessions, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.items.browse.STRETCH", 7)
    key, url = key_of(sessions, study, "viewer", scope="read"), f"/api/v1/studies/{study}/items"
    for category, expected in {"": list(range(40)), "gory 3": list(range(3, 40, 7)), "nothing": []}.items():
        found: list[int] = []
        after: int | None = -1
        while after is not None:
            page = client.get(url, headers=key, params={"category": category, "after": after, "limit": 5}).json()
            found, after = found + [item["number"] for item in page["items"]], page["after"]
        assert found == expected


def test_importing(client: TestClient, sessions: Sessions, storage: LocalStorage, settings: Settings) -> None:
    slug, name = make_draft(sessions), make_slug()
    folder = TripletFolder(Path(settings.import_place) / name)
    folder.csv(folder.csv_rows(2))
    url, key = f"/api/v1/studies/{slug}/imports", key_of(sessions, slug, "researcher")
    wrong = client.post(url, headers=key, json={"source": "../" + name})
    assert (wrong.status_code, "names no folder here" in wrong.json()["detail"]) == (422, True)
    asked = client.post(url, headers=key, json={"source": name, "normalise": True})
    assert (asked.status_code, asked.json()["state"], asked.json()["normalise"]) == (202, "waiting", True)
    assert client.post(url, headers=key, json={"source": name}).status_code == 409
    stopped = client.post(f"{url}/stop", headers=key).json()
    assert (stopped["id"], stopped["state"], stopped["ended_at"] is None) == (asked.json()["id"], "failed", False)
    again = client.post(url, headers=key, json={"source": name}).json()["id"]
    place = open_import_source(settings)
    import_requests.run(sessions, storage, place, open_uploads(settings), incoming=settings.incoming, request_id=again)
    line = client.get(f"{url}/{again}", headers=key).json()
    assert (line["state"], line["items"], line["already_there"]) == ("done", 2, 0)
    assert [line["id"] for line in client.get(url, headers=key).json()] == [again, asked.json()["id"]]
    assert client.get(f"{url}/{again}", headers=key_of(sessions, slug, None, scope="read")).status_code == 404
