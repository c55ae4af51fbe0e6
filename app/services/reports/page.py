"""The report as one HTML file that opens by itself: no script, no network, no other file."""

from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, FileSystemLoader

from app.domain.counted import counted
from app.domain.protocol import Protocol
from app.domain.quality import Count
from app.paths import TEMPLATES
from app.services.reports.charts import Figure, figures_of
from app.services.reports.statistics import AssignmentLine, Estimate, StudyReport, measures, missed_sentinels


@dataclass(frozen=True)
class ReportPage:
    """What the template shows."""

    report: StudyReport
    protocol: Protocol
    made: str
    measures: list[tuple[str, Estimate]]
    figures: dict[str, Figure]

    def missed(self, line: AssignmentLine) -> Count:
        return missed_sentinels(line.signals)


def report_html(report: StudyReport, protocol: Protocol) -> str:
    page = ReportPage(
        report=report,
        protocol=protocol,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        measures=measures(report.agreement),
        figures=figures_of(report),
    )
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    templates.filters["counted"] = counted
    return templates.get_template("report.html").render(page=page)
