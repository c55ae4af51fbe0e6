"""Whether flashes last as long as they claim: by the page's own log, and by the browser's trace of what it presented.

    python -m benchmarks.flashes            200 flashes of 500 ms and the gaps of 1 s between: about six minutes
    python -m benchmarks.flashes 10         only so many trials, of two flashes each

Run it alone: on a busy machine it measures the machine. An idle headless Chromium sits through the JND trials. The
page's log comes with its answers. For the trace a mark is set whenever something is switched on or off; the frame in
which it was set has a presentation time. A headless browser draws in software at 60 Hz, so this tests our timing, not
a monitor's. Fails if fewer than 95 % of the flashes or of the gaps are within one frame, by either measure.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Request, sync_playwright

from benchmarks.site import study_page

STIMULUS_MS, GAP_MS = 500, 1000
FRAME_MS = 1000 / 60
LEAST_SHARE = 0.95
TRIALS = 100
CHUNK = 10
"""Trials between two breaks, during which the trace is read: one of the whole sitting would be too long."""
SWITCHES = 5
"""Of a trial: fixation, image, blank, image, gone."""
PROTOCOL = {
    "assignment.practice": "0",
    "assignment.sentinels": "0",
    "assignment.same_sentinels": "0",
    "assignment.sentinel_misses_allowed": "0",
    "assignment.break_every": str(CHUNK),
    "presentation.stimulus_ms": str(STIMULUS_MS),
    "presentation.gap_ms": str(GAP_MS),
}
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
CATEGORIES = ["-*", "blink.user_timing", "devtools.timeline"]

# Runs after the frame's callbacks and before it is drawn.
MARK_SWITCHES = """() => new MutationObserver((changes) => {
  if (changes.some(({ target }) => target.matches('.fixation, .flashes img'))) performance.mark('switch');
}).observe(document.getElementById('jnd'), { attributes: true, attributeFilter: ['class'], subtree: true })"""

# Asked in every frame by the page itself: a question over the wire would disturb what is measured.
ANSWER_ALL = """() => {
  const look = () => {
    const button = document.querySelector('.is-asking button.same');
    if (button) setTimeout(() => button.click(), 150);
    setTimeout(look, button ? 500 : 100);
  };
  look();
}"""


def sit_through(browser: Browser, page: Page, trials: int) -> Iterator[list[dict[str, Any]]]:
    """Yields the trace of every chunk of trials."""
    page.get_by_role("button", name="I agree").click()
    button = page.locator("#pause button")
    button.wait_for()
    page.evaluate(MARK_SWITCHES)
    page.evaluate(ANSWER_ALL)
    for first in range(0, trials, CHUNK):
        browser.start_tracing(page=page, categories=CATEGORIES)
        button.press("Enter")
        button.wait_for(state="hidden")
        until = button if first + CHUNK < trials else page.locator("#thanks")
        until.wait_for(timeout=10_000 * CHUNK)
        yield json.loads(browser.stop_tracing())["traceEvents"]


def presentations(trace: Sequence[dict[str, Any]]) -> list[float]:
    """When each switch was presented, in ms; NaN if its frame never was."""
    begun: dict[str, tuple[float, str]] = {}
    frames: list[tuple[float, str, float]] = []
    presented: dict[str, float] = {}
    for event in sorted((event for event in trace if "ts" in event), key=lambda event: event["ts"]):
        match event["name"], event["ph"]:
            case "AnimationFrame", "b":
                begun[event["id2"]["local"]] = event["ts"], event["args"]["id"]
            case "AnimationFrame", "e" if event["id2"]["local"] in begun:
                frames.append((*begun.pop(event["id2"]["local"]), event["ts"]))
            case "AnimationFrame::Presentation", _ if event["args"]["begin_frame_id"]["source_id"]:
                presented[event["args"]["id"]] = event["ts"] / 1000
    switches = [event["ts"] for event in trace if event["name"] == "switch"]
    drawn_in = [next((frame for begin, frame, end in frames if begin <= switch <= end), "") for switch in switches]
    return [presented.get(frame, float("nan")) for frame in drawn_in]


def lasted(presented: Sequence[float]) -> tuple[list[float], list[float]]:
    """The durations of images and of gaps."""
    assert len(presented) % SWITCHES == 0, f"{len(presented)} switches are no whole number of trials"
    images, gaps = [], []
    for trial in range(0, len(presented), SWITCHES):
        first, gap, second = [off - on for on, off in pairwise(presented[trial + 1 : trial + SWITCHES])]
        images += [first, second]
        gaps.append(gap)
    return images, gaps


def logged(judgments: Sequence[dict[str, Any]], shows: str) -> list[float]:
    """The durations that the page has logged."""
    return [
        interval["off_ms"] - interval["on_ms"]
        for judgment in judgments
        for interval in judgment["timing"]["intervals"]
        if interval["shows"] == shows
    ]


def report(name: str, durations: Sequence[float], requested: float) -> bool:
    off_by = sorted(abs(duration - requested) for duration in durations)
    within = sum(deviation <= FRAME_MS for deviation in off_by) / len(off_by)
    print(f"{name:24} {len(durations):4}  {within:6.1%} within a frame, worst {off_by[-1]:.1f} ms off")
    return within >= LEAST_SHARE


def main(trials: int) -> int:
    judgments: list[dict[str, Any]] = []

    def on_request(request: Request) -> None:
        if request.url.endswith("/judgments"):
            judgments.extend(request.post_data_json["judgments"])

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        protocol = PROTOCOL | {"assignment.trials": str(trials)}
        with study_page(Path(folder), preset="bapps-jnd", overrides=protocol, items=trials, image_side=256) as url:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.on("request", on_request)
            page.goto(url)
            presented = [time for trace in sit_through(browser, page, trials) for time in presentations(trace)]
            browser.close()
    images, gaps = lasted(presented)
    flagged = sum(judgment["timing"]["flags"] != [] for judgment in judgments)
    print(f"{len(judgments)} trials, {flagged} of them flagged by the page")
    are_good = [
        report("flashes, page's log", logged(judgments, "image"), STIMULUS_MS),
        report("flashes, presented", images, STIMULUS_MS),
        report("gaps, page's log", logged(judgments, "blank"), GAP_MS),
        report("gaps, presented", gaps, GAP_MS),
    ]
    return 0 if all(are_good) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS))
