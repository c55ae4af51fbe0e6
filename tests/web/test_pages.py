"""The participant's pages as their contexts say them."""

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db import Sessions
from app.services.studies import lifecycle
from app.storage import LocalStorage
from app.web.assets import FOR_EVER, static
from app.web.pages import ConsentPage, MessagePage, Retry, TrialsPage
from tests.support.factories import make_study

BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def page_of(response: Any) -> Any:
    """The page context that a template was rendered with."""
    return response.context["page"]


def test_consent_says_how_long_it_takes(client: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(sessions, storage, assignment__trials=20, assignment__practice=3, assignment__sentinels=4)
    page = page_of(client.get(f"/studies/{study}?participant=ada", headers=BROWSER))
    assert isinstance(page, ConsentPage)
    assert (page.minutes, page.trials) == (8, 27)
    assert page.fields == {"participant": "ada", "consent_version": "1"}


def test_a_refused_form_can_be_sent_again(client: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(sessions, storage)
    with sessions.begin() as session:
        lifecycle.pause(session, slug=study)
    fields = {"participant": "ada", "consent": "true"}
    response = client.post(f"/studies/{study}/assignments", data=fields, headers=BROWSER)
    assert response.status_code == 409
    assert response.headers["Retry-After"]
    page = page_of(response)
    assert isinstance(page, MessagePage)
    assert page.retry == Retry("post", f"/studies/{study}/assignments", fields)


def test_what_will_not_change_cannot_be_tried_again(
    client: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage)
    with sessions.begin() as session:
        lifecycle.close(session, slug=study)
    response = client.get(f"/studies/{study}", headers=BROWSER)
    assert response.status_code == 410
    assert page_of(response).retry is None


def test_programs_get_a_problem_document_instead(client: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(sessions, storage)
    with sessions.begin() as session:
        lifecycle.pause(session, slug=study)
    response = client.post(f"/studies/{study}/assignments", json={"participant": "ada", "consent": True})
    assert response.status_code == 409
    assert response.headers["Content-Type"] == "application/problem+json"


def test_whoever_has_left_is_told_so(client: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(sessions, storage)
    url = client.post(f"/studies/{study}/assignments", json={"participant": "ada", "consent": True}).json()["url"]
    assert isinstance(page_of(client.get(url, headers=BROWSER)), TrialsPage)
    assert client.post(f"{url}/withdraw", json={}).status_code == 204
    response = client.get(url, headers=BROWSER)
    assert response.status_code == 410
    assert page_of(response).title == "You have left this study"


def test_the_trials_page_names_scripts_that_exist(
    client: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage)
    url = client.post(f"/studies/{study}/assignments", json={"participant": "ada", "consent": True}).json()["url"]
    page = client.get(url, headers=BROWSER)
    modules = page_of(page).modules
    assert "js/trials/main.js" in modules
    named = re.findall('(?:src|href)="(/static/[^"]+)"', page.text)
    assert set(map(static, modules)) <= set(named)
    for address in named:
        response = client.get(address)
        assert (response.status_code, response.headers["Cache-Control"]) == (200, FOR_EVER)


@pytest.mark.parametrize("address", ["/static/css/theme.css", "/static/0123456789abcdef/css/theme.css"])
def test_what_may_change_under_its_address_is_asked_about(client: TestClient, address: str) -> None:
    response = client.get(address)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-cache")
    assert client.get(address, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


def test_what_is_missing_is_not_kept(client: TestClient) -> None:
    response = client.get(static("css/nowhere.css"))
    assert (response.status_code, response.headers["Cache-Control"]) == (404, "no-store")
