"""Whole assignments in a real browser: every vote exactly once, for the candidate that was on the chosen side."""

import json
import math
from collections.abc import Sequence

import pytest
from playwright.sync_api import Route, expect

from app.db import Sessions
from app.storage import LocalStorage
from tests.browser.conftest import PHONE, Sittings
from tests.support.browser.participant import Participant, Side, stored_aborts, stored_assignments, stored_trials
from tests.support.factories import make_study

SIDES: list[Side] = ["left", "right", "right", "left", "right", "left", "left", "right"]


@pytest.fixture
def study(sessions: Sessions, storage: LocalStorage) -> str:
    """Two practice trials, then eight."""
    return make_study(
        sessions,
        storage,
        items=12,
        assignment__trials=6,
        assignment__practice=2,
        assignment__sentinels=2,
        assignment__sentinel_misses_allowed=1,
    )


@pytest.fixture
def short_study(sessions: Sessions, storage: LocalStorage) -> str:
    """One practice trial, then four."""
    return make_study(
        sessions,
        storage,
        items=8,
        assignment__trials=3,
        assignment__practice=1,
        assignment__sentinels=1,
        assignment__sentinel_misses_allowed=0,
    )


def assert_stored_once(sessions: Sessions, study: str, sides: Sequence[Side]) -> None:
    trials = stored_trials(sessions, study)
    assert [trial.side for trial in trials] == list(sides)
    assert all(trial.votes == 1 and not trial.suspect for trial in trials)
    assert all(trial.rt_ms is not None and 0 <= trial.rt_ms < 60_000 for trial in trials)


def assert_completed(sessions: Sessions, study: str, code: str) -> None:
    assert [(state, stored) for state, stored, _ in stored_assignments(sessions, study)] == [("completed", code)]


def stored_votes(sessions: Sessions, study: str) -> list[Side]:
    return [trial.side for trial in stored_trials(sessions, study) if trial.side]


def test_by_keyboard_alone(sittings: Sittings, sessions: Sessions, study: str) -> None:
    ada = sittings.participant()
    ada.page.goto(f"/studies/{study}?participant=ada")
    ada.page.keyboard.press("Tab")
    expect(ada.page.get_by_label("Do you see colours as most people do?")).to_be_focused()
    ada.page.keyboard.press("Tab")
    expect(ada.page.get_by_role("button", name="I agree and want to start")).to_be_focused()
    ada.page.keyboard.press("Enter")
    counts = []
    ada.await_trial(1)
    counts.append(ada.page.locator("#progress-count").inner_text())
    ada.press("left")
    first = ada.read_feedback()
    ada.await_trial(2)
    counts.append(ada.page.locator("#progress-count").inner_text())
    ada.press("left")
    second = ada.read_feedback()
    keys = ["ArrowLeft", "ArrowRight", "j", "f", "J", "F", "ArrowLeft", "ArrowRight"]
    shown = []
    for number, (side, key) in enumerate(zip(SIDES, keys, strict=True), start=3):
        ada.await_trial(number)
        counts.append(ada.page.locator("#progress-count").inner_text())
        shown.append(ada.mean_colours())
        ada.press(side, key=key)
    code = ada.completion_code()

    assert counts == ["Practice 1 of 2", "Practice 2 of 2", *(f"Trial {number} of 8" for number in range(1, 9))]
    assert_completed(sessions, study, code)
    assert_stored_once(sessions, study, ["left", "left", *SIDES])
    trials = stored_trials(sessions, study)
    assert [trial.input for trial in trials[2:]] == keys
    for colours, trial in zip(shown, trials[2:], strict=True):
        assert math.dist(colours["left"], trial.left_colour) < math.dist(colours["left"], trial.right_colour)
        assert math.dist(colours["right"], trial.right_colour) < math.dist(colours["right"], trial.left_colour)
    for told, trial in zip((first, second), trials[:2], strict=True):
        assert told in ("That is right.", "Not quite: the right image is the more similar one."), trial
    for trial in trials:
        assert trial.timing is not None
        assert trial.timing["viewport"] == [1280, 800]
        assert trial.timing["hidden"] is False

    ada.page.reload()
    assert ada.completion_code() == code
    # The link once more: no consent as if nothing had been.
    ada.page.goto(f"/studies/{study}?participant=ada")
    assert ada.completion_code() == code


def test_by_touch_at_375_pixels(sittings: Sittings, sessions: Sessions, study: str) -> None:
    ada = sittings.participant(**PHONE)
    page = ada.page
    page.goto(f"/studies/{study}?participant=ada")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    page.get_by_role("button", name="I agree and want to start").tap()
    for number, side in enumerate(["left", "left", *SIDES], start=1):
        ada.await_trial(number)
        assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
            375,
            667,
        ]
        ada.tap("left" if side == "left" else "right")
        if number <= 2:
            page.get_by_role("button", name="Continue").tap()
    code = ada.completion_code()
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert_completed(sessions, study, code)
    assert_stored_once(sessions, study, ["left", "left", *SIDES])
    assert {trial.input for trial in stored_trials(sessions, study)} == {"touch"}


def test_a_reload_in_the_middle_with_answers_unsent(sittings: Sittings, sessions: Sessions, study: str) -> None:
    ada = sittings.participant()
    ada.start(study)
    ada.practise(2)
    ada.context.route("**/judgments", lambda route: route.abort())
    for number, side in enumerate(SIDES[:3], start=3):
        ada.await_trial(number)
        ada.click(side)
    ada.await_trial(6)
    ada.page.reload()
    ada.await_trial(6)
    assert stored_votes(sessions, study) == ["left", "left"]
    ada.context.unroute("**/judgments")
    for number, side in enumerate(SIDES[3:], start=6):
        ada.await_trial(number)
        ada.click(side)
    assert_completed(sessions, study, ada.completion_code())
    assert_stored_once(sessions, study, ["left", "left", *SIDES])
    assert ada.page.evaluate("localStorage.length") == 0
    sittings.forgive("net::ERR_FAILED")


def test_the_network_away_for_ten_seconds(sittings: Sittings, sessions: Sessions, study: str) -> None:
    ada = sittings.participant()
    ada.start(study)
    ada.practise(2)
    ada.await_trial(3)
    ada.context.set_offline(True)
    # The next three are there already; the one after them has to wait for the network.
    for number, side in enumerate(SIDES[:4], start=3):
        ada.await_trial(number)
        ada.press(side)
    notice = ada.page.locator("#notice")
    expect(notice).to_have_text("You are offline: your answers are kept and will be sent.")
    expect(ada.page.get_by_text("Loading the images…")).to_be_visible()
    ada.page.wait_for_timeout(10_000)
    assert stored_votes(sessions, study) == ["left", "left"]
    ada.context.set_offline(False)
    for number, side in enumerate(SIDES[4:], start=7):
        ada.await_trial(number)
        ada.press(side)
    assert_completed(sessions, study, ada.completion_code())
    assert_stored_once(sessions, study, ["left", "left", *SIDES])
    assert stored_aborts(sessions, study) == []
    sittings.forgive("net::ERR_INTERNET_DISCONNECTED")


def test_a_second_tab_changes_nothing_that_was_answered(
    sittings: Sittings, sessions: Sessions, short_study: str
) -> None:
    ada = sittings.participant()
    ada.start(short_study)
    ada.practise(1)
    other = Participant(sittings.new_page(ada.context))
    other.page.goto(ada.page.url)
    other.await_trial(2)
    for number, side in enumerate(SIDES[:2], start=2):
        ada.await_trial(number)
        ada.press(side)
    ada.await_trial(4)
    # The other tab still shows them. One answer is the same again, one is different and dropped.
    assert SIDES[:2] == ["left", "right"]
    for number, side in enumerate([*SIDES[:1], *SIDES[:1], *SIDES[2:4]], start=2):
        other.await_trial(number)
        other.press(side)
    code = other.completion_code()
    # And the first tab goes on as if nothing had happened.
    for number in (4, 5):
        ada.await_trial(number)
        ada.press("left")
    assert ada.completion_code() == code
    assert_completed(sessions, short_study, code)
    assert_stored_once(sessions, short_study, ["left", *SIDES[:4]])
    sittings.forgive("status of 409")


def test_one_press_is_one_vote(sittings: Sittings, sessions: Sessions, study: str) -> None:
    """A held key, two keys at once, a double click, a key with Ctrl, Space on a focused image."""
    ada = sittings.participant()
    keyboard = ada.page.keyboard
    ada.start(study)
    ada.practise(2)
    ada.await_trial(3)
    keyboard.down("ArrowLeft")
    for _ in range(30):
        keyboard.down("ArrowLeft")
    ada.await_trial(4)
    keyboard.down("ArrowLeft")
    keyboard.up("ArrowLeft")
    keyboard.down("f")
    keyboard.down("j")
    keyboard.up("f")
    keyboard.up("j")
    ada.await_trial(5)
    ada.page.get_by_role("button", name="Right image").dblclick()
    ada.await_trial(6)
    keyboard.press("Control+ArrowLeft")
    keyboard.press("x")
    ada.page.get_by_role("button", name="Leave the study").click()
    keyboard.press("ArrowLeft")
    keyboard.press("Escape")
    ada.await_trial(6)
    ada.page.get_by_role("button", name="Left image").focus()
    keyboard.press("Space")
    ada.await_trial(7)
    ada.page.get_by_role("button", name="Right image").focus()
    keyboard.press("Enter")
    ada.await_trial(8)
    assert stored_votes(sessions, study) == ["left", "left", "left", "left", "right", "left", "right"]
    inputs = [trial.input for trial in stored_trials(sessions, study)[2:7]]
    assert inputs == ["ArrowLeft", "f", "mouse", "Space", "Enter"]


# What every frame has painted, noted once it is painted.
_WATCH_FRAMES = """() => {
  window.frames_seen = [];
  const note = () => {
    const images = [...document.querySelectorAll('.triplet img')];
    window.frames_seen.push(JSON.stringify([
      document.getElementById('progress-count').textContent,
      getComputedStyle(document.querySelector('.triplet')).visibility,
      images.map((image) => image.src),
      images.map((image) => Object.values(image.getBoundingClientRect().toJSON())),
    ]));
    requestAnimationFrame(afterPaint);
  };
  const channel = new MessageChannel();
  channel.port1.onmessage = note;
  const afterPaint = () => channel.port2.postMessage(null);
  afterPaint();
}"""


def test_one_frame_shows_one_trial_and_the_next_frame_the_next(sittings: Sittings, short_study: str) -> None:
    ada = sittings.participant()
    ada.start(short_study)
    ada.practise(1)
    ada.await_trial(2)
    ada.page.evaluate(_WATCH_FRAMES)
    for number, side in enumerate(SIDES[:3], start=2):
        ada.await_trial(number)
        ada.press(side)
    ada.await_trial(5)
    frames = [json.loads(frame) for frame in dict.fromkeys(ada.page.evaluate("window.frames_seen"))]
    assert [count for count, *_ in frames] == [f"Trial {number} of 4" for number in range(1, 5)]
    assert {visibility for _, visibility, *_ in frames} == {"visible"}
    assert len({source for _, _, sources, _ in frames for source in sources}) == 4 * 3
    assert all(places == frames[0][3] for *_, places in frames)


_BLOCKED = "Object.defineProperty(window, '{}', {{get() {{ throw new DOMException('no', 'SecurityError') }}}});"


@pytest.mark.parametrize(
    "storage_faults",
    [
        _BLOCKED.format("localStorage") + _BLOCKED.format("indexedDB"),
        _BLOCKED.format("localStorage") + "IDBFactory.prototype.open = () => ({});",
    ],
    ids=["blocked", "hanging"],
)
def test_without_storage(sittings: Sittings, sessions: Sessions, short_study: str, storage_faults: str) -> None:
    ada = sittings.participant()
    ada.page.add_init_script(storage_faults)
    ada.start(short_study)
    ada.practise(1)
    for number, side in enumerate(SIDES[:4], start=2):
        ada.await_trial(number)
        ada.press(side)
    assert_completed(sessions, short_study, ada.completion_code())
    assert_stored_once(sessions, short_study, ["left", *SIDES[:4]])


def test_nonsense_in_local_storage(sittings: Sittings, sessions: Sessions, short_study: str) -> None:
    ada = sittings.participant()
    ada.start(short_study)
    kept = f"lookalike.answer.{ada.token}."
    ada.page.evaluate(
        "(kept) => { for (const [name, value] of kept) localStorage.setItem(name, value) }",
        [
            [f"{kept}1", "{"],
            [f"{kept}2", json.dumps({"trial": "2", "answers": []})],
            [f"{kept}3", json.dumps({"trial": 2**40, "answers": ["left"]})],
        ],
    )
    ada.page.reload()
    ada.practise(1)
    for number, side in enumerate(SIDES[:4], start=2):
        ada.await_trial(number)
        ada.press(side)
    assert_completed(sessions, short_study, ada.completion_code())
    assert_stored_once(sessions, short_study, ["left", *SIDES[:4]])
    sittings.forgive("status of 422")


def test_an_image_that_cannot_be_decoded_comes_again_at_the_end(
    sittings: Sittings, sessions: Sessions, study: str
) -> None:
    ada = sittings.participant()
    spoilt: list[str] = []

    def spoil(route: Route) -> None:
        trials = route.fetch().json()
        spoilt.append(trials["trials"][3]["images"]["left"])
        route.fulfill(json=trials)

    ada.context.route("**/trials", spoil)
    ada.context.route(
        "**/images/*",
        lambda route: (
            route.fulfill(content_type="image/webp", body=b"RIFF no image")
            if any(route.request.url.endswith(address) for address in spoilt)
            else route.continue_()
        ),
    )
    ada.start(study)
    ada.practise(2)
    for number, side in enumerate(SIDES, start=3):
        ada.await_trial(number)
        ada.press(side)
    assert_completed(sessions, study, ada.completion_code())
    assert_stored_once(sessions, study, ["left", "left", *SIDES])
    assert stored_aborts(sessions, study) == [(1, "decode")]


def test_leaving(sittings: Sittings, sessions: Sessions, short_study: str) -> None:
    ada = sittings.participant()
    ada.start(short_study)
    ada.practise(1)
    ada.await_trial(2)
    other = Participant(sittings.new_page(ada.context))
    other.page.goto(ada.page.url)
    other.await_trial(2)
    leave = ada.page.get_by_role("button", name="Leave the study")
    leave.click()
    ada.page.get_by_role("button", name="Stay").click()
    leave.click()
    ada.page.get_by_role("dialog").get_by_role("button", name="Leave the study").click()
    expect(ada.page.get_by_role("heading", name="You have left this study")).to_be_visible()
    assert [state for state, _, _ in stored_assignments(sessions, short_study)] == ["withdrawn"]
    other.press("left")
    expect(other.page.get_by_text("You have left this study")).to_be_visible()
    expect(other.page.locator("#stage")).to_have_count(0)
    assert stored_votes(sessions, short_study) == ["left"]
    assert other.page.evaluate("localStorage.length") == 0
    sittings.forgive("status of 410")


def test_the_environment_is_reported(sittings: Sittings, sessions: Sessions, short_study: str) -> None:
    ada = sittings.participant()
    with ada.page.expect_response("**/environment") as reported:
        ada.start(short_study)
    assert reported.value.status == 204
    [(_, _, environment)] = stored_assignments(sessions, short_study)
    assert environment is not None
    assert environment["viewport"] == [1280, 800]
    assert 20 <= float(str(environment["refresh_rate_hz"])) <= 250
