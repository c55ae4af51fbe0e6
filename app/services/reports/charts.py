"""The plots of a report as Vega-Lite specifications, and drawn as SVG: on paper for the file that opens without network
or script, and for the dashboard's page in the page's own colours.

Colours are named as the dashboard names them (static/css/admin.css).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from app.domain.counted import counted
from app.domain.quality_rules import ABOUT_TIMES, FAILED_SENTINELS
from app.services.reports.statistics import Agreement, AssignmentLine, Filter, StudyReport, measures, missed_sentinels

OBSERVED, QUIET, ALARM = "var(--observed)", "var(--published)", "var(--bad)"
_LABEL, _TEXT, _LINE = "var(--pico-muted-color)", "var(--pico-color)", "var(--line)"
_PAPER_COLOURS = {
    OBSERVED: "#1b4965", QUIET: "#9aa5b1", ALARM: "#b3261e", _LABEL: "#2b2f33", _TEXT: "#2b2f33", _LINE: "#e8ebee"
}  # fmt: skip
_PAPER = {"width": 560, "background": "#fbfaf8"}
_PAGE = {"width": 400, "height": 220, "background": "transparent", "autosize": {"type": "fit", "contains": "padding"}}
_FONT_SIZE, _LAID_OUT_AT = "12px", 14.5
"""Labels and legends get the room of larger letters: what stands in for Arial may be a fifth wider, as DejaVu Sans."""
_CONFIG: dict[str, Any] = {
    "font": "Arial, Liberation Sans, Helvetica, sans-serif",  # the widths that labels are laid out with
    "view": {"stroke": None},
    "axis": {
        "domainColor": _LINE, "gridColor": _LINE, "tickColor": _LINE,
        "labelColor": _LABEL, "labelFontSize": _LAID_OUT_AT,
        "titleColor": _LABEL, "titleFontSize": _LAID_OUT_AT, "titleFontWeight": "normal",
    },
    "legend": {"labelColor": _TEXT, "labelFontSize": _LAID_OUT_AT, "labelLimit": 0, "orient": "top", "title": None},
}  # fmt: skip
_PARTS_TOLD = re.compile(r' (role|aria-[a-z]+)="[^"]*"')
_ROOM = 4
"""The axis of missed sentinels goes so far at least, so that one bar alone is no wall."""
_BINS_A_DECADE, _BINS_OF_VARIATION = 30, 40
"""Dots of a hundred sittings and of five thousand: those of about the same times are one, so there are at most some
hundred."""


@dataclass(frozen=True)
class Figure:
    """A plot without its size and its looks, its caption and, for those who do not see it, what it says."""

    spec: dict[str, Any]
    caption: str
    says: str
    height: int = 200

    def on_paper(self) -> Markup:
        """Drawn to stand by itself."""
        text = json.dumps(self.spec | _PAPER | {"height": self.height, "config": _CONFIG})
        for name, colour in _PAPER_COLOURS.items():
            text = text.replace(name, colour)
        return self._drawn(text)

    def on_page(self) -> Markup:
        """Drawn for a page of the dashboard: its style sheet says what the colours are."""
        return self._drawn(json.dumps(self.spec | _PAGE | {"config": _CONFIG}))

    def _drawn(self, text: str) -> Markup:
        label = escape(f"{self.caption} {self.says}")
        # One picture with one description, and not a symbol for every mark, of which there may be hundreds.
        svg = _PARTS_TOLD.sub("", str(vl_convert.vegalite_to_svg(text)))
        svg = svg.replace(f'font-size="{_LAID_OUT_AT}px"', f'font-size="{_FONT_SIZE}"')
        return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704


def figures_of(report: StudyReport) -> dict[str, Figure]:
    """Those there is something to show in."""
    figures = {"agreement": agreement_figure(report.agreement)}
    if report.filter is not None:
        figures["survival"] = survival_figure(report.filter)
    if report.sentinels is not None:
        figures["sentinels"] = sentinels_figure(report.sittings)
    if dots := _dots(report.sittings):
        figures["times"] = times_figure(dots)
    return figures


def agreement_figure(agreement: Agreement) -> Figure:
    defined = [(what, measure) for what, measure in measures(agreement) if measure.estimate is not None]
    rows = [{"what": what, **vars(measure)} for what, measure in defined]
    y = alt.Y("what:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("low:Q", title=None, scale=alt.Scale(domainMax=1))
    numbers = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("estimate", "low", "high")]
    base = alt.Chart(alt.InlineData(rows)).encode(y=y, tooltip=[alt.Tooltip("what:N"), *numbers])
    with_interval = base.transform_filter("isValid(datum.low)")
    intervals = with_interval.mark_rule(color=OBSERVED, strokeWidth=2).encode(x=x, x2="high:Q")
    estimates = base.mark_point(color=OBSERVED, filled=True, size=70, opacity=1).encode(x="estimate:Q")
    says = "; ".join(f"{what} {measure.estimate:.2f}" for what, measure in defined)
    return _figure(estimates + intervals, "Agreement and ceilings, with 95 % intervals.", says, height=32 * len(rows))


def survival_figure(filter: Filter) -> Figure:
    rows = [
        {"votes": step.votes, "items": items, "which": which}
        for step in filter.unanimous
        for which, items in (("still unanimous", step.items), ("if every vote were a coin's", step.by_chance))
    ]
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2)
    chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("votes:O", title="votes", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("items:Q", title="items"),
            color=alt.Color("which:N", sort=None, scale=alt.Scale(range=[OBSERVED, QUIET]), legend=legend),
            strokeDash=alt.StrokeDash("which:N", sort=None, legend=legend),
            tooltip=["which:N", "votes:O", alt.Tooltip("items:Q", format=",.1~f")],
        )
    )
    last = filter.unanimous[-1]
    says = (
        f"after {counted(last.votes, 'vote')} {counted(last.items, 'item is', 'items are')} unanimous; "
        f"{last.by_chance:.1f} would be if every vote were a coin's"
    )
    return _figure(chart, "Items still unanimous after so many votes, beside pure chance.", says)


def sentinels_figure(sittings: Sequence[AssignmentLine]) -> Figure:
    counts = Counter(
        (missed.count, "failed" if any(finding.name in FAILED_SENTINELS for finding in line.findings) else "passed")
        for line in sittings
        if (missed := missed_sentinels(line.signals)).of
    )
    shown = max(missed_sentinels(line.signals).of for line in sittings)
    most = max(min(shown, _ROOM), *(missed for missed, _ in counts))
    rows = [
        {"missed": missed, "sittings": counts[missed, which], "which": which}
        for missed in range(most + 1)
        for which in ("passed", "failed")
    ]
    chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_bar()
        .encode(
            x=alt.X("missed:O", title="sentinels missed", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("sittings:Q", title="sittings", axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("which:N", scale=alt.Scale(domain=["passed", "failed"], range=[OBSERVED, ALARM])),
            tooltip=["which:N", "missed:O", alt.Tooltip("sittings:Q", format=",d")],
        )
    )
    says = "; ".join(
        f"{counted(number, 'sitting')} missed {missed} and {which}"
        for (missed, which), number in sorted(counts.items())
    )
    return _figure(chart, "Sentinels missed in a sitting.", says)


def _dots(sittings: Sequence[AssignmentLine]) -> Counter[tuple[float, float, str]]:
    """How many sittings with response times have which median and variation, and whether these are flagged."""
    return Counter(
        (*_place(times.median / 1000, times.variation), "flagged" if _is_odd(line) else "not")
        for line in sittings
        if (times := line.signals.response_times) and times.variation is not None and times.median > 0
    )


def times_figure(counts: Counter[tuple[float, float, str]]) -> Figure:
    rows = [
        {"seconds": seconds, "variation": variation, "which": which, "sittings": number}
        for (seconds, variation, which), number in sorted(counts.items())
    ]
    legend = alt.Legend(labelExpr="datum.value == 'not' ? 'times not flagged' : 'times flagged'")
    chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_point(filled=True, opacity=0.7)
        .encode(
            x=alt.X(
                "seconds:Q",
                title="median response time (s)",
                scale=alt.Scale(type="log", nice=True),
                axis=alt.Axis(values=_ticks([seconds for seconds, *_ in counts])),
            ),
            y=alt.Y("variation:Q", title="variation"),
            size=alt.Size("sittings:Q", scale=alt.Scale(domainMin=1, range=[45, 160]), legend=None),
            color=alt.Color(
                "which:N",
                scale=alt.Scale(domain=["not", "flagged"], range=[OBSERVED, ALARM]),
                legend=legend,
            ),
            shape=alt.Shape(
                "which:N", scale=alt.Scale(domain=["not", "flagged"], range=["circle", "triangle"]), legend=legend
            ),
            tooltip=["seconds:Q", "variation:Q", alt.Tooltip("sittings:Q", format=",d")],
        )
    )
    odd = sum(number for (*_, which), number in counts.items() if which == "flagged")
    says = f"{counted(counts.total(), 'sitting')}, the times of {odd} flagged"
    return _figure(chart, "Response times: each sitting's median, and how much they vary around it.", says)


def _ticks(seconds: Sequence[float]) -> list[float]:
    """1, 2 and 5 of every decade that a logarithmic axis of such values shows: what it would name between them is too
    close together to be read."""
    first, last = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    ticks = [round(step * 10.0**decade, 6) for decade in range(first, max(last, first + 1)) for step in (1, 2, 5)]
    return [*ticks, 10.0 ** max(last, first + 1)]


def _place(seconds: float, variation: float) -> tuple[float, float]:
    """Where a sitting's dot is."""
    decades = round(math.log10(seconds) * _BINS_A_DECADE) / _BINS_A_DECADE
    return float(f"{10**decades:.3g}"), round(variation * _BINS_OF_VARIATION) / _BINS_OF_VARIATION


def _is_odd(line: AssignmentLine) -> bool:
    return any(finding.name in ABOUT_TIMES for finding in line.findings)


def _figure(chart: Any, caption: str, says: str, **size: int) -> Figure:
    spec = chart.to_dict()
    del spec["config"]
    return Figure(spec, caption, says, **size)
