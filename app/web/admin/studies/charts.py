"""Charts as Vega-Lite; their colours are the page's (static/js/admin/charts.js), by the names of marks' styles."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from app.domain.forecast import Forecast
from app.domain.protocol import Kind
from app.services.studies.activity import MinuteOfVotes
from app.services.studies.status import StudyStatus

OBSERVED, FORECAST, NIGHTS = "this study", "forecast, 90 %", "NIGHTS"
NIGHTS_KEPT = 20_019 / 100_000
NIGHTS_ROUNDS = 10
SHARES_OF: dict[Kind, str] = {"2afc": "candidate 1", "jnd": "“different” (first pair)"}


def survivor_curve(status: StudyStatus, expected: Forecast) -> dict[str, Any]:
    """Survivors by round: what happened, what is to be expected, and where NIGHTS came out."""
    seen = [{"round": 0, "survivors": status.items, "what": OBSERVED}] + [
        {"round": row.number, "survivors": row.survivors, "what": OBSERVED}
        for row in status.by_round
        if row.closed_at is not None
    ]
    last = seen[-1]
    coming = [last | {"low": last["survivors"], "high": last["survivors"], "what": FORECAST}] + [
        {
            "round": row.number,
            "survivors": round(row.survivors.mean, 1),
            "low": row.survivors.low,
            "high": row.survivors.high,
            "what": FORECAST,
        }
        for row in expected.rounds
    ]
    nights = [{"round": NIGHTS_ROUNDS, "survivors": round(status.items * NIGHTS_KEPT), "what": NIGHTS}]
    x = alt.X("round:Q", title="round", axis=alt.Axis(tickMinStep=1, format="d", grid=False))
    y = alt.Y("survivors:Q", title="survivors", scale=alt.Scale(domainMin=0), axis=alt.Axis(format=",d", tickCount=5))
    colour = alt.Color("what:N", scale=alt.Scale(domain=[OBSERVED, FORECAST, NIGHTS]))
    tooltip = [alt.Tooltip("round:Q", format="d"), alt.Tooltip("survivors:Q", format=",.0f")]
    interval = [alt.Tooltip("low:Q", title="from", format=",.0f"), alt.Tooltip("high:Q", title="to", format=",.0f")]
    band = alt.Chart(alt.InlineData(values=coming)).mark_area(opacity=0.18, style="forecast")
    mean = alt.Chart(alt.InlineData(values=coming)).mark_line(strokeDash=[5, 4], point={"size": 90, "opacity": 0})
    line = alt.Chart(alt.InlineData(values=seen)).mark_line(strokeWidth=2.5, point={"size": 45})
    paper = alt.Chart(alt.InlineData(values=nights)).mark_point(shape="diamond", filled=True, size=90, opacity=1)
    layers = [
        band.encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        mean.encode(x=x, y=y, color=colour, tooltip=tooltip + interval),
        line.encode(x=x, y=y, color=colour, tooltip=tooltip),
    ]
    if status.rounds == NIGHTS_ROUNDS:
        layers.append(paper.encode(x=x, y=y, color=colour, tooltip=["what:N", *tooltip]))
    return _spec(alt.layer(*layers), "Survivors by round; the table of the rounds says the same")


def votes_by_minute(minutes: Sequence[MinuteOfVotes]) -> dict[str, Any]:
    values = [{"minute": each.minute.isoformat(), "votes": each.votes} for each in minutes]
    highest = max([1, *(each.votes for each in minutes)])
    bars = alt.Chart(alt.InlineData(values=values)).mark_bar(cornerRadiusEnd=2, width={"band": 0.8}, style="observed")
    return _spec(
        bars.encode(
            x=alt.X(
                "minute:T", timeUnit="yearmonthdatehoursminutes", title=None, axis=alt.Axis(grid=False, format="%H:%M")
            ),
            y=alt.Y(
                "votes:Q",
                title="votes a minute",
                scale=alt.Scale(domain=[0, highest]),
                axis=alt.Axis(tickMinStep=1, tickCount=4, format=",d"),
            ),
            tooltip=[alt.Tooltip("minute:T", format="%H:%M", title="at"), alt.Tooltip("votes:Q", format=",d")],
        ),
        "Votes a minute in the last hour in which somebody took part",
    )


def items_by_share(items: Sequence[int], kind: Kind) -> dict[str, Any]:
    """How many items people see how, where nothing is dropped."""
    parts = len(items)
    values = [{"from": part / parts, "to": (part + 1) / parts, "items": count} for part, count in enumerate(items)]
    what = SHARES_OF[kind]
    bars = alt.Chart(alt.InlineData(values=values)).mark_bar(cornerRadiusEnd=2, style="observed", binSpacing=2)
    return _spec(
        bars.encode(
            x=alt.X("from:Q", bin="binned", title=f"share of votes for {what}", axis=alt.Axis(format="%", grid=False)),
            x2="to:Q",
            y=alt.Y(
                "items:Q",
                title="items",
                stack=None,  # of stacked bars with round corners, Vega-Lite draws none that end at a second field
                scale=alt.Scale(domain=[0, max(1, *items)]),
                axis=alt.Axis(tickMinStep=1, tickCount=4, format=",d"),
            ),
            tooltip=[
                alt.Tooltip("from:Q", format=".0%"),
                alt.Tooltip("to:Q", format=".0%"),
                alt.Tooltip("items:Q", format=",d"),
            ],
        ),
        f"Items by the share of their votes for {what}",
    )


def _spec(chart: Any, description: str) -> dict[str, Any]:
    document: dict[str, Any] = chart.properties(width="container", height=240, description=description).to_dict()
    del document["config"]
    return document
