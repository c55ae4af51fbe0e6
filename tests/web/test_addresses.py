"""Whom a request comes from, what of it is believed, and what addresses this server gives out."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from app.db import Sessions
from app.errors import BadInput
from app.main import create_app
from app.settings import Settings, read_settings
from app.storage import LocalStorage
from app.web.addresses import client_of
from app.web.limits import ONE_YEAR_OF_HTTPS
from tests.conftest import serving
from tests.support.dashboard import BROWSER, Visitor, make_member, page_of, sign_in
from tests.support.factories import make_study

EVIL = {"Host": "evil.example"}
NEAR, FAR = ("127.0.0.1", 1), ("10.0.0.1", 1)
HERE = "http://127.0.0.1:8000"


@contextmanager
def app_with(settings: Settings, client: tuple[str, int] = NEAR, **more: str) -> Iterator[TestClient]:
    changed = Settings(LOOKALIKE_HOME=settings.home, DATABASE_URL=settings.database_url, **more)
    with TestClient(create_app(changed), base_url=HERE, client=client, follow_redirects=False) as app:
        yield app


@pytest.fixture(scope="module")
def study(sessions: Sessions, storage: LocalStorage) -> str:
    return make_study(sessions, storage, items=8, assignment__trials=4, assignment__practice=1, assignment__sentinels=2)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_attempts_of_one_network_count_together(address: str, counted: str) -> None:
    assert client_of(Request({"type": "http", "client": (address, 1), "headers": []})) == counted


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP",
     "True-Client-IP", "X-Client-IP", "X-Original-Forwarded-For"],
)  # fmt: skip
def test_figures_are_not_for_whoever_comes_through_a_proxy(settings: Settings, header: str) -> None:
    with app_with(settings) as near:
        assert near.get("/metrics").status_code == 200
        assert near.get("/metrics", headers={header: "127.0.0.1"}).status_code == 404


def test_figures_are_for_who_calls_the_server_by_its_own_name(settings: Settings) -> None:
    """A proxy that hands on the name in the address tells that it is one; so does a page that rebinds its name."""
    with app_with(settings) as near:
        for host, status in (("localhost:8000", 200), ("[::1]:8000", 200), ("lab.example", 404), ("10.0.0.1", 404)):
            assert near.get("/metrics", headers={"Host": host}).status_code == status


def test_figures_of_a_public_server_take_a_token(settings: Settings) -> None:
    """A proxy on the same machine that leaves no trace looks like the machine itself."""
    with app_with(settings, PUBLIC_URL="https://lab.example") as near:
        assert near.get("/metrics").status_code == 404
    with app_with(settings, PUBLIC_URL="https://lab.example", METRICS_TOKEN="x" * 16) as near:
        assert near.get("/metrics", headers={"Authorization": "Bearer " + "x" * 16}).status_code == 200
    for client in (("127.0.0.2", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)):
        with app_with(settings, client) as near:
            assert near.get("/metrics").status_code == 200
    for client in (FAR, ("::ffff:10.0.0.1", 1), ("localhost.evil.example", 1)):
        with app_with(settings, client) as far:
            assert far.get("/metrics").status_code == 404


def test_only_a_trusted_proxy_says_who_asks(settings: Settings) -> None:
    """Over a real socket: a made-up address of a visitor opens nothing, whoever is trusted."""
    for trusted in ("127.0.0.1,::1", "10.0.0.0/8", "*"):
        changed = Settings(
            LOOKALIKE_HOME=settings.home, DATABASE_URL=settings.database_url, FORWARDED_ALLOW_IPS=trusted
        )
        with serving(changed) as url:
            assert httpx.get(f"{url}/metrics").status_code == 200
            assert httpx.get(f"{url}/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
            secure = httpx.get(f"{url}/healthz", headers={"X-Forwarded-Proto": "https"})
            is_believed = trusted != "10.0.0.0/8"
            assert (secure.headers.get("Strict-Transport-Security") == ONE_YEAR_OF_HTTPS) == is_believed


def test_https_is_asked_for_where_it_is_spoken(settings: Settings) -> None:
    for public_url, expected in [
        ("https://lab.example", ONE_YEAR_OF_HTTPS),
        ("http://lab.example", None),
        ("http://127.0.0.1:8000", None),
    ]:
        with app_with(settings, PUBLIC_URL=public_url) as client:
            for path in ("/", "/nowhere", "/healthz"):
                headers = client.get(path).headers
                assert headers.get("Strict-Transport-Security") == expected
                assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("wrong", ["proxy", "10.0.0.1/33", "10.0.0.1,", "10.0.0.1;10.0.0.2", "10.0.0.1/8"])
def test_a_proxy_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", wrong)
    with pytest.raises(BadInput, match="FORWARDED_ALLOW_IPS"):
        read_settings()


def owner_of(client: TestClient, sessions: Sessions, slug: str) -> Visitor:
    return sign_in(client, sessions, make_member(sessions, slug, "owner", is_site_owner=True))


@pytest.mark.parametrize(
    ("settings_more", "host", "expected"),
    [
        ({"PUBLIC_URL": "https://lab.example/"}, "evil.example", "https://lab.example/"),
        ({"PUBLIC_URL": "https://lab.example"}, "127.0.0.1:8001", "https://lab.example/"),
        ({}, "127.0.0.1:8001", "http://127.0.0.1:8001/"),
        ({}, "192.0.2.7:8001", "http://192.0.2.7:8001/"),
        ({}, "[2001:db8::1]:8001", "http://[2001:db8::1]:8001/"),
        ({}, "evil.example", "http://127.0.0.1:8000/"),
    ],
)
def test_links_for_others_have_the_public_address(
    settings: Settings, sessions: Sessions, study: str, settings_more: dict[str, str], host: str, expected: str
) -> None:
    with app_with(settings, **settings_more) as client:
        owner = owner_of(client, sessions, study)
        fields = {"email": "bob@example.org", "role": "viewer"}
        invited = owner.post(f"/admin/studies/{study}/people/invitations", fields, headers={"Host": host})
        overview = owner.get(f"/admin/studies/{study}", headers={"Host": host})
        api = owner.get("/admin/api", headers={"Host": host})
    assert f">{expected}admin/invitations/" in invited.text
    assert f">{expected}studies/{study}<" in overview.text
    assert f"{expected}api/v1" in api.text
    is_certain = "PUBLIC_URL" in settings_more
    assert ("PUBLIC_URL is not set" not in invited.text) == is_certain
    assert ("PUBLIC_URL is not set" not in overview.text) == is_certain


def test_no_answer_repeats_the_host(settings: Settings, sessions: Sessions, study: str) -> None:
    for_people = ["/", "/admin", "/admin/", "/admin/account", "/admin/sign-in/", f"/admin/studies/{study}/people"]
    others = [f"/studies/{study}", f"/studies/{study}/", "/static", "//evil.example/", "/api/v1/studies/", "/nowhere"]
    with app_with(settings) as client:
        owner = owner_of(client, sessions, study)
        for path in [*for_people, *others]:
            for answer in (owner.get(path, headers=EVIL), client.get(path, headers=EVIL)):
                assert "evil.example" not in answer.text.replace("//evil.example", "")
                assert not answer.headers.get("Location", "").startswith(("http", "//")), path


def test_a_slash_too_many_is_forgiven(client: TestClient, study: str) -> None:
    answer = client.get(f"/studies/{study}/?participant=ada", headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (307, f"/studies/{study}?participant=ada")
    assert client.get("/nowhere/", headers=BROWSER).headers["Location"] == "/nowhere"


def test_an_invitation_that_is_over_says_so_of_itself(client: TestClient, sessions: Sessions, study: str) -> None:
    owner = owner_of(client, sessions, study)
    fields = {"email": "carol@example.org", "role": "viewer"}
    link = page_of(owner.post(f"/admin/studies/{study}/people/invitations", fields)).link
    path = "/admin/invitations/" + link.rpartition("/")[2]
    joined = Visitor(client).post(path, {"name": "Carol", "password": "a good long password"})
    assert joined.status_code == 303
    again = Visitor(client).get(path)
    assert (again.status_code, page_of(again).title) == (410, "This invitation is over")
    assert "used already" in again.text


def test_an_address_says_which_methods_it_takes(client: TestClient, study: str) -> None:
    program = client.put(f"/api/v1/studies/{study}")
    assert (program.status_code, program.headers["Allow"]) == (405, "GET")
    assert program.json()["detail"] == "This address does not take PUT, only GET."
    participant = client.get(f"/studies/{study}/assignments", headers=BROWSER)
    assert "open the link that you were given" in page_of(participant).message
    researcher = client.get("/admin/account/password", headers=BROWSER)
    assert "go back to the dashboard" in page_of(researcher).message
