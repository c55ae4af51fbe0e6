"""What a participant does in the browser, and what the database should hold afterwards."""

from dataclasses import dataclass
from typing import Any, Literal

from playwright.sync_api import Frame, Page, expect
from sqlalchemy import text

from app.db import Sessions

Side = Literal["left", "right"]

# Answers count from the first frame 100 ms after the images appeared.
_UNTIL_ANSWERABLE = """() => new Promise((resolve) => {
  const since = performance.now();
  const wait = (now) => (now - since > 140 ? resolve() : requestAnimationFrame(wait));
  requestAnimationFrame(wait);
})"""

_MEAN_COLOURS = """() => [...document.querySelectorAll('.triplet img')].map((image) => {
  const canvas = new OffscreenCanvas(16, 16);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, 16, 16);
  const pixels = context.getImageData(0, 0, 16, 16).data;
  return [0, 1, 2].map((channel) => {
    let sum = 0;
    for (let i = channel; i < pixels.length; i += 4) sum += pixels[i];
    return sum / 256;
  });
})"""


class Participant:
    def __init__(self, page: Page | Frame) -> None:
        """In a page of their own, or in a frame of somebody's, where only clicks reach."""
        self.page = page
        self.context = (page.page if isinstance(page, Frame) else page).context

    def agree(self, slug: str, *, name: str = "ada") -> None:
        """Arrive by the direct link and agree."""
        self.page.goto(f"/studies/{slug}?participant={name}")
        self.page.get_by_role("button", name="I agree and want to start").click()

    def start(self, slug: str, *, name: str = "ada") -> None:
        """Agree, and wait for the first 2AFC trial."""
        self.agree(slug, name=name)
        self.await_trial(1)

    @property
    def token(self) -> str:
        return self.page.url.rstrip("?").rsplit("/", 1)[1]

    def await_trial(self, number: int) -> None:
        """Until trial `number`, practice counted, is on screen and can be answered."""
        expect(self.page.locator("#progress-bar")).to_have_js_property("value", number - 1)
        expect(self.page.locator("#two-afc:not(.is-blank)")).to_have_count(1)
        self.page.evaluate(_UNTIL_ANSWERABLE)

    def await_question(self, question: str) -> None:
        """Until a JND trial asks it and can be answered."""
        expect(self.page.locator(".is-asking #question")).to_have_text(question)
        self.page.evaluate(_UNTIL_ANSWERABLE)

    def await_flash(self, number: int) -> None:
        """Until image `number` of a JND trial, from 1, is on screen."""
        self.page.wait_for_function(
            "(place) => document.querySelectorAll('.flashes img')[place]?.classList.contains('is-on')", arg=number - 1
        )

    def press(self, side: Side, *, key: str | None = None) -> None:
        self.page.keyboard.press(key or f"Arrow{side.title()}")

    def click(self, side: Side) -> None:
        self.page.get_by_role("button", name=f"{side.title()} image").click()

    def tap(self, side: Side) -> None:
        self.page.get_by_role("button", name=f"{side.title()} image").tap()

    def read_feedback(self) -> str:
        """The sentence about a practice answer; goes on by the focused button."""
        sentence = self.page.locator("#feedback-text").filter(visible=True)
        sentence.wait_for()
        told = sentence.inner_text()
        self.page.keyboard.press("Enter")
        return told

    def practise(self, count: int) -> None:
        for number in range(1, count + 1):
            self.await_trial(number)
            self.press("left")
            self.read_feedback()

    def completion_code(self) -> str:
        code = self.page.locator("#completion-code").filter(visible=True)
        code.wait_for()
        return code.inner_text()

    def mean_colours(self) -> dict[str, list[float]]:
        """Of the images on screen."""
        return dict(zip(("reference", "left", "right"), self.page.evaluate(_MEAN_COLOURS), strict=True))


@dataclass(frozen=True)
class StoredTrial:
    """`side` is the side the person must have chosen for the stored choice; colours are of the candidates shown."""

    role: str
    side: Side | None
    votes: int
    input: str | None
    rt_ms: float | None
    suspect: bool
    timing: dict[str, object] | None
    left_colour: list[float]
    right_colour: list[float]


def stored_trials(sessions: Sessions, slug: str) -> list[StoredTrial]:
    """The trials of a study with one participant, in order, with what was stored about each."""
    rows = _query(
        sessions,
        slug,
        """
        SELECT i.role, j.choice # t.left_candidate AS is_right, count(j.id) OVER (PARTITION BY t.id) AS votes,
               j.input, j.rt_ms, j.suspect, j.timing,
               CASE t.left_candidate WHEN 0 THEN zero.mean_colour ELSE one.mean_colour END AS left_colour,
               CASE t.left_candidate WHEN 0 THEN one.mean_colour ELSE zero.mean_colour END AS right_colour
        FROM trials t JOIN items i ON i.id = t.item_id
        JOIN images zero ON zero.sha256 = i.candidate_0 JOIN images one ON one.sha256 = i.candidate_1
        LEFT JOIN judgments j ON j.trial_id = t.id
        WHERE i.study_id = (SELECT id FROM studies WHERE slug = :slug)
        ORDER BY t.position
        """,
    )
    return [
        StoredTrial(
            role=row.role,
            side=None if row.is_right is None else "right" if row.is_right else "left",
            votes=row.votes,
            input=row.input,
            rt_ms=row.rt_ms,
            suspect=bool(row.suspect),
            timing=row.timing,
            left_colour=row.left_colour,
            right_colour=row.right_colour,
        )
        for row in rows
    ]


def stored_assignments(sessions: Sessions, slug: str) -> list[tuple[str, str, dict[str, object] | None]]:
    """State, completion code and environment of a study's assignments."""
    rows = _query(
        sessions,
        slug,
        """
        SELECT state, completion_code, environment FROM assignments
        WHERE study_id = (SELECT id FROM studies WHERE slug = :slug) ORDER BY id
        """,
    )
    return [(row.state, row.completion_code, row.environment) for row in rows]


def stored_aborts(sessions: Sessions, slug: str) -> list[tuple[int, str]]:
    """Attempt and reason of a study's aborted attempts."""
    rows = _query(
        sessions,
        slug,
        """
        SELECT x.attempt, x.reason FROM aborts x JOIN trials t ON t.id = x.trial_id JOIN items i ON i.id = t.item_id
        WHERE i.study_id = (SELECT id FROM studies WHERE slug = :slug) ORDER BY x.received_at
        """,
    )
    return [(row.attempt, row.reason) for row in rows]


def _query(sessions: Sessions, slug: str, statement: str) -> list[Any]:
    with sessions() as session:
        return list(session.execute(text(statement), {"slug": slug}))
