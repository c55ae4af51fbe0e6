"""What is sent to us, as nobody honest sends it: it is refused in words, with the usual headers, and never a 500."""

import base64
import hmac
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from app.db import Sessions
from app.json_text import MAX_DEPTH, UnusableJSON, read_json
from app.main import create_app
from app.settings import Settings
from app.storage import LocalStorage
from app.web.limits import SECURITY_HEADERS
from tests.support.dashboard import BROWSER, key_of
from tests.support.factories import make_study

JSON = {"Content-Type": "application/json"}
HOOK_SECRET = "the-secret-of-a-webhook"

# In each a value that fits anywhere: within the text as a member of its own.
HOSTILE = {
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep list, unclosed": b"[" * 200_000,
    "deep object": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "a little deep": b"[" * 200 + b"]" * 200,
    "digits": b"9" * 5_000,
    "large": b"1e999",
    "larger than any column": b"99999999999999999999999999",
    "negative": b"-99999999999999999999999999",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "twice": b'{"a": 1, "a": 2}',
    "lone surrogate": b'"\\ud800"',
    "null character": b'"\\u0000"',
    "raw control": b'"\x00"',
    "no UTF-8": b'"\xff\xfe"',
    "UTF-16": '"a"'.encode("utf-16"),
    "nothing": b"",
    "float": b"1.5",
    "bool": b"true",
    "object": b"{}",
}
Body = tuple[str, dict[str, str], dict[str, str]]
NEVER_TAKEN = ("deep", "digits", "twice", "UTF-8", "UTF-16", "control")


@pytest.fixture(scope="module")
def study(sessions: Sessions, storage: LocalStorage) -> str:
    return make_study(
        sessions, storage, items=40, assignment__trials=4, assignment__practice=1, assignment__sentinels=2
    )


@pytest.fixture(scope="module")
def guarded(settings: Settings) -> Iterator[TestClient]:
    hooked = Settings(
        LOOKALIKE_HOME=settings.home, DATABASE_URL=settings.database_url, PROLIFIC_WEBHOOK_SECRET=HOOK_SECRET
    )
    with TestClient(create_app(hooked), follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_a_hostile_value_is_refused_everywhere(guarded: TestClient, bodies: list[Body], hostile: str) -> None:
    """As a whole body, as the value of each field that a body has, and of one that it does not have."""
    sent = 0
    for path, fields, headers in bodies:
        for body in _with(HOSTILE[hostile], fields):
            response = guarded.post(path, content=body, headers=JSON | headers | _signature(path, body))
            sent += 1
            assert response.status_code < 500, (path, body[:60], response.text[:200])
            assert response.headers.items() >= {k.lower(): v for k, v in SECURITY_HEADERS.items()}.items()
            if response.status_code >= 400:
                assert response.headers["content-type"] == "application/problem+json"
                assert response.json()["status"] == response.status_code
            if any(word in hostile for word in NEVER_TAKEN):
                assert response.status_code in (400, 413, 422), (path, body[:60], response.status_code)
    assert sent > 40


@pytest.fixture(scope="module")
def bodies(guarded: TestClient, sessions: Sessions, study: str) -> list[Body]:
    return list(_bodies(guarded, sessions, study))


def _bodies(client: TestClient, sessions: Sessions, slug: str) -> Iterator[Body]:
    """Where JSON can be sent: the address, the members that fit there (as JSON), and who sends it."""
    owner = key_of(sessions, slug, "owner")
    api = f"/api/v1/studies/{slug}"
    enrolled = client.post(f"/studies/{slug}/assignments", json={"consent": True}).json()["url"]
    trial = client.get(f"{enrolled}/trials").json()["trials"][0]["id"]
    judgment = f'{{"trial": {trial}, "answers": ["left"]'
    yield f"/studies/{slug}/assignments", {"consent": "true", "participant": '"ada"', "consent_version": "1"}, {}
    yield f"{enrolled}/judgments", {"judgments": f'[{judgment}, "timing": VALUE, "rt_ms": VALUE}}]'}, {}
    yield f"{enrolled}/judgments", {"judgments": f"[{judgment}}}]", "more": "VALUE"}, {}
    yield f"{enrolled}/aborts", {"trial": str(trial), "attempt": "1", "reason": '"hidden"', "timing": "{}"}, {}
    yield f"{enrolled}/environment", {"width": "1"}, {}
    yield f"{enrolled}/check", {"answers": "[]"}, {}
    yield "/api/v1/studies", {"slug": '"fresh"', "preset": '"nights-2afc"', "protocol": '{"title": VALUE}'}, owner
    yield f"{api}/assignments/1/exclude", {"reason": '"bad"'}, owner
    yield f"{api}/imports", {"source": '"x"', "normalise": "true"}, owner
    yield f"{api}/exports", {"form": '"folder"', "split": "null", "only_kept": "true", "min_votes": "1"}, owner
    yield "/hooks/prolific", {"event_type": '"study.status.change"'}, {}


def _with(value: bytes, fields: dict[str, str]) -> Iterator[bytes]:
    yield value
    for name in [*fields, "unknown"]:
        members = {each: text.encode().replace(b"VALUE", b"null") for each, text in fields.items()}
        members[name] = fields[name].encode().replace(b"VALUE", value) if "VALUE" in fields.get(name, "") else value
        yield b"{" + b", ".join(b'"%s": %s' % (each.encode(), text) for each, text in members.items()) + b"}"


def _signature(path: str, body: bytes) -> dict[str, str]:
    if not path.startswith("/hooks"):
        return {}
    stamp = str(time.time())
    signed = base64.b64encode(hmac.digest(HOOK_SECRET.encode(), stamp.encode() + body, "sha256")).decode()
    return {"X-Prolific-Request-Signature": signed, "X-Prolific-Request-Timestamp": stamp}


def test_every_json_body_is_read_within_bounds() -> None:
    """Routes that FastAPI would read the body of with `json.loads` alone: there are none."""
    reading = [
        route.original_route
        for route in iter_route_contexts(create_app(Settings()).routes)
        if isinstance(route.original_route, APIRoute) and route.original_route.body_field is not None
    ]
    assert len(reading) > 8
    assert [route.path for route in reading if type(route).__name__ != "BoundedRoute"] == []


def test_what_is_read_is_what_was_written() -> None:
    text = '{"a": [1, -2.5, "é😀", null, true, {"b": "\\n\\u00e9"}]}'
    assert read_json(text.encode()) == {"a": [1, -2.5, "é😀", None, True, {"b": "\né"}]}
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_json(deepest) is not None
    with pytest.raises(UnusableJSON, match="nested"):
        read_json(b"[" + deepest + b"]")


@pytest.mark.parametrize("path", ["/nowhere", "/studies/none", "/admin/nowhere", "/api/v1/nowhere", "/static/nowhere"])
def test_every_error_has_one_shape(client: TestClient, path: str) -> None:
    """Programs get problem+json, people a page; both with all headers."""
    for method, headers, status in [("GET", {}, {404, 401}), ("DELETE", {}, {404, 405}), ("GET", BROWSER, {404, 303})]:
        response = client.request(method, path, headers=headers)
        assert response.status_code in status
        assert SECURITY_HEADERS["Content-Security-Policy"] == response.headers["Content-Security-Policy"]
        if not headers:
            assert response.headers["content-type"] == "application/problem+json"


def test_too_large_is_said_in_the_same_shape(client: TestClient, study: str) -> None:
    for content in (b"x" * 300_000, (b"x" * 50_000 for _ in range(8))):
        response = client.post(f"/studies/{study}/assignments", content=content, headers=JSON)
        assert (response.status_code, response.headers["content-type"]) == (413, "application/problem+json")
        assert "256 kB" in response.json()["detail"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    page = client.post(f"/studies/{study}/assignments", content=b"x" * 300_000, headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (413, "text/html; charset=utf-8")


def test_a_mistake_of_ours_is_told_in_the_same_shape(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr("app.services.study_lookup.by_slug", broken)
    app, here = create_app(settings), ("127.0.0.1", 1)
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False, client=here) as client:
        problem, page = client.get("/studies/x"), client.get("/studies/x", headers=BROWSER)
        figures = client.get("/metrics")
    for response in (problem, page):
        assert response.status_code == 500
        assert response.headers.items() >= {k.lower(): v for k, v in SECURITY_HEADERS.items()}.items()
        assert "secret" not in response.text
    assert problem.headers["content-type"] == "application/problem+json"
    assert "Something went wrong" in page.text
    assert 'route="/studies/{slug}",status="500"} 2.0' in figures.text
