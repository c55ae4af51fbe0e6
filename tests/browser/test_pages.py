"""The participant's pages around the trials, and what holds for all of them."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from app.db import Sessions
from app.services import studies
from app.storage import LocalStorage
from tests.browser.conftest import DESKTOP, PHONE, Sittings
from tests.factories import make_study

SMALL: dict[str, Any] = {
    "assignment__trials": 2,
    "assignment__practice": 1,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}


def assert_accessible(page: Page, axe: str) -> None:
    page.evaluate(axe)
    violations: list[dict[str, Any]] = page.evaluate("() => axe.run().then((found) => found.violations)")
    serious = [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in violations
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
        surrounds.append(
            ada.page.evaluate(
                """() => [...document.querySelectorAll('html, body, #stage, #stage *')].map((element) => {
                  const { backgroundColor, color, borderColor, outlineColor } = getComputedStyle(element);
                  return [element.localName, backgroundColor, color, borderColor, outlineColor];
                })"""
            )
        )
        background = ada.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert background == "rgb(128, 128, 128)"
    light, dark = surrounds
    assert light == dark
    colours = {colour for _, *style in light for colour in style if colour.startswith("rgb")}
    for colour in colours:
        red, green, blue = [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        assert red == green == blue, colour


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
        studies.pause(session, slug=study)
    page.get_by_role("button", name="I agree and want to start").click()
    expect(page.get_by_text("This study is paused")).to_be_visible()
    again = page.get_by_role("button", name="Try again")
    again.click()
    expect(page.get_by_text("This study is paused")).to_be_visible()
    with sessions.begin() as session:
        studies.open_study(session, slug=study)
    again.click()
    ada.await_trial(1)
    sittings.forgive("status of 409")


def test_the_page_of_a_paused_study_is_tried_again_with_its_query(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage, items=6, **SMALL)
    with sessions.begin() as session:
        studies.pause(session, slug=study)
    page = sittings.participant().page
    page.goto(f"/studies/{study}?participant=ada%2Bbob")
    with sessions.begin() as session:
        studies.open_study(session, slug=study)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("input[name=participant]")).to_have_value("ada+bob")
    sittings.forgive("status of 409")


def test_a_closed_study_says_so_kindly(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    study = make_study(sessions, storage, items=6, **SMALL)
    with sessions.begin() as session:
        studies.close(session, slug=study)
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
