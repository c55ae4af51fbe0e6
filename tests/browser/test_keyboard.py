"""The dashboard by somebody who has no mouse: everything from signing in to signing out."""

import re
from pathlib import Path

from playwright.sync_api import expect

from app.db import Sessions
from app.keys import Keys
from app.services import study_lookup
from app.services.exports import requests
from app.settings import Settings
from app.storage import LocalStorage
from tests.browser.conftest import Sittings
from tests.support.assignments import sit
from tests.support.browser.dashboard import WIDE, import_what_waits, open_page, press, sign_in
from tests.support.browser.keyboard import Keyboard
from tests.support.dashboard import PASSWORD, make_account
from tests.support.factories import make_slug, make_study

TYPED = {"Items you plan": "24", "Rounds": "3", "Votes an item needs to be kept": "3", "Trials": "8",
         "Practice trials": "2", "Sentinels": "4"}  # fmt: skip


def test_a_study_without_a_mouse(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage, keys: Keys, settings: Settings, nights: Path
) -> None:
    page, slug = open_page(sittings, **WIDE, reduced_motion="reduce"), make_slug()
    hands = Keyboard(page)
    page.goto("/admin")
    hands.type(page.get_by_label("E-mail address"), make_account(sessions, is_site_owner=True))
    hands.type(page.get_by_label("Password"), PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies", level=1)).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    hands.follow("New study")
    hands.type(page.get_by_label("Name", exact=True), slug)
    for label, value in TYPED.items():
        hands.type(page.get_by_label(label, exact=True), value)
    expect(page.locator("#outlook")).to_contain_text("14 trials")
    expect(page.get_by_label("Sentinels", exact=True)).to_be_focused()  # what changed beside it took nothing away
    failing = page.get_by_label("When sentinels fail")
    hands.operate(failing, "ArrowDown")
    expect(failing).to_have_value("propose")
    hands.follow("Make the study")

    archive = page.get_by_label("A ZIP file")
    hands.go_to(archive)
    archive.set_input_files(nights)
    hands.operate(page.get_by_label("Convert unsupported images"), "Space")
    hands.follow("Import")
    expect(page.get_by_text("Waiting for a worker to import nights.zip.")).to_be_visible()
    import_what_waits(sessions, storage, settings, slug)
    expect(page.get_by_text("24 items of nights.zip in the pool")).to_be_visible()
    hands.follow("Preview")
    expect(page.get_by_text("A preview: this is what participants read.")).to_be_visible()
    page.go_back()
    hands.follow("Open the study")
    hands.follow("Open the study")

    chart = page.locator(".chart").first
    hands.go_to(chart)
    expect(chart.locator(".vega-embed svg")).to_be_visible()
    with page.expect_download() as saved:
        hands.follow("Save as SVG")
    assert saved.value.suggested_filename == f"{slug}-survivors.svg"
    rows = page.get_by_role("group", name="Rounds")
    hands.go_to(rows)
    sit(sessions, keys, slug, "ada", lambda _: 0)
    with page.expect_response("**/live"):
        pass
    expect(rows).to_contain_text("16")
    expect(rows).to_be_focused()
    hands.follow("Pause")
    hands.follow("Pause the study")
    expect(page.get_by_text("The study is paused: nobody new can start.")).to_be_visible()

    press(page, "2")
    page.wait_for_url("**/items")
    press(page, "/")
    page.keyboard.press("ArrowDown")
    hands.follow("Show")
    page.wait_for_url("**/items?fate=surviving*")
    for _ in range(3):
        press(page, "j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Votes")).to_be_visible()
    press(page, "k")
    expect(page.get_by_role("heading", name="Item", level=2)).to_be_visible()
    press(page, "u")
    page.wait_for_url("**/items")

    press(page, "3")
    page.wait_for_url("**/assignments")
    press(page, "j")
    page.keyboard.press("Enter")
    hands.follow("Exclude")
    hands.type(page.get_by_label("Reason"), "looks at nothing")
    page.keyboard.press("Enter")
    hands.follow("Undo the exclusion")
    expect(page.get_by_text("counts again")).to_be_visible()

    press(page, "4")
    hands.operate(page.get_by_label("Kept items only"), "Space")
    hands.follow("Export")
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    with sessions() as session:
        (asked,) = requests.of_study(session, study_lookup.by_slug(session, slug))
    requests.run(sessions, storage, folder=settings.exports, request_id=asked.id)
    hands.go_to(page.get_by_role("button", name="Download ZIP"))
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".zip")

    press(page, "7")
    hands.type(page.get_by_label("E-mail address"), "eve@example.org")
    hands.operate(page.get_by_label("Role", exact=True), "ArrowDown")
    hands.follow("Make the link")
    expect(page.get_by_text("The invitation's link")).to_be_visible()
    press(page, "?")
    expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    hands.follow("Sign out")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_focus_goes_on_where_more_items_come(sittings: Sittings, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=60)
    page = open_page(sittings, **WIDE)
    sign_in(page, make_account(sessions, is_site_owner=True))
    page.goto(f"/admin/studies/{slug}/items")
    Keyboard(page).go_to(page.get_by_role("link", name=re.compile("^Item 47 ")))
    page.keyboard.press("Tab")  # at the link to more items, which gives way to them
    expect(page.get_by_role("link", name=re.compile("^Item 48 "))).to_be_focused()
