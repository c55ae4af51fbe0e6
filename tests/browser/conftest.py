"""A real Chromium, and a participant who sits in front of it."""

import csv
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.support.browser.participant import Participant

# A busy machine is no failure.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
TRIPLETS = 24
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 375, "height": 667}, "has_touch": True, "is_mobile": True}


def missing(what: str) -> NoReturn:
    """A developer may do without; the project's own run may not."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium, or the one that playwright has installed."""
    try:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
    except PlaywrightError as error:
        missing(f"there is no Chromium to test with (apt install chromium, or playwright install chromium): {error}")
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.is_file():
        missing(f"axe-core is not at {AXE} (npm ci)")
    return AXE.read_text("utf-8")


class Sittings:
    """Browser contexts for one test. Whatever a page reports as an error fails the test."""

    def __init__(self, chromium: Browser, server: str) -> None:
        self._chromium = chromium
        self._server = server
        self.errors: list[str] = []
        self.contexts: list[BrowserContext] = []
        self.researchers: list[BrowserContext] = []

    def participant(self, **device: Any) -> Participant:
        context = self._chromium.new_context(base_url=self._server, **(device or DESKTOP))
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        return Participant(self.new_page(context))

    def researcher(self, **device: Any) -> BrowserContext:
        """A browser for the dashboard, which has a cookie."""
        context = self._chromium.new_context(base_url=self._server, **device)
        context.set_default_timeout(15_000)
        self.researchers.append(context)
        return context

    def new_page(self, context: BrowserContext) -> Page:
        page = context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def forgive(self, text: str) -> None:
        """Drop the errors that the test has provoked."""
        self.errors = [error for error in self.errors if text not in error]


@pytest.fixture
def nights(shared: Path, tmp_path: Path) -> Path:
    """Two dozen of the real triplets as the ZIP file somebody would upload."""
    folder, archive = shared / "data/nights60", tmp_path / "nights.zip"
    lines = (folder / "data.csv").read_text("utf-8").splitlines()[: TRIPLETS + 1]
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("nights/data.csv", "\n".join(lines))
        for row in csv.DictReader(lines):
            for name in (row["ref_path"], row["left_path"], row["right_path"]):
                file.write(folder / name, f"nights/{name}")
    return archive


@pytest.fixture
def sittings(chromium: Browser, live_server: str) -> Iterator[Sittings]:
    sittings = Sittings(chromium, live_server)
    yield sittings
    for context in sittings.contexts:
        assert context.cookies() == []
        context.close()
    for context in sittings.researchers:
        context.close()
    assert sittings.errors == []
