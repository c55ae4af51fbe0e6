"""The dashboard in Chromium: a study from sign-in to download, every page accessible, and without script."""

import os
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from app.db import Sessions
from app.keys import Keys
from app.services import study_lookup
from app.services.exports import requests
from app.services.reports import quality_rules
from app.services.rounds import rounds
from app.settings import Settings
from app.storage import LocalStorage
from simulation.crowd import CrowdPlan, run_crowd
from tests.browser.conftest import Sittings
from tests.browser.test_pages import assert_accessible
from tests.support.browser.dashboard import (
    NARROW,
    WIDE,
    Showcase,
    import_what_waits,
    make_showcase,
    open_page,
    press,
    sign_in,
    type_password,
)  # fmt: skip
from tests.support.browser.keyboard import kept_from_the_keyboard
from tests.support.dashboard import make_account
from tests.support.factories import make_slug, make_study

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
MANY = 40
"""Of pages; fewer would mean that the route table was not read."""


class Film:
    """Screenshots of one test; where LOOKALIKE_FILM names a folder they go there, each also dark and on a phone."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        named = os.environ.get("LOOKALIKE_FILM")
        self._folder = Path(named or folder)
        self._looks = [(device, theme) for device in (WIDE, NARROW) for theme in THEMES] if named else [(WIDE, "light")]
        self._shots = 0

    def shoot(self, name: str) -> None:
        self._shots += 1
        for device, theme in self._looks:
            self._page.set_viewport_size(device["viewport"])
            self._page.emulate_media(color_scheme=theme)
            if len(self._looks) > 1:
                self._page.wait_for_timeout(500)  # until colours have changed and images have come
            file = f"{self._shots:02}-{name}-{device['viewport']['width']}-{theme}.png"
            self._page.screenshot(path=self._folder / file, full_page=True)
        self._page.set_viewport_size(WIDE["viewport"])
        self._page.emulate_media(color_scheme="light")


def test_a_study_from_sign_in_to_download(
    sittings: Sittings,
    sessions: Sessions,
    storage: LocalStorage,
    settings: Settings,
    live_server: str,
    nights: Path,
    tmp_path: Path,
) -> None:
    slug = make_slug()
    page = open_page(sittings, **WIDE)
    film = Film(page, tmp_path)
    sign_in(page, make_account(sessions, is_site_owner=True))
    film.shoot("studies")
    page.get_by_role("button", name="New study").click()
    page.get_by_label("Name", exact=True).fill("Not a name")
    expect(page.locator("#problem-slug")).to_contain_text(
        "cannot name a study: use 1–63 lower-case letters, digits and inner hyphens."
    )
    page.get_by_label("Name", exact=True).fill(slug)
    expect(page.locator("#problem-slug")).to_have_text("")
    for label, value in {"Items you plan": "24", "Rounds": "3", "Votes an item needs to be kept": "3", "Trials": "8",
                         "Practice trials": "2", "Sentinels": "4", "Reward for a sitting": "60",
                         "Answers to judge by": "5"}.items():  # fmt: skip
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("When sentinels fail").select_option("propose")
    expect(page.locator("#outlook")).to_contain_text("less than the £9.00 an hour")
    film.shoot("new-study")
    page.get_by_role("button", name="Make the study").click()

    page.get_by_label("A ZIP file").set_input_files(nights)
    film.shoot("draft")
    page.get_by_role("button", name="Import").click(no_wait_after=True)
    expect(page.get_by_text("Waiting for a worker to import nights.zip.")).to_be_visible(timeout=60_000)
    import_what_waits(sessions, storage, settings, slug)
    expect(page.get_by_text("24 items of nights.zip in the pool")).to_be_visible()
    page.get_by_role("button", name="Open the study").click()
    film.shoot("open")
    page.get_by_role("button", name="Open the study").click()
    votes = page.locator(".figures div").filter(has=page.get_by_text("Votes", exact=True)).locator("dd")
    expect(votes).to_contain_text("0")
    expect(page.locator(".chart svg.sketch").first).to_be_visible()
    page.locator(".chart").first.hover()
    expect(page.locator(".chart .vega-embed svg").first).to_be_visible()

    def judge(people: int, **crowd: Any) -> None:
        plan = CrowdPlan(slug=slug, participants=people, concurrency=3, answers="recorded", **crowd)
        run_crowd(live_server, sessions, plan)
        with sessions.begin() as session:
            rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)
            for assignment_id in quality_rules.unassessed_ids(session):
                quality_rules.assess(session, assignment_id=assignment_id)

    judge(1, mix={"fast-forward": 1.0}, seed=9)
    judge(2, seed=3)
    expect(votes).to_contain_text("24", timeout=10_000)  # by itself, without a reload
    expect(page.locator("#rounds")).to_contain_text("under way")
    film.shoot("live")

    page.get_by_role("link", name="Assignments").click()
    bad = page.get_by_role("row").filter(has=page.get_by_text("fast answers"))
    expect(bad).to_have_count(1)
    film.shoot("assignments")
    bad.get_by_role("link").first.click()
    film.shoot("assignment")
    page.get_by_role("button", name="Exclude").click()
    film.shoot("exclude")
    page.get_by_label("Reason").fill("looks at nothing")
    page.get_by_role("button", name="Exclude").click()
    expect(page.get_by_text("You can reinstate it at any time.")).to_be_visible()
    page.get_by_role("button", name="Undo the exclusion").click()
    expect(page.get_by_text("counts again")).to_be_visible()
    page.get_by_role("button", name="Exclude").click()
    page.get_by_label("Reason").fill("looks at nothing, after all")
    page.keyboard.press("Enter")
    expect(page.locator(".status", has_text="excluded")).to_be_visible()
    film.shoot("excluded")

    press(page, "2")
    page.wait_for_url("**/items")
    film.shoot("items")
    for _ in range(6):
        press(page, "j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Votes")).to_be_visible()
    film.shoot("item")
    page.wait_for_load_state()
    after = page.locator("a[rel=next]").get_attribute("href")
    press(page, "j")
    page.wait_for_url(f"**{after}")
    press(page, "?")
    expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    film.shoot("keys")
    page.keyboard.press("Escape")

    page.get_by_role("link", name="Data").click()
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    with sessions() as session:
        (asked,) = requests.of_study(session, study_lookup.by_slug(session, slug))
    requests.run(sessions, storage, folder=settings.exports, request_id=asked.id)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    film.shoot("data")
    download.value.save_as(tmp_path / "export.zip")
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        assert archive.testzip() is None
    page.get_by_role("link", name="Log").click()
    expect(page.get_by_text("excluded the assignment")).to_have_count(2)
    film.shoot("log")


@pytest.fixture(scope="module")
def showcase(sessions: Sessions, storage: LocalStorage, keys: Keys, settings: Settings) -> Showcase:
    return make_showcase(sessions, storage, keys, settings)


@pytest.mark.parametrize(("device", "theme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide", "narrow"])
def test_every_page_is_accessible(
    sittings: Sittings, sessions: Sessions, showcase: Showcase, axe: str, device: dict[str, Any], theme: str
) -> None:
    """To whoever uses a screen reader, or the keyboard alone; and whoever sees it need not scroll sideways."""
    page = open_page(sittings, **device, color_scheme=theme, reduced_motion="reduce")

    def check() -> None:
        for chart in page.locator(".chart").all():
            chart.focus()
            expect(chart.locator(".vega-embed svg")).to_be_visible()
        assert_accessible(page, axe)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} is too wide"
        if device is WIDE:  # on the other the same controls stand in the same order
            assert kept_from_the_keyboard(page) == {}, page.url

    page.goto("/admin/sign-in")
    check()
    page.goto(showcase.invitation)
    check()
    type_password(page, showcase.careful)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    check()
    page.context.clear_cookies()
    sign_in(page, make_account(sessions, is_site_owner=True))
    pages = dict.fromkeys(found for url in showcase.addresses() if (found := page_at(page, url)))
    assert len(pages) >= MANY
    for url in pages:
        page.goto(url)
        check()
    for url, button in {"/admin/new": "Make the study", "/admin/account": "Set it up"}.items():
        page.goto(url)
        page.get_by_role("button", name=button).click()
        page.wait_for_load_state()
        check()
    sittings.forgive("the server responded with a status of 4")


def page_at(page: Page, url: str) -> str | None:
    """Where the page is that one gets to; None for a file, a picture, or a part of a page."""
    response = page.request.get(url, headers={"Accept": "text/html"})
    is_page = response.text().startswith("<!doctype html>") and "content-disposition" not in response.headers
    return response.url if is_page else None


def test_pages_can_be_read_and_used_without_script(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage
) -> None:
    slug = make_study(sessions, storage, items=60)
    page = open_page(sittings, **WIDE, java_script_enabled=False)
    sign_in(page, make_account(sessions, is_site_owner=True))
    page.goto(f"/admin/studies/{slug}/items")
    page.get_by_role("link", name="More items").click()
    expect(page.get_by_role("link", name=re.compile("^Item 59 "))).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("of 60 items")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Pause the study").click()
    expect(page.get_by_text("The study is paused: nobody new can start.")).to_be_visible()
