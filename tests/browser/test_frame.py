"""The participant's page inside MTurk's frame, in a browser that blocks third-party cookies."""

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import pytest
from playwright.sync_api import BrowserContext, Frame, Page, Playwright, Request, Route, expect
from sqlalchemy import func, select

from app.db import Sessions
from app.models.assignments import Assignment
from app.models.people import Participant
from app.services import study_lookup
from app.settings import Settings
from app.storage import LocalStorage
from tests.browser.conftest import ARGUMENTS, DESKTOP, PATIENCE_MS
from tests.conftest import serving
from tests.support.browser.participant import Participant as Person
from tests.support.factories import make_study

WORKER_SITE, SUBMIT_TO = "https://worker.mturk.com", "https://www.mturk.com"
SHORT = {
    "recruiting__recruiter": "mturk",
    "pay__currency": "USD",
    "assignment__trials": 3,
    "assignment__practice": 0,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}
TASK = {"hitId": "3HIT", "turkSubmitTo": SUBMIT_TO}
_COOKIE = "() => { document.cookie = 'kept=1; SameSite=None; Secure; path=/'; return document.cookie; }"


@pytest.fixture
def embedded(settings: Settings) -> Iterator[str]:
    """A server that MTurk's sites may frame."""
    deployed = Settings(
        LOOKALIKE_HOME=settings.home, DATABASE_URL=settings.database_url, MTURK_ENDPOINT_URL="http://127.0.0.1:9"
    )
    with serving(deployed) as url:
        yield url


@pytest.fixture
def strict_browser(playwright: Playwright, tmp_path: Path) -> Iterator[BrowserContext]:
    """A person's browser, set to block third-party cookies."""
    preferences = tmp_path / "Default" / "Preferences"
    preferences.parent.mkdir()
    blocking = {"profile": {"cookie_controls_mode": 1, "block_third_party_cookies": True}}
    preferences.write_text(json.dumps(blocking))
    context = playwright.chromium.launch_persistent_context(
        tmp_path,
        executable_path=shutil.which("chromium"),
        # The sites are imitated on this machine, which a page from elsewhere may not frame.
        args=[*ARGUMENTS, "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"],
        **DESKTOP,
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def open_task(browser: BrowserContext, address: str) -> tuple[Page, Frame]:
    """MTurk's page with ours in its sandboxed frame."""
    page = browser.new_page()
    frame = (
        '<iframe name="task" width="1000" height="700" '
        f'sandbox="allow-scripts allow-same-origin allow-forms" src="{address.replace("&", "&amp;")}"></iframe>'
    )
    page.route(f"{WORKER_SITE}/**", lambda route: route.fulfill(content_type="text/html", body=frame))
    page.goto(f"{WORKER_SITE}/projects/task")
    task = page.frame("task")
    assert task is not None
    return page, task


def counts(sessions: Sessions, slug: str) -> tuple[int, int]:
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        sittings = session.scalars(select(func.count()).where(Assignment.study_id == study.id)).one()
        return sittings, session.scalars(select(func.count()).select_from(Participant)).one()


def test_a_task_in_a_frame_without_cookies(
    strict_browser: BrowserContext, embedded: str, sessions: Sessions, storage: LocalStorage
) -> None:
    slug = make_study(sessions, storage, items=8, **SHORT)
    worker, before = f"A{secrets.token_hex(6).upper()}", counts(sessions, slug)
    study = f"{embedded}/studies/{slug}"

    preview = urlencode(TASK | {"assignmentId": "ASSIGNMENT_ID_NOT_AVAILABLE"})
    page, task = open_task(strict_browser, f"{study}?{preview}")
    expect(task.get_by_text("accept the task")).to_be_visible()
    expect(task.get_by_role("button")).to_have_count(0)
    assert counts(sessions, slug) == before, "a preview creates nothing"
    page.close()

    page, task = open_task(strict_browser, f"{study}?{urlencode(TASK | {'assignmentId': '3ABC', 'workerId': worker})}")
    handed_in: list[Request] = []

    def receive(route: Route) -> None:
        handed_in.append(route.request)
        route.fulfill(content_type="text/html", body="<h1>Handed in</h1>")

    page.route(f"{SUBMIT_TO}/**", receive)
    task.get_by_role("button", name="I agree and want to start").click()
    person = Person(task)
    for number in (1, 2, 3):
        person.await_trial(number)
        assert task.evaluate(_COOKIE) == "", "this browser really keeps no cookie for a third party"
        if number == 2:
            task.goto(task.url)  # reloaded, it goes on where it was, by the token in its address
            person.await_trial(number)
        person.click("left")
    expect(task.get_by_role("heading", name="Handed in")).to_be_visible()
    (form,) = handed_in
    assert (form.method, form.url) == ("POST", f"{SUBMIT_TO}/mturk/externalSubmit")
    assert form.post_data is not None
    assert parse_qs(form.post_data)["assignmentId"] == ["3ABC"]
    assert strict_browser.cookies() == []
    page.goto(study + "?" + preview)
    assert page.evaluate(_COOKIE) == "kept=1", "on its own it would"
    assert counts(sessions, slug) == (1, before[1] + 1)


def test_nobody_else_may_frame_it(
    strict_browser: BrowserContext, embedded: str, sessions: Sessions, storage: LocalStorage
) -> None:
    slug = make_study(sessions, storage, items=8, **SHORT)
    page = strict_browser.new_page()
    body = f'<iframe name="task" src="{embedded}/studies/{slug}"></iframe>'
    page.route("https://evil.example/**", lambda route: route.fulfill(content_type="text/html", body=body))
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.goto("https://evil.example/")
