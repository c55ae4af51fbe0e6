"""Who may do what at the dashboard: every route that changes something is tried, as the route table lists them."""

from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, text

from app.db import Sessions
from app.keys import Keys
from app.main import create_app
from app.services.accounts import accounts
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.assignments import sit
from tests.support.dashboard import PASSWORD, Visitor, make_account, page_of, sign_in, visitor_as
from tests.support.factories import make_report, make_study
from tests.support.triplet_folder import contents as rows_of

ROUTES = [
    (method, route.path)
    for route in iter_route_contexts(create_app(Settings()).routes)
    for method in route.methods or ()
    if route.path and route.path.startswith("/admin/studies/{slug}")
]
MUTATING = [path for method, path in ROUTES if method not in ("GET", "HEAD")]
READING = [path for method, path in ROUTES if method == "GET"]


@pytest.fixture(scope="module")
def study(sessions: Sessions, storage: LocalStorage, keys: Keys) -> str:
    slug = make_study(sessions, storage, items=8, assignment__trials=4, assignment__practice=1, assignment__sentinels=2)
    sit(sessions, keys, slug, "ada", lambda _: 0)
    make_report(sessions, slug)
    return slug


def address(sessions: Sessions, slug: str, path: str, *, step: str = "close") -> str:
    with sessions() as session:
        assignment, item = session.execute(
            text("SELECT max(a.id), max(t.item_id) FROM assignments a JOIN trials t ON t.assignment_id = a.id "
                 "JOIN studies s ON s.id = a.study_id WHERE s.slug = :slug"), {"slug": slug}
        ).one()  # fmt: skip
    return path.format(
        slug=slug, assignment_id=assignment, item_id=item, place="reference", number=1, turn="exclude", step=step,
        invitation_id=1, request_id=1, name="data.csv", decision="block", version=1, act="begin", chart="agreement",
    )  # fmt: skip


def contents(sessions: Sessions, slug: str) -> dict[str, list[tuple[Any, ...]]]:
    """The study's rows, and what people changed in it: every change is logged."""
    log = text("SELECT l.* FROM audit_log l JOIN studies s ON s.id = l.study_id WHERE s.slug = :slug")
    with sessions() as session:
        return rows_of(sessions, slug) | {"audit_log": [tuple(row) for row in session.execute(log, {"slug": slug})]}


def test_the_route_table_is_not_empty() -> None:
    assert len(MUTATING) >= 8
    assert len(READING) >= 15


@pytest.mark.parametrize("path", MUTATING)
def test_a_viewer_changes_nothing(client: TestClient, sessions: Sessions, study: str, path: str) -> None:
    before = contents(sessions, study)
    url = address(sessions, study, path)
    fields = {"reason": "bad", "email": "eve@example.org", "role": "owner"}
    everybody = {
        "viewer": (visitor_as(client, sessions, study, "viewer"), 403),
        "outsider": (visitor_as(client, sessions, study, None), 404),
        "nobody": (Visitor(client), 303),
    }
    for name, (visitor, status) in everybody.items():
        response = visitor.post(f"{url}?form_key={visitor.key}", fields)
        assert response.status_code == status, name
    assert contents(sessions, study) == before


@pytest.mark.parametrize("path", MUTATING)
def test_a_form_that_is_not_ours_changes_nothing(client: TestClient, sessions: Sessions, study: str, path: str) -> None:
    before = contents(sessions, study)
    owner, url = visitor_as(client, sessions, study, "owner"), address(sessions, study, path)
    fields = {"reason": "bad", "email": "eve@example.org", "role": "owner"}
    assert owner.post(url, fields | {"form_key": "made up"}).status_code == 403
    assert owner.post(url, fields, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert owner.post(url, fields, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert contents(sessions, study) == before


@pytest.mark.parametrize("path", READING)
def test_others_studies_do_not_exist(client: TestClient, sessions: Sessions, study: str, path: str) -> None:
    url = address(sessions, study, path)
    assert visitor_as(client, sessions, study, None).get(url).status_code == 404
    response = Visitor(client).get(url)
    assert response.status_code == 303
    assert response.headers["Location"].startswith("/admin/sign-in?then=/admin/studies/")
    asks = path.endswith(("/generate", "/imports")) or any(
        part in path for part in ("{step}", "{turn}", "{decision}", "{act}")
    )
    if not asks and not any(part in path for part in ("{request_id}", "{version}")):
        assert visitor_as(client, sessions, study, "viewer").get(url).status_code == 200


def test_no_page_asks_the_database_more_than_a_dozen_questions(
    client: TestClient, sessions: Sessions, study: str
) -> None:
    ada, asked = sign_in(client, sessions, make_account(sessions, is_site_owner=True)), []

    def count(*statement: Any) -> None:
        asked.append(statement[2])

    event.listen(Engine, "before_cursor_execute", count)
    try:
        for path in ("/admin", "/admin/new", "/admin/account", "/admin/system", "/admin/api", *READING):
            url = address(sessions, study, path)
            asked.clear()
            status = ada.get(url).status_code
            if "{turn}" not in path:  # finds out what excluding would do, by doing it
                assert (status in (200, 404, 409), len(asked) <= 12) == (True, True), (url, status, asked)
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def test_programs_that_are_not_signed_in_are_told_so(client: TestClient, study: str) -> None:
    nobody = Visitor(client)
    assert nobody.get(f"/admin/studies/{study}/charts/votes.json", headers={"Accept": "*/*"}).status_code == 401
    fragment = nobody.get(f"/admin/studies/{study}/live", headers={"HX-Request": "true"})
    assert fragment.headers["HX-Redirect"] == "/admin/sign-in"


def test_a_site_owner_sees_every_study(client: TestClient, sessions: Sessions, study: str) -> None:
    ada = sign_in(client, sessions, make_account(sessions, is_site_owner=True))
    assert study in [glance.slug for glance in page_of(ada.get("/admin")).studies]
    bob = visitor_as(client, sessions, study, "viewer")
    assert [glance.slug for glance in page_of(bob.get("/admin")).studies] == [study]


def test_signing_in_and_out(client: TestClient, sessions: Sessions) -> None:
    email, ada = make_account(sessions), Visitor(client)
    wrong = ada.post("/admin/sign-in", {"email": email, "password": "not it, not it"})
    assert wrong.status_code == 422
    assert page_of(wrong).problems == {"": "The e-mail address or the password is wrong."}
    assert page_of(wrong).values == {"email": email}
    right = ada.post("/admin/sign-in", {"email": f" {email.upper()} ", "password": PASSWORD, "then": "/admin/account"})
    assert (right.status_code, right.headers["Location"]) == (303, "/admin/account")
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/admin" in cookie
    page = page_of(ada.get("/admin/account"))
    assert page.email == email
    assert ada.post("/admin/sign-out", {"form_key": page.frame.form_key}).status_code == 303
    assert ada.get("/admin/account").status_code == 303


@pytest.mark.parametrize(
    "then", ["https://elsewhere.example", "//elsewhere.example", "/admin\\@x", "/adminx", "/admin/\r\nX: y"]
)
def test_signing_in_leads_nowhere_else(client: TestClient, then: str) -> None:
    assert page_of(Visitor(client).get("/admin/sign-in", params={"then": then})).then == "/admin"


def test_guessing_passwords_is_slow(settings: Settings, client: TestClient, sessions: Sessions) -> None:
    email = make_account(sessions)
    with TestClient(create_app(settings), follow_redirects=False) as fresh:
        mallory = Visitor(fresh)
        tries = [mallory.post("/admin/sign-in", {"email": email, "password": "guess"}) for _ in range(6)]
    assert [response.status_code for response in tries] == [422] * 5 + [429]
    assert int(tries[-1].headers["Retry-After"]) > 0


def test_a_new_password_ends_every_other_sign_in(client: TestClient, sessions: Sessions) -> None:
    email = make_account(sessions)
    here, there = sign_in(client, sessions, email), sign_in(client, sessions, email)
    fields = {"present": "wrong", "password": "another long password"}
    assert page_of(here.post("/admin/account/password", fields)).problems.keys() == {"present"}
    weak = here.post("/admin/account/password", {"present": PASSWORD, "password": "short"})
    assert page_of(weak).problems.keys() == {"password"}
    assert here.post("/admin/account/password", fields | {"present": PASSWORD}).status_code == 303
    assert here.get("/admin/account").status_code == 200
    assert there.get("/admin/account").status_code == 303
    with sessions() as session:
        assert accounts.authenticate(session, email=email, password="another long password") is not None
