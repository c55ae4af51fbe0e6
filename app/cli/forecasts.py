"""`forecast`."""

from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import HOME, AsJson, Home, opened, out, plain_errors, print_json, settings_for
from app.domain import protocol as protocols
from app.domain.counted import counted
from app.domain.forecast import Estimate, Forecast, Pilot, RoundForecast, forecast
from app.domain.money import decimals
from app.domain.protocol import Protocol
from app.services import study_lookup
from app.services.studies.forecasts import forecast_study
from app.services.study_lookup import current_protocol


def show_forecast(
    name: Annotated[str, typer.Argument(metavar="NAME|PROTOCOL", help="A study, a preset, or a protocol file.")],
    items: Annotated[int, typer.Option(min=1, max=10_000_000, help="Items, for a protocol without a study.")] = 1000,
    disagreement: Annotated[
        float, typer.Option(min=0, max=0.5, help="How often two attentive people disagree about an item.")
    ] = Pilot.disagreement,
    lapse: Annotated[float, typer.Option(min=0, max=1, help="Share of votes given at random.")] = Pilot.lapse,
    sentinel_miss: Annotated[
        float, typer.Option(min=0, max=0.9, help="How often a sentinel is missed.")
    ] = Pilot.sentinel_miss,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Say what a study will take: survivors, votes, sittings, hours and money per round, with 90 % intervals.

    Example: lookalike forecast nights-2afc --items 20000
    """
    pilot = Pilot(disagreement, lapse, sentinel_miss)
    with plain_errors():
        if name in protocols.preset_names() or name.endswith(".toml"):
            protocol = protocols.load(name)
            expected = forecast(protocol, items=items, pilot=pilot)
        else:
            with opened(settings_for(home)) as sessions, sessions() as session:
                study = study_lookup.by_slug(session, name)
                protocol = current_protocol(session, study.id)
                expected = forecast_study(session, study, pilot=pilot)
    if as_json:
        print_json(expected)
    else:
        out.print(_table(expected, protocol))
        out.print(f"[dim]{_small_print(expected, protocol)}[/]", soft_wrap=True)


def _table(expected: Forecast, protocol: Protocol) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    what = "survivors" if protocol.has_filter else "items"
    for column in ("round", what, "90 %", "votes", "sittings", "90 %", "hours", protocol.pay.currency):
        table.add_column(column, justify="right", no_wrap=True)
    places = decimals(protocol.pay.currency)
    exact = expected.total.cost.mean < 1_000 * 10**places  # else pence and minutes say nothing, and lines grow too long
    for row in expected.rounds:
        table.add_row(str(row.number), *_cells(row, exact, places))
    table.add_section()
    table.add_row("in all", *_cells(expected.total, exact, places), style="bold")
    if expected.one_more is not None:
        table.add_row("one more", *_cells(expected.one_more, exact, places), style="dim")
    return table


def _cells(row: RoundForecast, exact: bool, places: int) -> list[str]:
    return [
        f"{row.survivors.mean:,.0f}",
        _interval(row.survivors),
        f"{row.votes.mean:,.0f}",
        f"{row.sittings.mean:,.0f}",
        _interval(row.sittings),
        f"{row.hours.mean:,.{1 if exact else 0}f}",
        f"{row.cost.mean / 10**places:,.{places if exact else 0}f}",
    ]


def _interval(estimate: Estimate) -> str:
    return f"{estimate.low:,.0f}–{estimate.high:,.0f}"


def _small_print(expected: Forecast, protocol: Protocol) -> str:
    sitting = protocol.assignment
    return (
        f"{counted(expected.items, 'item')}; two people disagree about {expected.disagreement:.0%} of them, "
        f"{expected.failing:.0%} of sittings fail their sentinels. {counted(sitting.trials, 'trial')} a sitting of "
        f"{counted(sitting.minutes, 'minute')}, fees not included. Intervals: 90 %."
    )
