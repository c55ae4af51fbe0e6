"""Trained metrics and baselines side by side, from the reports that training writes. Nothing is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from app.domain.metric_reports import MetricReport, read_metric_report
from app.errors import BadInput
from app.web.admin.access import AsResearcher, AsViewer, StudyAccess
from app.web.admin.pages import StudyPage, frame_of, head_of, show

router = APIRouter(prefix="/studies/{slug}/data/metrics")


@dataclass(frozen=True)
class MetricsPage(StudyPage):
    """The best first. `ceilings` are the people's, on the triplets of the first report; `others` were measured on other
    triplets, and cannot be compared."""

    template = "admin/metrics.html"
    reports: Sequence[MetricReport]
    ceilings: Mapping[str, float]
    others: Sequence[MetricReport]
    problem: str | None = None


async def read_reports(request: Request) -> list[tuple[str, bytes]]:
    """To be asked for after the access to the study: only then is the body read."""
    files = [file for file in (await request.form()).getlist("reports") if isinstance(file, UploadFile)]
    return [(file.filename or "the file", await file.read()) for file in files if file.filename]


def _page(
    request: Request, access: StudyAccess, reports: Sequence[MetricReport], problem: str | None = None
) -> MetricsPage:
    same = [each for each in reports if each.is_comparable_with(reports[0])]
    return MetricsPage(
        f"Metrics · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Data"),
        reports=sorted(same, key=lambda each: -each.shares.value),
        ceilings=reports[0].ceilings if reports else {},
        others=[each for each in reports if not each.is_comparable_with(reports[0])],
        problem=problem,
    )


@router.get("")
def metrics_page(request: Request, access: AsViewer) -> Response:
    return show(request, _page(request, access, []))


@router.post("")
def compare(
    request: Request, access: AsResearcher, files: Annotated[list[tuple[str, bytes]], Depends(read_reports)]
) -> Response:
    """Show what the files say."""
    try:
        if not files:
            raise BadInput("Choose one or more files to compare.")
        reports = [read_metric_report(data, name=name) for name, data in files]
    except BadInput as error:
        return show(request, _page(request, access, [], error.message), status=422)
    return show(request, _page(request, access, reports))
