"""The report as one HTML file that opens by itself: no script, no network, no other file."""

from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, FileSystemLoader

from app.domain.protocol import Protocol
from app.domain.quality import Count
from app.paths import TEMPLATES
from app.services.reports.charts import (
    Figure,
    agreement_figure,
    measures,
    sentinels_figure,
    survival_figure,
    times_figure,
)
from app.services.reports.numbers import Estimate, SittingLine, StudyReport, missed_sentinels


@dataclass(frozen=True)
class ReportPage:
    """What the template shows."""

    report: StudyReport
    protocol: Protocol
    made: str
    measures: list[tuple[str, Estimate]]
    figures: dict[str, Figure]

    def missed(self, line: SittingLine) -> Count:
        return missed_sentinels(line.signals)


def report_html(report: StudyReport, protocol: Protocol) -> str:
    figures = {"agreement": agreement_figure(report.agreement), "times": times_figure(report.sittings)}
    if report.filter is not None:
        figures["survival"] = survival_figure(report.filter)
    if report.sentinels is not None:
        figures["sentinels"] = sentinels_figure(report.sittings)
    page = ReportPage(
        report=report,
        protocol=protocol,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        measures=measures(report.agreement),
        figures=figures,
    )
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return templates.get_template("report.html").render(page=page)
