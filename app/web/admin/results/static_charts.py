"""The charts as plain SVG within the page: for a first look, and where there are no scripts. Pointing at one fetches
the interactive chart in its place (static/js/admin/charts.js), which is too large to come with every page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.forecast import Forecast
from app.services.studies.activity import MinuteOfVotes
from app.services.studies.status import StudyStatus
from app.web.admin.studies.charts import NIGHTS, NIGHTS_KEPT, NIGHTS_ROUNDS
from app.web.pages import templates

CEILING = 4000
MANY = 20
MOST_COLUMNS = 10


@dataclass(frozen=True)
class Sketch:
    """Coordinates in percent of the width and of the height there is, from the upper left. `band` and each of `lines`
    (by their class) are points of a polyline, `bars` are x, y, width and height, `published` are x, y and whose.
    `moments` are columns too, which the page says in the viewer's zone."""

    label: str
    columns: list[tuple[float, str]]
    rows: list[tuple[float, str]]
    band: str
    lines: list[tuple[str, str]]
    bars: list[tuple[float, float, float, float]]
    published: Sequence[tuple[float, float, str]] = ()
    moments: Sequence[tuple[float, datetime]] = ()

    def svg(self) -> str:
        macro: Any = templates.get_template("admin/_sketch.html").module
        return str(macro.sketch(self))


@dataclass(frozen=True)
class _Plane:
    """From values to coordinates."""

    x_most: float
    y_most: float

    def x(self, value: float) -> float:
        return round(100 * value / self.x_most, 2)

    def y(self, value: float) -> float:
        return round(100 - 100 * value / self.y_most, 2)

    def line(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)

    def bar(self, at: float, value: float, *, wide: float) -> tuple[float, float, float, float]:
        """One that stands on the axis."""
        return self.x(at), self.y(value), self.x(wide), round(100 - self.y(value), 2)

    def rows(self) -> list[tuple[float, str]]:
        """Bottom and top, and what is in the middle if it is a number that can be read as one."""
        shares = (0, 0.5, 1) if self.y_most % 2 == 0 or self.y_most > MANY else (0, 1)
        return [(self.y(share * self.y_most), f"{share * self.y_most:,.0f}") for share in shares]


def bars(times: Sequence[float | None], *, least: float, most: float, height: int, width: int) -> str:
    """Response times from `least` to below `most` ms by position, as an SVG path of upright strokes: the tallest is at
    `CEILING` ms, and what is longer is cut there."""
    return "".join(
        f"M{(at + 0.5) * width - 0.5} {height}V{height - max(min(time / CEILING, 1) * height, 1):.1f}"
        for at, time in enumerate(times)
        if time is not None and least <= time < most
    )


templates.env.globals["bars"] = bars


def survivor_sketch(status: StudyStatus, expected: Forecast) -> Sketch:
    """Survivors by round: what happened, what is to be expected, and where NIGHTS came out."""
    closed = [(row.number, row.survivors) for row in status.by_round if row.closed_at is not None]
    seen: list[tuple[float, float]] = [(0, status.items), *closed]
    plane = _Plane(max(status.rounds, 1), max(status.items, 1))
    every = -(-status.rounds // MOST_COLUMNS)
    coming = [seen[-1], *((row.number, row.survivors.mean) for row in expected.rounds)]
    high = [seen[-1], *((row.number, row.survivors.high) for row in expected.rounds)]
    low = [seen[-1], *((row.number, row.survivors.low) for row in expected.rounds)]
    nights = (plane.x(NIGHTS_ROUNDS), plane.y(status.items * NIGHTS_KEPT), NIGHTS)
    return Sketch(
        label=f"Survivors by round: {seen[-1][1]:,} after round {seen[-1][0]}",
        columns=[(plane.x(number), str(number)) for number in range(0, status.rounds + 1, every)],
        rows=plane.rows(),
        band=plane.line(high + low[::-1]),
        lines=[("forecast", plane.line(coming)), ("observed", plane.line(seen))],
        bars=[],
        published=[nights] if status.rounds == NIGHTS_ROUNDS else [],
    )


def shares_sketch(items: Sequence[int]) -> Sketch:
    """Items by the share of their votes that say one thing, where nothing is dropped."""
    plane = _Plane(len(items), max([1, *items]))
    return Sketch(
        label=f"Items by the share of their votes: {', '.join(map(str, items))}",
        columns=[(plane.x(at), f"{at / len(items):.0%}") for at in range(0, len(items) + 1, 2)],
        rows=plane.rows(),
        band="",
        lines=[],
        bars=[plane.bar(at + 0.05, count, wide=0.9) for at, count in enumerate(items) if count],
    )


def votes_sketch(minutes: Sequence[MinuteOfVotes]) -> Sketch:
    """Votes a minute."""
    plane = _Plane(max(len(minutes), 1), max([1, *(each.votes for each in minutes)]))
    return Sketch(
        label=f"Votes a minute, at most {plane.y_most:,}",
        columns=[],
        moments=[(plane.x(at), minutes[at].minute) for at in range(0, len(minutes), 15)],
        rows=plane.rows(),
        band="",
        lines=[],
        bars=[plane.bar(at, each.votes, wide=0.8) for at, each in enumerate(minutes) if each.votes],
    )
