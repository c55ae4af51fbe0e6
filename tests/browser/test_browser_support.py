"""Browsers that lack something: they work without it, or nobody can agree in them, and they are told why."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.db import Sessions
from app.storage import LocalStorage
from tests.browser.conftest import PATIENCE_MS, Sittings
from tests.support.factories import make_study

STATIC = Path(__file__).parents[2] / "static"
AGREE = "I agree and want to start"
SMALL = {
    "assignment__trials": 2,
    "assignment__practice": 1,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}
# In Safari since 15.4 to 17.4, in Firefox since 90 to 124, in Chrome since 92 to 122; or on HTTPS alone.
YOUNG = [
    "AbortSignal.timeout", "AbortSignal.any", "Array.prototype.at", "Array.prototype.findLast", "Object.groupBy",
    "Array.prototype.toSorted", "Object.hasOwn", "structuredClone", "Promise.withResolvers", "crypto.randomUUID",
    "navigator.clipboard", "indexedDB", "localStorage", "OffscreenCanvas", "IDBTransaction.prototype.commit",
]  # fmt: skip


def needed() -> list[str]:
    """The functions that the page asks for."""
    source = (STATIC / "js/browser_support.js").read_text("utf-8")
    return re.findall(r"^  '([\w.]+)',$", source, re.MULTILINE)


def delete(*paths: str) -> str:
    """A script that takes functions away before the page's own run."""
    return "".join(
        f"Object.defineProperty({owner or 'window'}, '{name}', {{ value: undefined }});"
        for owner, _, name in (path.rpartition(".") for path in paths)
    )


@pytest.fixture
def study(sessions: Sessions, storage: LocalStorage) -> str:
    return make_study(sessions, storage, items=6, **SMALL)


def test_what_is_young_is_not_needed(sittings: Sittings, study: str) -> None:
    ada = sittings.participant()
    ada.page.add_init_script(delete(*YOUNG))
    ada.start(study)
    ada.practise(1)
    for number in (2, 3):
        ada.await_trial(number)
        ada.press("left")
    ada.completion_code()


def test_nobody_agrees_in_a_browser_that_lacks_what_is_needed(sittings: Sittings, study: str) -> None:
    page = sittings.participant().page
    page.add_init_script(
        """const names = new URLSearchParams(location.search).get('lacks').split('.');
        const name = names.pop();
        const owner = names.reduce((owner, name) => owner[name], window);
        Object.defineProperty(owner, name, { value: undefined });"""
    )
    assert len(needed()) > 10
    for path in needed():
        page.goto(f"/studies/{study}?participant=ada&lacks={path}")
        expect(page.get_by_text("This browser is too old for this study")).to_contain_text(path)
        expect(page.get_by_role("button", name=AGREE)).to_be_disabled()
        expect(page.get_by_text("This page notices by itself")).to_be_hidden()


def test_the_page_of_the_trials_says_so_too(sittings: Sittings, study: str) -> None:
    ada = sittings.participant()
    ada.start(study)
    ada.page.add_init_script(delete("AbortController"))
    ada.page.reload()
    expect(ada.page.get_by_role("heading", name="This browser is too old")).to_be_visible()


def test_scripts_that_do_not_come(sittings: Sittings, study: str) -> None:
    ada = sittings.participant()
    ada.context.route("**/js/consent.js", lambda route: route.abort())
    ada.page.goto(f"/studies/{study}?participant=ada")
    expect(ada.page.get_by_role("button", name=AGREE)).to_be_disabled()
    expect(ada.page.get_by_text("You cannot start yet")).to_be_visible()
    ada.context.unroute("**/js/consent.js")
    ada.start(study)
    ada.context.route("**/js/trials/two_afc.js", lambda route: route.abort())
    ada.page.reload()
    expect(ada.page.get_by_role("heading", name="Something went wrong")).to_be_visible()
    ada.context.unroute("**/js/trials/two_afc.js")
    ada.page.get_by_role("button", name="Reload the page").click()
    ada.await_trial(1)
    sittings.forgive("net::ERR_FAILED")
    sittings.forgive("Failed to fetch dynamically imported module")


def test_without_javascript(chromium: Browser, live_server: str, study: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{live_server}/studies/{study}?participant=ada")
    # By its place: playwright finds no text within `noscript`.
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.locator("noscript p")).to_have_text(
        "This study needs JavaScript. Please switch it on and reload the page."
    )
    expect(page.get_by_role("button", name=AGREE)).to_be_disabled()
    context.close()
