"""A study's report for the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.domain.counted import counted
from app.domain.quality import Count
from app.services.reports.statistics import Agreement, AssignmentLine, Estimate, StudyReport, measures, missed_sentinels

MOST_SITTINGS = 20


def report_view(report: StudyReport) -> RenderableType:
    parts: list[RenderableType] = [
        Text.assemble((report.study, "bold"), f"  {report.kind}  {report.status}"),
        Text(),
        _measures(report.agreement),
        Text(_basis(report.agreement, "triplet" if report.kind == "2afc" else "pair"), style="dim"),
        Text(),
        *map(Text, _facts(report)),
        Text(),
    ]
    return Group(*parts, *_sittings(report.sittings), Text())


def _measures(agreement: Agreement) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("measure")
    table.add_column("estimate", justify="right")
    table.add_column("95 % interval")
    for name, measure in measures(agreement):
        table.add_row(name, _number(measure.estimate), _range(measure))
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(measure: Estimate) -> str:
    return f"{measure.low:.3f} to {measure.high:.3f}" if measure.low is not None else ""


def _basis(agreement: Agreement, item: str) -> str:
    of_each = "" if agreement.basis == "all votes" else ", the first two of each (the filter stops where votes differ)"
    votes = counted(agreement.votes, "vote")
    if agreement.judgments > agreement.votes:
        votes += f" ({counted(agreement.judgments, 'judgment')}, one on each pair of an item)"
    return f"{votes} of {counted(agreement.people, 'person', 'people')} on {counted(agreement.items, item)}{of_each}"


def _facts(report: StudyReport) -> list[str]:
    facts = []
    if kept := report.filter:
        facts.append(
            f"{kept.kept:,} of {counted(kept.items, 'item')} kept, with {counted(kept.after, 'unanimous vote')} or "
            f"more; if every vote were a coin's, {kept.false_survivors:,.1f} would be left"
        )
    if sentinels := report.sentinels:
        facts.append(
            f"{_of(sentinels.missed, 'sentinel')} missed; "
            f"{sentinels.failed:,} of {counted(sentinels.sittings, 'sitting')} failed"
        )
    if sensitivity := report.sensitivity:
        facts.append(
            f"d′ = {sensitivity.d_prime:.2f} (differencing model): {_of(sensitivity.hits, 'clearly different pair')} "
            f"and {_of(sensitivity.false_alarms, 'identical one')} called different"
        )
    return facts


def _of(count: Count, noun: str) -> str:
    return f"{count.count:,} of {counted(count.of, noun)}"


def _sittings(sittings: list[AssignmentLine]) -> list[RenderableType]:
    odd = [line for line in sittings if line.findings or line.of_person or line.excluded is not None]
    if not odd:
        return [Text(f"Nothing is odd about any of {counted(len(sittings), 'sitting')}.", style="dim")]
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("assignment", justify="right")
    table.add_column("missed", justify="right")
    table.add_column("votes")
    table.add_column("findings", overflow="fold")
    for line in odd[:MOST_SITTINGS]:
        missed = missed_sentinels(line.signals)
        votes = Text("used") if line.excluded is None else Text("excluded", style="yellow")
        table.add_row(str(line.assignment), f"{missed.count}/{missed.of}", votes, Text("\n".join(_sentences(line))))
    more = len(odd) - MOST_SITTINGS
    shown: list[RenderableType] = [table]
    if more > 0:
        shown.append(Text(f"… and {more:,} more on the page", style="dim"))
    return shown


def _sentences(line: AssignmentLine) -> list[str]:
    said = [finding.sentence for finding in line.findings]
    said += [f"Over {counted(line.sittings, 'sitting')}: {finding.sentence}" for finding in line.of_person]
    if line.excluded is not None and line.excluded not in said:
        said.append(f"Excluded by {line.excluded_by}: {line.excluded}")
    return said
