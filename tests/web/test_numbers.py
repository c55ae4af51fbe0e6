"""Numbers from outside are bounded, wherever they come from: the route table and the forms say where that is."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DataError

from app.db import Sessions
from app.domain.protocol import Protocol
from app.errors import NotFound
from app.keys import Keys
from app.main import create_app
from app.paths import TEMPLATES
from app.settings import Settings
from app.storage import LocalStorage
from app.web import problems
from app.web.admin.studies.protocol_form import form_groups, values_of
from app.web.numbers import LARGEST_ID
from tests.support.assignments import sit
from tests.support.dashboard import BROWSER, Visitor, key_of, make_member, sign_in
from tests.support.factories import make_study

HOSTILE = ["9" * 26, "-" + "9" * 26, str(2**63), str(2**31), "-1", "0", "", " ", "NaN", "inf", "1e400", "1.5", "0x10",
           "9" * 5000, "١٢", "1_000", "null", "\u0000", "1;2"]  # fmt: skip
CONTEXTS = list(iter_route_contexts(create_app(Settings()).routes))
ROUTES = [context for context in CONTEXTS if isinstance(context.original_route, APIRoute)]


def parameters(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.path_params + dependant.query_params
    for inner in dependant.dependencies:
        yield from parameters(inner)


NUMBERS = [
    (context.path, sorted(context.methods or ())[0], parameter)
    for context in ROUTES
    for parameter in parameters(context.original_route.dependant)
    if re.search(r"\b(int|float)\b", str(parameter.field_info.annotation))
]


@pytest.fixture(scope="module")
def study(sessions: Sessions, storage: LocalStorage, keys: Keys) -> str:
    slug = make_study(sessions, storage, items=8, assignment__trials=4, assignment__practice=1, assignment__sentinels=2)
    sit(sessions, keys, slug, "ada", lambda _: 0)
    return slug


@pytest.fixture(scope="module")
def strict(settings: Settings) -> Iterator[TestClient]:
    """A server without the last net: what only the database refuses is a 500."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(problems._ANSWERS, DataError)
        with TestClient(create_app(settings), raise_server_exceptions=False, follow_redirects=False) as client:
            yield client


@pytest.mark.parametrize(("path", "method", "parameter"), NUMBERS, ids=lambda each: getattr(each, "name", each))
def test_every_number_of_an_address_has_bounds(path: str, method: str, parameter: Any) -> None:
    adapter = TypeAdapter(parameter.field_info.rebuild_annotation())
    for value in (LARGEST_ID + 1, -(2**31) - 1, 10**26, "9" * 26):
        with pytest.raises((ValidationError, NotFound)):
            adapter.validate_python(value)


def test_no_number_of_an_address_ends_in_an_error_of_ours(strict: TestClient, sessions: Sessions, study: str) -> None:
    assert len(NUMBERS) > 25
    owner = make_member(sessions, study, "owner", is_site_owner=True)
    roles = [
        Visitor(strict),
        sign_in(strict, sessions, make_member(sessions, study, "viewer")),
        sign_in(strict, sessions, owner),
    ]
    key = key_of(sessions, study, "owner", is_site_owner=True)
    for path, method, parameter in NUMBERS:
        for value in HOSTILE:
            in_path = f"{{{parameter.name}}}" in path
            names = {"slug": study, "place": "reference", "decision": "block", "turn": "exclude", "name": "data.csv"}
            filled = dict.fromkeys(re.findall(r"{(\w+)}", path), "1") | names
            filled[parameter.name] = value.replace("\0", "%00") or "%20"
            url = path.format(**filled)
            params = {} if in_path else {parameter.name: value}
            if path.startswith("/api"):
                answers = [strict.request(method, url, params=params, headers=header) for header in ({}, key)]
            elif method == "GET":
                answers = [visitor.get(url, params=params) for visitor in roles]
            else:
                answers = [roles[-1].post(url, params=params)]
            for answer in answers:
                assert answer.status_code < 500, (method, url, params, answer.text[:300])


FIELDS = sorted(
    {name for page in TEMPLATES.rglob("*.html") for name in re.findall(r'name="([a-z_.]+)"', page.read_text())}
    | set(values_of(Protocol.model_validate({"kind": "2afc"})))
    | {"amount", "per_category", "confirmed", "message", "password", "code", "consent", "participant"}
    | {"consent_version", "colour_vision"}
)
FORMS = [
    context.path
    for context in ROUTES
    if "POST" in (context.methods or ()) and not (context.path or "").startswith(("/api", "/hooks"))
]


@pytest.mark.parametrize("value", [*HOSTILE, "\ud800", "\x1f", "a" * 100_000], ids=lambda value: ascii(value)[:20])
def test_no_form_ends_in_an_error_of_ours(strict: TestClient, sessions: Sessions, study: str, value: str) -> None:
    """The same value in every field that any form has, sent to every address that takes a form."""
    assert len(FORMS) > 30
    assert len(FIELDS) > 60
    owner = sign_in(strict, sessions, make_member(sessions, study, "owner", is_site_owner=True))
    long = len(value) > 1000
    fields = dict.fromkeys(FIELDS[:2] if long else FIELDS, value)
    names = {"slug": study, "decision": "bonus", "turn": "exclude", "act": "begin", "step": "archive"}
    for path in FORMS:
        url = path.format(**(dict.fromkeys(re.findall(r"{(\w+)}", path), "1") | names))
        body = b"&".join(
            b"%s=%s" % (name.encode(), _quoted(owner.key if name == "form_key" else text))
            for name, text in (fields | {"form_key": owner.key}).items()
        )
        answer = owner.send(url, body)
        assert answer.status_code != 403, url
        assert answer.status_code < 500, (url, answer.text[:300])


def _quoted(text: str) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in text.encode("utf-8", "surrogatepass"))


def test_no_field_of_a_protocol_ends_in_an_error_of_ours(strict: TestClient, sessions: Sessions, study: str) -> None:
    """One field at a time, beside others that are right: none hides behind the complaint about another."""
    owner = sign_in(strict, sessions, make_member(sessions, study, "owner", is_site_owner=True))
    for place, name in enumerate(values_of(Protocol.model_validate({"kind": "2afc"}))):
        for value in HOSTILE[place % 6 :: 6]:
            good = values_of(Protocol.model_validate({"kind": "2afc", "consent": "a", "instructions": "b"}))
            fields = {"slug": "1-", "preset": "nights-2afc", "version": "1"} | good | {name: value}
            for url in ("/admin/new", f"/admin/studies/{study}/protocol/outlook"):
                answer = owner.post(url, fields)
                assert answer.status_code < 500, (url, name, value, answer.text[:300])


def test_every_number_of_a_protocol_has_bounds() -> None:
    """`min_votes` has those of the votes there are, which a validator compares."""
    for group in form_groups("2afc") + form_groups("jnd"):
        for field in group.fields:
            if field.kind == "number" and field.name != "min_votes":
                assert field.least is not None, field.name
                assert field.most is not None, field.name


def test_a_log_goes_on_from_any_number(strict: TestClient, sessions: Sessions, study: str) -> None:
    viewer = sign_in(strict, sessions, make_member(sessions, study, "viewer"))
    assert viewer.get(f"/admin/studies/{study}/log?before={LARGEST_ID}", headers=BROWSER).status_code == 200
    assert viewer.get(f"/admin/studies/{study}/log?before={10**26}", headers=BROWSER).status_code == 422
