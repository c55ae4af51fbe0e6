"""A study's report: asked for, watched, looked at, downloaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from app.domain.quality_rules import FAILED_SENTINELS
from app.errors import NotFound
from app.services.assignments import exclusions
from app.services.reports import requests
from app.services.reports.requests import ReportStatus
from app.services.reports.statistics import REPLICATES, Estimate, measures
from app.services.reports.summary import Drawn, ReportSummary
from app.web.admin import downloads
from app.web.admin.access import AsResearcher, AsViewer, StudyAccess
from app.web.admin.pages import StudyHead, StudyPage, frame_of, go, head_of, show
from app.web.deps import SessionDep
from app.web.pages import templates

router = APIRouter(prefix="/studies/{slug}/report")
FEW_PEOPLE = 20
"""Intervals from fewer are rough: so few can hardly say how much people differ."""
MEANINGS = {
    "agreement of two people": "How often two people give the same answer about the same {item}: how well one vote "
    "predicts another, and so the human ceiling of a metric’s score. Unbiased. {chance}",
    "human ceiling, plug-in": "The same as the LPIPS paper computes it, to compare with published figures. Every vote "
    "agrees with itself there, so it is too high, the more so the fewer votes a {item} has.",
    "oracle ceiling": "The score of somebody who knows every majority: nothing can score higher on these votes. It has "
    "no interval, because resampled votes agree more than votes do.",
    "Krippendorff's alpha": "Agreement beyond chance: 0 is chance, 1 is complete. {labels}",
    "Fleiss' kappa": "Agreement beyond chance as well, for equally many votes on every {item}. {labels}",
}


@dataclass(frozen=True)
class Measure:
    name: str
    estimate: Estimate
    meaning: str


@dataclass(frozen=True)
class ReportPage(StudyPage):
    """`votes` are the valid ones now, those of the digest when it was made. `excluded` are the sittings shown that are
    excluded now. Without a digest there is no report yet."""

    template = "admin/report.html"
    standing: ReportStatus
    votes: int
    digest: ReportSummary | None
    measures: Sequence[Measure]
    excluded: frozenset[int]
    replicates: int = REPLICATES
    few_people: int = FEW_PEOPLE
    failed_sentinels: frozenset[str] = FAILED_SENTINELS

    @property
    def item(self) -> str:
        return "pair" if self.digest and self.digest.kind == "jnd" else "triplet"


def _head(access: StudyAccess) -> StudyHead:
    return head_of(access, title=access.study.slug, current="Report")


@router.get("")
def report_page(request: Request, access: AsViewer, session: SessionDep) -> Response:
    standing = requests.report_status(session, access.study)
    digest = requests.summary(session, standing.made) if standing.made else None
    shown = [sitting.assignment for sitting in digest.found] if digest else []
    page = ReportPage(
        f"Report · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=_head(access),
        standing=standing,
        votes=requests.valid_votes(session, access.study),
        digest=digest,
        measures=_measures(digest) if digest else [],
        excluded=exclusions.excluded_of(session, shown),
    )
    return show(request, page)


def _measures(digest: ReportSummary) -> list[Measure]:
    words: Mapping[str, str] = {
        "2afc": {
            "item": "triplet",
            "chance": "Coins would agree in half of the cases.",
            "labels": "It depends on which candidate is called 0, so quote it together with the agreement.",
        },
        "jnd": {"item": "pair", "chance": "", "labels": ""},
    }[digest.kind]
    return [
        Measure(name, estimate, MEANINGS[name].format(**words).strip()) for name, estimate in measures(digest.agreement)
    ]


@router.post("")
def ask_for_report(access: AsResearcher, session: SessionDep) -> Response:
    requests.request_report(session, study=access.study)
    return go(f"/admin/studies/{access.study.slug}/report", access.signed_in)


@router.get("/progress")
def progress_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """How the one asked for stands; while it is to come, this fetches itself anew, then the whole page."""
    to_come = requests.report_status(session, access.study).to_come
    context = {"to_come": to_come, "head": _head(access)}
    response = templates.TemplateResponse(request, "admin/_report_progress.html", context)
    if to_come is None:
        response.headers["HX-Refresh"] = "true"
    return response


@router.get("/charts/{chart}.json")
def chart(chart: str, access: AsViewer, session: SessionDep) -> dict[str, Any]:
    return _drawn(session, access, chart).spec | {"width": "container", "height": 240}


@router.get("/charts/{chart}.csv")
def chart_as_csv(chart: str, access: AsViewer, session: SessionDep) -> Response:
    """What the chart shows, as numbers."""
    (rows,) = _drawn(session, access, chart).spec["datasets"].values()
    return downloads.table(rows[0] if rows else [], rows, f"{access.study.slug}-{chart}.csv")


def _drawn(session: SessionDep, access: StudyAccess, chart: str) -> Drawn:
    figures = requests.summary(session, requests.made(session, access.study)).figures
    if chart not in figures:
        raise NotFound("The report has no such chart.")
    return figures[chart]


@router.get("/report.html")
def download_page(access: AsViewer, session: SessionDep) -> Response:
    """The file that opens by itself, as `lookalike report` writes it."""
    page = requests.page(session, requests.made(session, access.study))
    return downloads.file(page, "text/html", f"{access.study.slug}-report.html")


@router.get("/report.json")
def download_document(access: AsViewer, session: SessionDep) -> Response:
    document = requests.document(session, requests.made(session, access.study))
    return downloads.file(document, "application/json", f"{access.study.slug}-report.json")
