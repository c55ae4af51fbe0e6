"""Answers given offline, and the whole browser killed in the same moment: the next one sends them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright

from app.db import Sessions
from app.storage import LocalStorage
from tests.browser.conftest import ARGUMENTS, PATIENCE_MS, missing
from tests.support.browser.participant import Participant, Side, stored_trials
from tests.support.factories import make_study

KILLS: list[Side] = ["left", "right", "right"]
SHORT = {
    "assignment__trials": len(KILLS) + 1,
    "assignment__practice": 0,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}

# A busy machine may take its time to write; localStorage takes seconds in any case.
_UNTIL_KEPT = """(wanted) => new Promise((resolve) => {
  indexedDB.open('lookalike').onsuccess = ({ target: { result: database } }) => {
    const look = () => {
      const counting = database.transaction('answers').objectStore('answers').count();
      counting.onsuccess = () => (counting.result === wanted ? resolve() : setTimeout(look, 5));
    };
    look();
  };
})"""


@contextmanager
def browser_to_kill(playwright: Playwright, profile: Path) -> Iterator[tuple[Page, int]]:
    """A page of a browser with this profile, and the group of the browser's processes."""
    executable = shutil.which("chromium")
    if executable is None:
        missing("there is no Chromium to kill (apt install chromium)")
    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    flags = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [executable, *ARGUMENTS, *flags, "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
            assert process.poll() is None, "the browser did not start"
            assert time.monotonic() < deadline, "the browser does not listen"
            time.sleep(0.02)
        port = port_file.read_text().splitlines()[0]
        browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        context = browser.contexts[0]
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page(), process.pid
        browser.close()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def study(sessions: Sessions, storage: LocalStorage) -> str:
    return make_study(sessions, storage, items=8, **SHORT)


def stored_sides(sessions: Sessions, study: str) -> list[Side]:
    return [trial.side for trial in stored_trials(sessions, study) if trial.side]


def test_an_answer_given_offline_survives_the_browser(
    playwright: Playwright, sessions: Sessions, live_server: str, study: str, tmp_path: Path
) -> None:
    address = f"{live_server}/studies/{study}?participant=ada"
    for number, side in enumerate(KILLS, start=1):
        with browser_to_kill(playwright, tmp_path) as (page, group):
            ada = Participant(page)
            page.goto(address)
            if number == 1:
                page.get_by_role("button", name="I agree and want to start").click()
                ada.await_trial(1)
                address = page.url
            # What the killed one had is not asked again, and is sent.
            ada.await_trial(number)
            page.evaluate(_UNTIL_KEPT, 0)
            assert stored_sides(sessions, study) == KILLS[: number - 1]
            ada.context.set_offline(True)
            ada.press(side)
            page.evaluate(_UNTIL_KEPT, 1)
            os.killpg(group, signal.SIGKILL)
    with browser_to_kill(playwright, tmp_path) as (page, _):
        ada = Participant(page)
        page.goto(address)
        ada.await_trial(len(KILLS) + 1)
        ada.press("left")
        ada.completion_code()
    assert stored_sides(sessions, study) == [*KILLS, "left"]
