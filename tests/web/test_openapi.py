"""The whole OpenAPI description, put to the test by generated requests; nobody sees or changes what is not theirs."""

from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.db import Sessions
from app.keys import Keys
from app.main import create_app
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.assignments import sign_up, sit
from tests.support.dashboard import key_of
from tests.support.factories import make_report, make_study
from tests.support.triplet_folder import contents

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DESCRIPTION: dict[str, Any] = create_app(Settings()).openapi()
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()]
given_settings = settings(
    max_examples=5, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
OURS = [
    (method.upper(), path)
    for path, operations in DESCRIPTION["paths"].items()
    for method in operations
    if path.startswith("/api/v1/studies/{slug}")
]
BODY = {
    "reason": "bad",
    "slug": "another",
    "source": "shoes",
    "version": 1,
    "protocol": {"title": "Theirs"},
}


@pytest.fixture(scope="module")
def study(sessions: Sessions, storage: LocalStorage, keys: Keys) -> str:
    slug = make_study(sessions, storage, items=8, assignment__trials=4, assignment__practice=1, assignment__sentinels=2)
    sit(sessions, keys, slug, "ada", lambda _: 0)
    make_report(sessions, slug)
    return slug


@pytest.fixture(scope="module")
def token(sessions: Sessions, keys: Keys, study: str) -> str:
    return sign_up(sessions, keys, study, "bob")


@pytest.fixture(scope="module")
def callers(sessions: Sessions, study: str) -> dict[str, dict[str, str]]:
    return {
        "owner": key_of(sessions, study, None, is_site_owner=True),
        "viewer": key_of(sessions, study, "viewer"),
        "nobody": {},
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_the_description_holds(
    operation: Any, live_server: str, callers: dict[str, dict[str, str]], study: str, token: str
) -> None:
    """Requests that fit the description, and some that do not, as an owner, a viewer and nobody: the answers are what
    the description says. Half of them go to a study, or an assignment, that is there."""
    real = {"slug": study, "token": token}

    @given(case=operation.as_strategy())
    @given_settings
    def holds(case: Any) -> None:
        for name in real.keys() & case.path_parameters.keys():
            if len(str(case.path_parameters[name])) % 2:
                case.path_parameters[name] = real[name]
        for headers in callers.values():
            case.call_and_validate(base_url=live_server, headers=headers, checks=CHECKS)

    holds()


def address(sessions: Sessions, slug: str, path: str) -> str:
    return path.format(slug=slug, step="close", number=1, assignment_id=1, export_id=1, import_id=1)


@pytest.mark.parametrize(("method", "path"), OURS)
def test_studies_of_others_are_not_there(
    client: TestClient, sessions: Sessions, study: str, method: str, path: str
) -> None:
    before = contents(sessions, study)
    url = address(sessions, study, path)
    assert client.request(method, url, headers=key_of(sessions, study, None), json=BODY).status_code == 404
    assert client.request(method, url, json=BODY).status_code == 401
    if method != "GET" or path.endswith(".zip"):
        assert client.request(method, url, headers=key_of(sessions, study, "viewer"), json=BODY).status_code == 403
    assert contents(sessions, study) == before
