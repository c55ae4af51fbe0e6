"""What the dashboard shows of a report: its numbers, its plots, and of its sittings those with findings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from app.domain.quality_rules import FAILED_SENTINELS, Finding, FindingName
from app.services.reports.statistics import Agreement, AssignmentLine, Filter, Sensitivity, Sentinels, StudyReport

SHOWN = 100
"""So many sittings with findings at most."""


@dataclass(frozen=True)
class Drawn:
    """A plot as a Vega-Lite specification (without size and looks), and drawn in the page's colours."""

    spec: dict[str, Any]
    svg: str


@dataclass(frozen=True)
class FoundAssignment:
    """A sitting with what the rules say of it alone, and `of_person`: what shows only in all of the participant's."""

    assignment: int
    participant: str
    findings: list[Finding]
    of_person: list[Finding]


@dataclass(frozen=True)
class ReportSummary:
    """`votes`: valid ones when it was made. `with_findings` are all, `found` the first `SHOWN` of them: those used
    before those excluded already, failed sentinels first. `findings`: how many sittings have each."""

    kind: str
    votes: int
    agreement: Agreement
    filter: Filter | None
    sentinels: Sentinels | None
    sensitivity: Sensitivity | None
    sittings: int
    excluded: int
    with_findings: int
    findings: dict[FindingName, int]
    found: list[FoundAssignment]
    figures: dict[str, Drawn]


def summary_of(report: StudyReport, *, votes: int, figures: Mapping[str, Drawn]) -> ReportSummary:
    found = sorted((line for line in report.sittings if line.findings or line.of_person), key=_gravity)
    counts = Counter(name for line in found for name in {each.name for each in (*line.findings, *line.of_person)})
    return ReportSummary(
        kind=report.kind,
        votes=votes,
        agreement=report.agreement,
        filter=report.filter,
        sentinels=report.sentinels,
        sensitivity=report.sensitivity,
        sittings=len(report.sittings),
        excluded=sum(line.excluded is not None for line in report.sittings),
        with_findings=len(found),
        findings=dict(counts.most_common()),
        found=[
            FoundAssignment(line.assignment, line.participant, line.findings, list(line.of_person))
            for line in found[:SHOWN]
        ],
        figures=dict(figures),
    )


def _gravity(line: AssignmentLine) -> tuple[bool, bool, int, int]:
    has_failed = any(finding.name in FAILED_SENTINELS for finding in line.findings)
    return line.excluded is not None, not has_failed, -len(line.findings) - len(line.of_person), line.assignment


DIGESTS = TypeAdapter(ReportSummary)
