"""Images whose connection ends early without having said how long they are: no trial is shown with half of them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Browser

from app.db import Sessions
from app.storage import LocalStorage
from tests.browser.conftest import Sittings
from tests.support.browser.participant import stored_aborts, stored_trials
from tests.support.factories import make_study

# Of the images that are now on the page, the share of pixels that has been painted.
_PAINTED = """(selector) => [...document.querySelectorAll(selector)].map((image) => {
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  return pixels.filter((value, place) => place % 4 === 3 && value === 255).length / (width * height);
})"""
NO_CHECKS = {"assignment__practice": 0, "assignment__sentinels": 0, "assignment__sentinel_misses_allowed": 0}


class CuttingProxy(ThreadingHTTPServer):
    """In front of a server. `cuts`: of the next images, how many arrive as their first half, and how often each."""

    daemon_threads = True

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server_url = server
        self.images_to_cut = 0
        self.times = 1
        self.cut: dict[str, int] = {}
        self.lock = threading.Lock()

    def cuts(self, path: str) -> bool:
        with self.lock:
            if path not in self.cut and len(self.cut) < self.images_to_cut:
                self.cut[path] = 0
            if self.cut.get(path, self.times) >= self.times:
                return False
            self.cut[path] += 1
            return True


class _Handler(BaseHTTPRequestHandler):
    server: CuttingProxy

    def do_GET(self) -> None:
        self._hand_on(None)

    def do_POST(self) -> None:
        self._hand_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _hand_on(self, body: bytes | None) -> None:
        headers = dict(self.headers.items()) | {"Accept-Encoding": "identity"}
        answer = httpx.request(self.command, self.server.server_url + self.path, content=body, headers=headers)
        is_cut = self.path.startswith("/images/") and self.server.cuts(self.path)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if not (is_cut and name == "content-length"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content[: len(answer.content) // 2] if is_cut else answer.content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy(live_server: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(live_server)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    yield proxy
    proxy.shutdown()
    proxy.server_close()
    thread.join()


@pytest.fixture
def sittings(chromium: Browser, proxy: CuttingProxy) -> Iterator[Sittings]:
    sittings = Sittings(chromium, f"http://127.0.0.1:{proxy.server_port}")
    yield sittings
    for context in sittings.contexts:
        context.close()
    assert sittings.errors == []


def test_an_image_that_was_cut_once_is_fetched_again(
    sittings: Sittings, proxy: CuttingProxy, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage, items=6, assignment__trials=3, **NO_CHECKS)
    ada = sittings.participant()
    proxy.images_to_cut = 4
    ada.start(study)
    for number in (1, 2, 3):
        ada.await_trial(number)
        assert ada.page.evaluate(_PAINTED, ".triplet img") == [1, 1, 1]
        ada.press("left")
    ada.completion_code()
    assert list(proxy.cut.values()) == [1] * 4
    assert stored_aborts(sessions, study) == []
    assert [trial.side for trial in stored_trials(sessions, study)] == ["left"] * 3


def test_an_image_that_is_always_cut_comes_again_at_the_end_under_another_address(
    sittings: Sittings, proxy: CuttingProxy, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(sessions, storage, items=6, assignment__trials=2, **NO_CHECKS)
    ada = sittings.participant()
    proxy.images_to_cut, proxy.times = 1, 1000
    ada.start(study)
    for number in (1, 2):
        ada.await_trial(number)
        assert ada.page.evaluate(_PAINTED, ".triplet img") == [1, 1, 1]
        ada.press("left")
    ada.completion_code()
    assert list(proxy.cut.values()) == [2]
    assert stored_aborts(sessions, study) == [(1, "decode")]


def test_flashes_are_whole_too(
    sittings: Sittings, proxy: CuttingProxy, sessions: Sessions, storage: LocalStorage
) -> None:
    study = make_study(
        sessions, storage, items=6, preset="nights-jnd", assignment__trials=1, assignment__same_sentinels=0, **NO_CHECKS
    )
    ada = sittings.participant()
    proxy.images_to_cut = 2
    ada.agree(study)
    ada.page.get_by_role("button", name="Start").click()
    ada.await_question("Were the 1st and the 3rd image the same?")
    assert ada.page.evaluate(_PAINTED, ".flashes img") == [1, 1, 1, 1]
    assert list(proxy.cut.values()) == [1, 1]
    assert stored_aborts(sessions, study) == []
