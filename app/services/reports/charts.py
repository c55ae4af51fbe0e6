"""The plots of a report: Vega-Lite specifications drawn as SVG, so that the page opens without network or script."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from app.domain.quality_rules import ABOUT_TIMES, FAILED_SENTINELS
from app.services.reports.numbers import Agreement, Estimate, Filter, SittingLine, missed_sentinels

WIDTH, HEIGHT = 560, 200
_INK, _QUIET, _ALARM = "#1b4965", "#9aa5b1", "#b3261e"
_STYLE: dict[str, Any] = {
    "background": "#fbfaf8",
    "font": "Arial, Liberation Sans, Helvetica, sans-serif",  # the widths that labels are laid out with
    "view": {"stroke": None},
    "axis": {
        "domainColor": _QUIET, "gridColor": "#e8ebee", "labelFontSize": 12, "tickColor": _QUIET, "titleFontSize": 12
    },
    "legend": {"labelFontSize": 12, "orient": "top", "title": None},
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A plot with its caption and, for those who do not see it, what it says."""

    svg: Markup
    caption: str
    says: str


def agreement_figure(agreement: Agreement) -> Figure:
    defined = [(what, measure) for what, measure in measures(agreement) if measure.estimate is not None]
    rows = [{"what": what, **vars(measure)} for what, measure in defined]
    y = alt.Y("what:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("low:Q", title=None, scale=alt.Scale(domainMax=1))
    base = alt.Chart(alt.InlineData(rows)).encode(y=y)
    with_interval = base.transform_filter("isValid(datum.low)")
    intervals = with_interval.mark_rule(color=_INK, strokeWidth=2).encode(x=x, x2="high:Q")
    estimates = base.mark_point(color=_INK, filled=True, size=70, opacity=1).encode(x="estimate:Q")
    says = "; ".join(f"{what} {measure.estimate:.2f}" for what, measure in defined)
    return _figure(estimates + intervals, "Agreement and ceilings, with 95 % intervals.", says, height=32 * len(rows))


def measures(agreement: Agreement) -> list[tuple[str, Estimate]]:
    """The agreement's statistics with their names, in the order of every table."""
    named = [
        ("agreement of two people", agreement.pairwise),
        ("human ceiling, plug-in", agreement.ceiling_plug_in),
        ("oracle ceiling", agreement.ceiling_oracle),
        ("Krippendorff's alpha", agreement.alpha),
    ]
    return named + ([("Fleiss' kappa", agreement.fleiss)] if agreement.fleiss else [])


def survival_figure(filter: Filter) -> Figure:
    rows = [
        {"votes": step.votes, "items": items, "which": which}
        for step in filter.unanimous
        for which, items in (("still unanimous", step.items), ("if every vote were a coin's", step.by_chance))
    ]
    chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("votes:O", title="votes", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("items:Q", title="items"),
            color=alt.Color("which:N", sort=None, scale=alt.Scale(range=[_INK, _QUIET])),
            strokeDash=alt.StrokeDash("which:N", sort=None),
        )
    )
    last = filter.unanimous[-1]
    says = (
        f"after {last.votes} votes {last.items} items are unanimous; "
        f"{last.by_chance:.1f} would be if every vote were a coin's"
    )
    return _figure(chart, "Items still unanimous after so many votes, beside pure chance.", says)


def sentinels_figure(sittings: Sequence[SittingLine]) -> Figure:
    counts = Counter(
        (missed.count, "failed" if any(finding.name in FAILED_SENTINELS for finding in line.findings) else "passed")
        for line in sittings
        if (missed := missed_sentinels(line.signals)).of
    )
    most = max(missed for missed, _ in counts)
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
            y=alt.Y("sittings:Q", title="sittings"),
            color=alt.Color("which:N", scale=alt.Scale(domain=["passed", "failed"], range=[_INK, _ALARM])),
        )
    )
    says = "; ".join(
        f"{number} sittings missed {missed} and {which}" for (missed, which), number in sorted(counts.items())
    )
    return _figure(chart, "Sentinels missed in a sitting.", says)


def times_figure(sittings: Sequence[SittingLine]) -> Figure:
    rows = [
        {"seconds": times.median / 1000, "variation": times.variation, "which": "flagged" if _is_odd(line) else "not"}
        for line in sittings
        if (times := line.signals.response_times) and times.variation is not None and times.median > 0
    ]
    chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_point(filled=True, opacity=0.7, size=45)
        .encode(
            x=alt.X("seconds:Q", title="median response time (s)", scale=alt.Scale(type="log", nice=True)),
            y=alt.Y("variation:Q", title="variation"),
            color=alt.Color(
                "which:N",
                scale=alt.Scale(domain=["not", "flagged"], range=[_INK, _ALARM]),
                legend=alt.Legend(labelExpr="datum.value == 'not' ? 'times not flagged' : 'times flagged'"),
            ),
            shape=alt.Shape(
                "which:N", scale=alt.Scale(domain=["not", "flagged"], range=["circle", "triangle"]), legend=None
            ),
        )
    )
    odd = sum(row["which"] == "flagged" for row in rows)
    says = f"{len(rows)} sittings, the times of {odd} flagged"
    return _figure(chart, "Response times: each sitting's median, and how much they vary around it.", says)


def _is_odd(line: SittingLine) -> bool:
    return any(finding.name in ABOUT_TIMES for finding in line.findings)


def _figure(chart: Any, caption: str, says: str, *, height: int = HEIGHT) -> Figure:
    spec = chart.properties(width=WIDTH, height=height).configure(**_STYLE).to_dict()
    svg = str(vl_convert.vegalite_to_svg(spec))
    label = escape(f"{caption} {says}")
    return Figure(Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)), caption, says)  # noqa: S704
