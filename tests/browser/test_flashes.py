"""JND in a real browser: what flashes, for how long by the page's own log, and what comes of interruptions."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from app.db import Sessions
from app.storage import LocalStorage
from tests.browser.conftest import DESKTOP, PHONE, Sittings
from tests.browser.test_pages import assert_accessible, assert_neutral
from tests.support.browser.participant import Participant, stored_aborts, stored_assignments
from tests.support.factories import make_study

STIMULUS_MS, GAP_MS, FIXATION_MS = 210, 130, 700
FIRST, SECOND = "Were the 1st and the 3rd image the same?", "Were the 2nd and the 4th image the same?"
FLASHES: dict[str, Any] = {
    "preset": "nights-jnd",
    "presentation__stimulus_ms": STIMULUS_MS,
    "presentation__gap_ms": GAP_MS,
    "assignment__practice": 1,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
    # How busy the machine is that runs the tests is not the question here.
    "screening__min_refresh_hz": 0,
}

# Work of 60 ms every 100 ms or so.
_JANK = """() => {
  const work = () => {
    const end = performance.now() + 60;
    while (performance.now() < end);
    setTimeout(work, 40);
  };
  work();
}"""

# A background tab of a headless browser stays visible and gets its frames: so the page is told.
_HIDE = """() => {
  const hide = (isHidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: isHidden });
    document.dispatchEvent(new Event('visibilitychange'));
  };
  hide(true);
  setTimeout(() => hide(false), 50);
}"""


def make_flashes(sessions: Sessions, storage: LocalStorage, *, trials: int, **overrides: Any) -> str:
    """A JND study with two pairs a trial: one practice trial, then so many."""
    return make_study(sessions, storage, items=trials + 4, **FLASHES | overrides, assignment__trials=trials)


def stored(sessions: Sessions, slug: str) -> list[Any]:
    """The judgments of a study with one participant, in the order in which the questions were asked."""
    with sessions() as session:
        return list(
            session.execute(
                text("""
                    SELECT t.id AS trial, i.role, j.choice, j.question, j.rt_ms, j.timing, j.input, j.suspect
                    FROM judgments j JOIN trials t ON t.id = j.trial_id JOIN items i ON i.id = t.item_id
                    WHERE i.study_id = (SELECT id FROM studies WHERE slug = :slug)
                    ORDER BY t.position, j.question <> t.left_candidate
                """),
                {"slug": slug},
            )
        )


def timings(judgments: Sequence[Any]) -> list[dict[str, Any]]:
    """One per trial."""
    return [judgment.timing for judgment in judgments if judgment.question == 0]


def answer(ada: Participant, first: str = "s", second: str = "d") -> None:
    ada.await_question(FIRST)
    ada.page.keyboard.press(first)
    ada.await_question(SECOND)
    ada.page.keyboard.press(second)


def go_on(page: Page, title: str, *, by: str = "Go on") -> None:
    """Past a pause."""
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.get_by_role("button", name=by).click()


def test_twenty_flashes_by_keyboard_alone(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_flashes(sessions, storage, trials=4)
    ada = sittings.participant()
    page = ada.page
    ada.agree(slug)
    expect(page.get_by_role("button", name="Start")).to_be_focused()
    page.keyboard.press("Enter")
    answer(ada)
    told = ada.read_feedback()
    keys = [("s", "d"), ("ArrowLeft", "ArrowRight"), ("S", "D")]
    for first, second in keys:
        answer(ada, first, second)
    # A key during the flashes is nobody's answer, a held one is one answer, and so are two at once.
    ada.await_flash(2)
    page.keyboard.press("d")
    ada.await_question(FIRST)
    for _ in range(20):
        page.keyboard.down("s")
    ada.await_question(SECOND)
    page.keyboard.down("s")
    page.keyboard.up("s")
    page.keyboard.down("d")
    page.keyboard.down("ArrowLeft")
    code = ada.completion_code()

    assert [(state, given) for state, given, _ in stored_assignments(sessions, slug)] == [("completed", code)]
    judgments = stored(sessions, slug)
    assert [judgment.choice for judgment in judgments] == [0, 1] * 5
    assert not any(judgment.suspect for judgment in judgments)
    assert told.startswith(("That is right", "Not quite: the 1st and the 3rd image were "))
    assert [timing["questions"][0]["input"] for timing in timings(judgments)] == ["s", "s", "ArrowLeft", "S", "s"]
    for timing in timings(judgments):
        assert_log_is_sound(timing)
    for judgment in judgments:
        assert (judgment.rt_ms is not None) == (judgment.question == 0)


def test_without_late_frames_there_are_no_flags(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    """One late frame is enough for a flag, and a busy machine has some: so many trials until one is clean. That flags
    are rare is the benchmark's to show."""
    most = 20
    slug = make_flashes(sessions, storage, trials=most, assignment__practice=0)
    ada = sittings.participant()
    ada.agree(slug)
    ada.page.get_by_role("button", name="Start").click()
    for _ in range(most - 1):
        answer(ada)
        ada.await_flash(1)  # of the next trial: the answers before it are on their way
        if any(timing["flags"] == [] for timing in timings(stored(sessions, slug))):
            return
    pytest.fail(f"every one of {most - 1} trials was flagged")


def assert_log_is_sound(timing: dict[str, Any]) -> None:
    intervals, frame = timing["intervals"], timing["frame_interval_ms"]
    assert [interval["shows"] for interval in intervals] == ["fixation", *["image", "blank"] * 3, "image"]
    requested = [FIXATION_MS, *[STIMULUS_MS, GAP_MS] * 3, STIMULUS_MS]
    assert [interval["requested_ms"] for interval in intervals] == requested
    assert all(interval["off_ms"] == after["on_ms"] for interval, after in pairwise(intervals))
    for interval in intervals:
        lasted = interval["off_ms"] - interval["on_ms"]
        assert lasted >= interval["requested_ms"] - frame / 2 - 1
        assert interval["late_frames"] or lasted <= interval["requested_ms"] + frame + 1, interval
        assert interval["frames"] >= 1
    if "late" in timing["flags"] or "duration" in timing["flags"]:
        # The frame after the last image belongs to no interval, and may be the late one.
        assert sum(interval["late_frames"] for interval in intervals) or timing["flags"] == ["late"]
    assert not timing["hidden"]
    assert (timing["image"], timing["shown"], timing["scale"]) == ([32, 32], [32, 32], 1)
    gone = intervals[-1]["off_ms"]
    for question in timing["questions"]:
        assert gone < question["onset_ms"] < question["answerable_ms"] <= question["answered_ms"]
        assert question["rt_ms"] == pytest.approx(question["answered_ms"] - question["answerable_ms"])
        gone = question["onset_ms"]


def test_work_of_60_ms_in_between_is_flagged(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_flashes(sessions, storage, trials=1, assignment__practice=0)
    ada = sittings.participant()
    ada.agree(slug)
    expect(ada.page.get_by_role("heading", name="Ready?")).to_be_visible()
    ada.page.evaluate(_JANK)
    go_on(ada.page, "Ready?", by="Start")
    answer(ada)
    ada.completion_code()
    [timing] = timings(stored(sessions, slug))
    assert "late" in timing["flags"]
    assert sum(interval["late_frames"] for interval in timing["intervals"]) >= 4
    assert_log_is_sound(timing)


def test_interrupted_flashes_are_no_vote_and_come_again(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    """Hidden, covered by the instructions, resized: each in the middle of a flash."""
    slug = make_flashes(sessions, storage, trials=4, assignment__practice=0)
    ada = sittings.participant()
    page = ada.page
    ada.agree(slug)
    # Nor does anything flash that would not fit.
    page.set_viewport_size({"width": 1280, "height": 400})
    go_on(page, "Ready?", by="Start")
    expect(page.get_by_role("heading", name="This window is too small")).to_be_visible()
    expect(page.get_by_role("button", name="Go on")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(page.locator(".flashes img")).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.get_by_text("That is enough")).to_be_visible()
    go_on(page, "This window is too small")

    ada.await_flash(2)
    page.evaluate(_HIDE)
    go_on(page, "Interrupted")
    ada.await_flash(1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Instructions")).to_be_visible()
    page.keyboard.press("s")
    page.get_by_role("button", name="Back to the images").click()
    go_on(page, "Interrupted")
    ada.await_flash(3)
    page.set_viewport_size({"width": 1300, "height": 800})
    go_on(page, "Interrupted")
    expect(page.locator("#progress-count")).to_have_text("Trial 1 of 4")
    ada.await_flash(4)
    assert stored(sessions, slug) == []
    assert stored_aborts(sessions, slug) == [(1, "hidden"), (1, "hidden"), (1, "resize")]
    for _ in range(4):
        answer(ada)
    ada.completion_code()
    judgments = stored(sessions, slug)
    assert [judgment.choice for judgment in judgments] == [0, 1] * 4
    assert len({judgment.trial for judgment in judgments}) == 4
    assert not any(timing["hidden"] for timing in timings(judgments))


def test_by_touch_where_the_study_allows_it(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_flashes(
        sessions, storage, trials=1, screening__touch=True, screening__min_width=360, screening__min_height=480
    )
    ada = sittings.participant(**PHONE)
    ada.agree(slug)
    ada.page.get_by_role("button", name="Start").tap()
    for practice in (True, False):
        for question, button in ((FIRST, "Different"), (SECOND, "Same")):
            ada.await_question(question)
            assert ada.page.evaluate("document.documentElement.scrollWidth") == 375
            ada.page.get_by_role("button", name=button).tap()
        if practice:
            ada.page.get_by_role("button", name="Continue").tap()
    ada.completion_code()
    judgments = stored(sessions, slug)
    assert [judgment.choice for judgment in judgments] == [1, 0, 1, 0]
    assert {question["input"] for timing in timings(judgments) for question in timing["questions"]} == {"touch"}


def test_every_state_is_accessible_on_the_same_grey(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage, axe: str
) -> None:
    slug = make_flashes(sessions, storage, trials=1, contact='"Ada, ada@example.org"')
    ada = sittings.participant(**DESKTOP, color_scheme="dark")
    page = ada.page
    ada.agree(slug)
    expect(page.get_by_role("heading", name="Ready?")).to_be_visible()
    assert_accessible(page, axe)
    page.keyboard.press("Enter")
    ada.await_flash(1)
    assert_neutral(page)
    ada.await_question(FIRST)
    assert_accessible(page, axe)
    assert_neutral(page)
    page.keyboard.press("s")
    ada.await_question(SECOND)
    page.keyboard.press("s")
    page.locator("#feedback-text").filter(visible=True).wait_for()
    assert_accessible(page, axe)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_text("ada@example.org")).to_be_visible()
