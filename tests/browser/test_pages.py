"""The participant's pages around the trials, and what holds for all of them."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import text

from app.db import Sessions
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.browser.conftest import DESKTOP, PHONE, Sittings
from tests.support.browser.participant import stored_assignments, stored_trials
from tests.support.factories import make_study

SMALL: dict[str, Any] = {
    "assignment__trials": 2,
    "assignment__practice": 1,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}


def assert_accessible(page: Page, axe: str) -> None:
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
    serious = [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == [], page.url


@pytest.mark.parametrize(("device", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_every_page_is_accessible(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage, axe: str, theme: str, device: dict[str, Any]
) -> None:
    study = make_study(sessions, storage, items=6, ethics='"Approved by the board, ref. 7"', **SMALL)
    ada = sittings.participant(**device, color_scheme=theme)
    page = ada.page
    page.goto(f"/studies/{study}?participant=ada")
    assert_accessible(page, axe)
    ada.start(study)
    assert_accessible(page, axe)
    ada.press("left")
    page.locator("#feedback-text").filter(visible=True).wait_for()
    assert_accessible(page, axe)
    page.keyboard.press("Enter")
    ada.await_trial(2)
    for dialog in ("Instructions", "Leave the study"):
        page.get_by_role("button", name=dialog).click()
        page.wait_for_timeout(400)  # the dialog fades in
        assert_accessible(page, axe)
        page.keyboard.press("Escape")
    ada.press("left")
    ada.await_trial(3)
    ada.press("left")
    ada.completion_code()
    assert_accessible(page, axe)
    page.reload()
    assert_accessible(page, axe)
    for nowhere in ("/", "/studies/nowhere", "/assignments/nowhere"):
        page.goto(nowhere)
        assert_accessible(page, axe)
    sittings.forgive("status of 404")


def test_the_surround_is_one_neutral_grey_whatever_the_theme(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage, items=6, **SMALL)
    surrounds = []
    for theme in ("light", "dark"):
        ada = sittings.participant(**DESKTOP, color_scheme=theme)
        ada.start(study, name=theme)
        surrounds.append(assert_neutral(ada.page))
    light, dark = surrounds
    assert light == dark


def assert_neutral(page: Page) -> list[list[str]]:
    """The surround is the middle grey and nothing on it has a colour; returns the style of every element."""
    styles: list[list[str]] = page.evaluate(
        """() => [...document.querySelectorAll('html, body, #stage, #stage *')].map((element) => {
          const { backgroundColor, color, borderColor, outlineColor } = getComputedStyle(element);
          return [element.localName, backgroundColor, color, borderColor, outlineColor];
        })"""
    )
    assert styles[0][:2] == ["html", "rgb(128, 128, 128)"]
    for colour in {colour for _, *style in styles for value in style for colour in re.findall(r"rgba?\(.*?\)", value)}:
        red, green, blue, *_ = re.findall(r"\d+", colour)
        assert red == green == blue, colour
    return styles


def test_declining_stores_nothing(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(sessions, storage, items=6, **SMALL)
    before = rows_about_people(sessions)
    page = sittings.participant().page
    page.goto(f"/studies/{study}?participant=ada")
    page.get_by_role("button", name="No, thank you").click()
    expect(page.get_by_text("Nothing was stored")).to_be_visible()
    assert rows_about_people(sessions) == before


def rows_about_people(sessions: Sessions) -> list[int]:
    with sessions() as session:
        return [
            session.scalars(text(f"SELECT count(*) FROM {table}")).one()
            for table in ("participants", "identities", "assignments", "trials", "judgments")
        ]


def test_whoever_comes_at_a_bad_moment_tries_again_with_one_click(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage, items=6, **SMALL)
    ada = sittings.participant()
    page = ada.page
    page.goto(f"/studies/{study}?participant=ada")
    with sessions.begin() as session:
        lifecycle.pause(session, slug=study)
    page.get_by_role("button", name="I agree and want to start").click()
    expect(page.get_by_text("This study is paused")).to_be_visible()
    again = page.get_by_role("button", name="Try again")
    again.click()
    expect(page.get_by_text("This study is paused")).to_be_visible()
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=study)
    again.click()
    ada.await_trial(1)
    sittings.forgive("status of 409")


def test_the_page_of_a_paused_study_is_tried_again_with_its_query(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage, items=6, **SMALL)
    with sessions.begin() as session:
        lifecycle.pause(session, slug=study)
    page = sittings.participant().page
    page.goto(f"/studies/{study}?participant=ada%2Bbob")
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=study)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("input[name=participant]")).to_have_value("ada+bob")
    sittings.forgive("status of 409")


def test_a_closed_study_says_so_kindly(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(sessions, storage, items=6, **SMALL)
    with sessions.begin() as session:
        lifecycle.close(session, slug=study)
    page = sittings.participant().page
    response = page.goto(f"/studies/{study}?participant=ada")
    assert response is not None
    assert response.status == 410
    expect(page.get_by_role("heading", name="This study has ended")).to_be_visible()
    expect(page.get_by_text("Thank you for your interest")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    sittings.forgive("status of 410")


def test_the_study_speaks_its_language(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(
        sessions, storage, items=6, language='"de"', question='"Welches Bild ähnelt dem mittleren mehr?"', **SMALL
    )
    ada = sittings.participant()
    ada.start(study)
    expect(ada.page.locator("html")).to_have_attribute("lang", "de")
    expect(ada.page.get_by_role("heading", name="Welches Bild ähnelt dem mittleren mehr?")).to_have_attribute(
        "lang", "de"
    )
    expect(ada.page.locator("body")).to_have_attribute("lang", "en")


def test_a_phone_is_sent_to_a_computer_kindly(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage, axe: str
) -> None:
    study = make_study(sessions, storage, items=6, screening__touch=False, **SMALL)
    page = sittings.participant(**PHONE, color_scheme="dark").page
    page.goto(f"/studies/{study}?participant=ada")
    expect(page.get_by_text("Please open its page on a computer")).to_be_visible()
    expect(page.get_by_role("button", name="I agree and want to start")).to_be_disabled()
    expect(page.get_by_role("button", name="No, thank you")).to_be_enabled()
    assert_accessible(page, axe)


def test_a_window_is_looked_at_again_when_it_grows(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(
        sessions, storage, items=6, screening__min_width=900, screening__min_refresh_hz=1, contact='"Ada"', **SMALL
    )
    ada = sittings.participant(viewport={"width": 800, "height": 600})
    page = ada.page
    page.goto(f"/studies/{study}?participant=ada")
    agree = page.get_by_role("button", name="I agree and want to start")
    expect(page.get_by_text("900 × 480 pixels, and this one has 800 × 600")).to_be_visible()
    expect(agree).to_be_disabled()
    expect(page.get_by_text("Questions or problems")).to_be_visible()
    page.set_viewport_size({"width": 900, "height": 600})
    expect(page.get_by_text("This study cannot be taken here")).to_be_hidden()
    page.get_by_label("Do you see colours as most people do?").select_option("I do not know")
    with page.expect_response("**/environment"):
        agree.click()
    ada.await_trial(1)
    [(_, _, environment)] = stored_assignments(sessions, study)
    assert environment is not None
    assert environment["colour_vision"] == "unsure"
    assert (environment["viewport"], environment["fullscreen"], environment["zoom_changes"]) == ([900, 600], False, 0)


CHECK = """[{question = "How many images are there?", choices = ["Two", "Three"], answer = "Three"},
            {question = "Is there always a right answer?", choices = ["Yes", "No"], answer = "No"}]"""


def test_the_comprehension_check(sittings: Sittings, sessions: Sessions, storage: LocalStorage, axe: str) -> None:
    study = make_study(sessions, storage, items=6, check=CHECK, **SMALL)
    for name, second_try in (("ada", "No"), ("ben", "Yes")):
        somebody = sittings.participant()
        page = somebody.page
        somebody.agree(study, name=name)
        expect(page.get_by_role("heading", name="Before you start")).to_be_visible()
        page.get_by_label("Three").check()
        page.get_by_role("button", name="Go on").click()
        page.get_by_label("Yes").check()  # the browser has asked for the one that was missing
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("You have one more try")).to_be_visible()
        expect(page.locator(".is-wrong legend")).to_have_text(["Is there always a right answer?"])
        assert_accessible(page, axe)
        page.get_by_label(second_try).check()
        page.get_by_role("button", name="Go on").click()
        if second_try == "No":
            somebody.await_trial(1)
            page.reload()
            somebody.await_trial(1)
        else:
            expect(page.get_by_role("button", name="Go on")).to_have_count(0)
            expect(page.locator("#stage")).to_have_count(0)
    sittings.forgive("status of 403")


def test_the_check_cannot_be_sent_before_its_script_runs(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage, items=6, check=CHECK, **SMALL)
    ada = sittings.participant()
    held: list[Route] = []
    ada.page.route("**/js/trials/main.js*", lambda route: held.append(route))
    with ada.page.expect_request("**/js/trials/main.js*"):
        ada.agree(study, name="ada")
    go_on = ada.page.get_by_role("button", name="Go on")
    expect(go_on).to_be_disabled()
    for route in held:
        route.continue_()
    expect(go_on).to_be_enabled()


def test_a_break_after_ten_trials(sittings: Sittings, sessions: Sessions, storage: LocalStorage, axe: str) -> None:
    study = make_study(
        sessions,
        storage,
        items=12,
        assignment__break_every=10,
        **SMALL | {"assignment__trials": 11, "assignment__practice": 0},
    )
    ada = sittings.participant()
    ada.start(study)
    for number in range(1, 11):
        ada.await_trial(number)
        ada.press("left")
    expect(ada.page.get_by_role("heading", name="Time for a break")).to_be_visible()
    expect(ada.page.get_by_text("10 of 11 done")).to_be_visible()
    assert_accessible(ada.page, axe)
    ada.press("left")
    ada.page.wait_for_timeout(500)
    ada.page.keyboard.press("Enter")
    ada.await_trial(11)
    ada.press("left")
    ada.completion_code()
    last = stored_trials(sessions, study)[-1]
    assert last.rt_ms is not None
    assert last.timing is not None
    assert last.rt_ms == pytest.approx(
        float(str(last.timing["answered_ms"])) - float(str(last.timing["answerable_ms"]))
    )


def test_an_instruction_trial_says_what_to_choose(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(
        sessions, storage, items=6, assignment__instruction_trials=1, **SMALL | {"assignment__practice": 0}
    )
    ada = sittings.participant()
    ada.start(study)
    asked = []
    for number in (1, 2, 3):
        ada.await_trial(number)
        asked.append(ada.page.get_by_role("heading", level=1).filter(visible=True).inner_text())
        ada.press("right" if "right" in asked[-1] else "left")
    ada.completion_code()
    [told] = set(asked) - {"Which is more similar to the reference: the left or the right image?"}
    assert told in ("Choose the left image", "Choose the right image")
    assert asked.count(told) == 1
