"""Nothing on the dashboard is cut, and no words run into each other."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from app.db import Sessions
from app.keys import Keys
from app.services import study_lookup
from app.services.assignments import lifecycle
from app.services.assignments.exclusions import exclude_by_hand
from app.services.reports import quality_rules
from app.services.rounds import rounds
from app.storage import LocalStorage
from tests.browser.conftest import Sittings
from tests.support.assignments import answer, sign_up
from tests.support.browser.dashboard import NARROW, WIDE, open_page, sign_in
from tests.support.dashboard import make_account
from tests.support.factories import make_report, make_study

TRIALS = 250

WORDS_IN_EACH_OTHER = """chart => {
    const frame = chart.closest("figure").getBoundingClientRect();
    const words = [...chart.querySelectorAll("text")].filter((text) => text.textContent);
    const boxes = words.map((text) => text.getBoundingClientRect());
    const found = [];
    for (const [at, box] of boxes.entries()) {
        if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(words[at].textContent + " is cut");
        for (const [other, its] of boxes.slice(0, at).entries())
            if (box.left < its.right && its.left < box.right && box.top < its.bottom && its.top < box.bottom)
                found.push(words[at].textContent + " over " + words[other].textContent);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def odd(sessions: Sessions, storage: LocalStorage, keys: Keys) -> str:
    """A study with long sittings in which much is odd."""
    slug = make_study(sessions, storage, items=TRIALS, assignment__trials=TRIALS, rounds=2, min_votes=2)
    for person in range(2):
        token = sign_up(sessions, keys, slug, f"{slug}-{person}")
        answer(sessions, token, lambda trial: trial.left_candidate if trial.number else 0)
        with sessions.begin() as session:
            lifecycle.complete(session, token=token)
            rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)
            quality_rules.assess(session, assignment_id=lifecycle.by_token(session, token).id)
    make_report(sessions, slug)
    return slug


@pytest.fixture
def page(sittings: Sittings, sessions: Sessions) -> Page:
    page = open_page(sittings, **WIDE, timezone_id="America/New_York")
    sign_in(page, make_account(sessions, is_site_owner=True))
    return page


def test_the_table_of_assignments_fits_a_desktop(page: Page, odd: str) -> None:
    page.goto(f"/admin/studies/{odd}/assignments")
    expect(page.locator(".chip")).not_to_have_count(0)
    expect(page.get_by_role("cell", name=f"{TRIALS + 15} response times").first).to_be_visible()
    table = page.get_by_role("group", name="Assignments")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth")


@pytest.mark.parametrize("device", [WIDE, NARROW], ids=["wide", "narrow"])
def test_words_of_charts_stand_by_themselves(page: Page, odd: str, device: dict[str, Any]) -> None:
    page.set_viewport_size(device["viewport"])
    for tab, most in (("", 2), ("/report", 4)):
        page.goto(f"/admin/studies/{odd}{tab}")
        charts = page.locator(".chart svg.sketch, .chart .drawn > svg")
        expect(charts).to_have_count(most)
        for chart in charts.all():
            assert chart.evaluate(WORDS_IN_EACH_OTHER) == []


def test_long_words_make_no_page_wider(page: Page, odd: str, sessions: Sessions) -> None:
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, odd).id
        session.execute(text("UPDATE items SET prompt = repeat('y', 200), source = repeat('z', 200) "
                             "WHERE number = 1 AND study_id = :study"), {"study": study})  # fmt: skip
        first = session.scalars(text("SELECT min(id) FROM assignments WHERE study_id = :study"), {"study": study}).one()
        exclude_by_hand(session, assignment_id=first, reason="x" * 500, actor="ada@" + "example." * 12 + "org")
    for device in (WIDE, NARROW):
        page.set_viewport_size(device["viewport"])
        for part in ("", "/items", "/items/1", "/assignments", f"/assignments/{first}", "/report", "/log"):
            page.goto(f"/admin/studies/{odd}{part}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), part


def test_votes_by_the_viewers_clock(page: Page, odd: str) -> None:
    """In New York, as the other times on the page; the first one, an hour ago, has no second zone beside it."""
    page.goto(f"/admin/studies/{odd}")
    label = page.locator("[data-moment]").first
    moment = label.get_attribute("data-moment")
    local = "moment => new Date(moment).toLocaleTimeString(undefined, {timeStyle: 'short'})"
    expect(label).to_have_text(page.evaluate(local, moment))
    assert moment is not None
    assert moment.endswith("+00:00")
