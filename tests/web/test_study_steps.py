"""What a study can become from where it stands: the table of docs/dashboard.md, over the API and in the dashboard."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func

from app.db import Sessions
from app.keys import Keys
from app.services import study_lookup
from app.services.assignments import exclusions
from app.services.rounds import rounds
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.support.assignments import sit
from tests.support.dashboard import Visitor, key_of, make_member, sign_in
from tests.support.factories import make_study

SMALL = {"items": 8, "assignment__trials": 8, "assignment__practice": 1, "assignment__sentinels": 2}
STATES = ("draft", "collecting", "paused", "finished", "paused, then finished", "closed", "archived draft", "archived")
VERBS = ("open", "pause", "close", "archive", "restore")
# What a study is called after each verb; None where it is refused and stays as it was.
AFTER = {
    "draft": ("collecting", None, "closed", "archived draft", "draft"),
    "collecting": ("collecting", "paused", "closed", None, "collecting"),
    "paused": ("collecting", "paused", "closed", None, "paused"),
    "finished": ("finished", None, "closed", None, "finished"),
    "paused, then finished": ("finished", None, "closed", None, "paused, then finished"),
    "closed": (None, None, "closed", "archived", "closed"),
    "archived draft": (None, None, None, "archived draft", "draft"),
    "archived": (None, None, None, "archived", "closed"),
}


def make(sessions: Sessions, storage: LocalStorage, state: str) -> str:
    is_draft = state in ("draft", "archived draft")
    slug = make_study(sessions, storage, is_open=not is_draft, **SMALL)
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        if state in ("paused", "paused, then finished"):
            lifecycle.pause(session, slug=slug)
        if "finished" in state:
            study.finished_at = func.clock_timestamp()
        if state in ("closed", "archived"):
            lifecycle.close(session, slug=slug)
        if state.startswith("archived"):
            lifecycle.archive(session, slug=slug)
    return slug


def state_of(sessions: Sessions, slug: str) -> str:
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        if study.archived_at is not None:
            return "archived draft" if study.state == "draft" else "archived"
        if study.finished_at is not None and study.state == "paused":
            return "paused, then finished"
        return study_lookup.status_word(study)


@pytest.fixture(scope="module")
def key(sessions: Sessions, storage: LocalStorage) -> dict[str, str]:
    return key_of(sessions, make_study(sessions, storage, **SMALL), None, is_site_owner=True)


@pytest.fixture(scope="module")
def owner(client: TestClient, sessions: Sessions, storage: LocalStorage) -> Visitor:
    slug = make_study(sessions, storage, **SMALL)
    return sign_in(client, sessions, make_member(sessions, slug, None, is_site_owner=True))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", STATES)
def test_a_step_from_every_state(
    client: TestClient,
    sessions: Sessions,
    storage: LocalStorage,
    key: dict[str, str],
    owner: Visitor,
    state: str,
    verb: str,
) -> None:
    expected = AFTER[state][VERBS.index(verb)]
    for way in _ways(verb):
        slug = make(sessions, storage, state)
        assert state_of(sessions, slug) == state
        if way == "api":
            answer = client.post(f"/api/v1/studies/{slug}/{verb}", headers=key)
        else:
            answer = owner.post(f"/admin/studies/{slug}/steps/{verb}")
        done = 200 if way == "api" else 303
        assert answer.status_code == (409 if expected is None else done), answer.text
        assert state_of(sessions, slug) == (expected or state)


def _ways(verb: str) -> Iterator[str]:
    yield "dashboard"
    if verb in ("open", "pause", "close"):
        yield "api"


@pytest.mark.parametrize("state", STATES)
def test_a_page_asks_only_about_steps_that_can_be_taken(
    client: TestClient, sessions: Sessions, storage: LocalStorage, owner: Visitor, state: str
) -> None:
    slug = make(sessions, storage, state)
    for verb, after in zip(VERBS, AFTER[state], strict=True):
        answer = owner.get(f"/admin/studies/{slug}/steps/{verb}")
        assert answer.status_code in ((200, 409) if after else (409,)), verb


def test_a_finished_study_collects_again_after_an_exclusion(
    client: TestClient, sessions: Sessions, storage: LocalStorage, keys: Keys, key: dict[str, str]
) -> None:
    """A pause in between is refused, and so stops nothing."""
    slug = make_study(sessions, storage, rounds=1, min_votes=1, **SMALL)
    sit(sessions, keys, slug, "ada", lambda _: 0)
    with sessions.begin() as session:
        rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)
    assert state_of(sessions, slug) == "finished"
    refused = client.post(f"/api/v1/studies/{slug}/pause", headers=key)
    assert (refused.status_code, "is finished" in refused.json()["detail"]) == (409, True)
    (line,) = client.get(f"/api/v1/studies/{slug}/assignments", headers=key).json()["assignments"]
    with sessions.begin() as session:
        exclusions.exclude_by_hand(session, assignment_id=line["id"], reason="odd", actor="test")
    assert state_of(sessions, slug) == "collecting"
