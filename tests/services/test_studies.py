"""Studies: named once, opened, paused and closed."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db import Sessions
from app.domain import protocol
from app.errors import BadInput, Conflict, NotFound
from app.services import study_lookup
from app.services.studies import lifecycle, revisions
from app.storage import LocalStorage
from tests.support.factories import make_slug, make_study
from tests.support.triplet_folder import contents, make_draft

NIGHTS = protocol.load("nights-2afc")


@pytest.mark.parametrize(
    "name", ["", "-", "a-", "-a", "Shoes", "two words", "ä", "a_b", "a/b", "a\n", "a\0", "x" * 64, "../a", "[/red]"]
)
def test_names_that_no_study_can_have(sessions: Sessions, name: str) -> None:
    with sessions.begin() as session, pytest.raises(BadInput, match="cannot name a study"):
        lifecycle.create(session, slug=name, protocol=NIGHTS)
    with sessions() as session, pytest.raises(NotFound):
        study_lookup.by_slug(session, name)


@pytest.mark.parametrize("name", ["a", "7", "a-b", "x" * 63, "null", "con"])
def test_names_that_a_study_can_have(sessions: Sessions, name: str) -> None:
    with sessions() as session:
        assert lifecycle.create(session, slug=name, protocol=NIGHTS).slug == name
        assert study_lookup.by_slug(session, name).state == "draft"


@given(st.text())
def test_no_text_is_too_odd_to_ask_for(sessions: Sessions, name: str) -> None:
    with sessions() as session, pytest.raises(NotFound):
        study_lookup.by_slug(session, name + "_")


def test_one_name_for_one_study_also_at_once(sessions: Sessions) -> None:
    name = make_slug()

    def create(seed: int) -> str:
        try:
            with sessions.begin() as session:
                return lifecycle.create(session, slug=name, protocol=NIGHTS, seed=seed).slug
        except BadInput as error:
            return error.message

    with ThreadPoolExecutor(6) as threads:
        said = list(threads.map(create, range(6)))
    assert sorted(said) == sorted([name] + 5 * [f"There is already a study '{name}'. Choose another name."])


def state(sessions: Sessions, slug: str) -> str:
    with sessions() as session:
        return study_lookup.by_slug(session, slug).state


def test_states_follow_the_researcher(sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=1, is_open=False, assignment__practice=0, assignment__sentinels=0)
    for step, expected in (
        (lifecycle.open_study, "open"), (lifecycle.open_study, "open"),
        (lifecycle.pause, "paused"), (lifecycle.pause, "paused"),
        (lifecycle.open_study, "open"), (lifecycle.close, "closed"), (lifecycle.close, "closed"),
    ):  # fmt: skip
        with sessions.begin() as session:
            step(session, slug=slug)
        assert state(sessions, slug) == expected
    for step, complaint in ((lifecycle.open_study, "is closed"), (lifecycle.pause, "is closed")):
        with sessions.begin() as session, pytest.raises(Conflict, match=complaint):
            step(session, slug=slug)


def test_opening_again_after_a_pause_opens_no_second_round(sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=3, assignment__practice=0, assignment__sentinels=0)
    before = contents(sessions, slug)
    with sessions.begin() as session:
        lifecycle.pause(session, slug=slug)
        lifecycle.open_study(session, slug=slug)
    assert contents(sessions, slug) == before
    assert len(before["slots"]) == 3


def test_nobody_is_asked_without_consent_and_instructions(sessions: Sessions, storage: LocalStorage) -> None:
    bare: dict[str, Any] = {"items": 1, "assignment__practice": 0, "assignment__sentinels": 0}
    draft = make_study(sessions, storage, is_open=False, consent=" ", instructions='""', **bare)
    before = contents(sessions, draft)
    with pytest.raises(BadInput, match="no consent and no instructions"), sessions.begin() as session:
        lifecycle.open_study(session, slug=draft)
    assert contents(sessions, draft) == before
    opened = make_study(sessions, storage, **bare)
    with pytest.raises(BadInput, match="no consent,"), sessions.begin() as session:
        revisions.amend(session, slug=opened, changes={"consent": ""}, based_on=1)


def test_a_study_without_items_does_not_open(sessions: Sessions) -> None:
    slug = make_draft(sessions)
    before = contents(sessions, slug)
    with pytest.raises(Conflict, match="has no items yet"), sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    with pytest.raises(Conflict, match="is draft"), sessions.begin() as session:
        lifecycle.pause(session, slug=slug)
    assert contents(sessions, slug) == before
