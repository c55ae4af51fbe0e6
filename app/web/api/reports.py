"""A study's report: asked for, watched, read."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Self

from fastapi import APIRouter, Response
from pydantic import TypeAdapter

from app.models.quality import Report
from app.services.reports import requests
from app.services.reports.statistics import StudyReport
from app.web.api.access import NOT_NOW, StudyToRead, StudyToSteer
from app.web.deps import SessionDep
from app.web.json_bodies import StorableJSONRoute

router = APIRouter(prefix="/studies/{slug}/report", route_class=StorableJSONRoute)


@dataclass(frozen=True)
class ReportLine:
    """`state` is waiting, running, done or failed; `problem` says why it failed."""

    id: int
    asked_by: str
    asked_at: datetime
    state: str
    problem: str | None
    finished_at: datetime | None

    @classmethod
    def of(cls, report: Report) -> Self:
        return cls(**{field.name: getattr(report, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class MadeReport:
    """The report there is, and when it was made; `to_come` is the one asked for since, which will take its place."""

    made: ReportLine
    to_come: ReportLine | None
    report: StudyReport


_LINES = TypeAdapter(ReportLine | None)


@router.get("", response_model=MadeReport)
def read_report(study: StudyToRead, session: SessionDep) -> Response:
    """Agreement, ceilings and the quality of every sitting, as they were when the report was made. 404 if none was.
    `Retry-After` says that one is being made."""
    made, to_come = requests.made(session, study), requests.report_status(session, study).to_come
    lines = {"made": ReportLine.of(made), "to_come": ReportLine.of(to_come) if to_come else None}
    # Of thousands of sittings the report is megabytes, and stands there as JSON: it is handed on as it is.
    parts = [f'"{name}":{_LINES.dump_json(line).decode()}' for name, line in lines.items()]
    parts.append(f'"report":{requests.document(session, made)}')
    headers = requests.RETRY if to_come is not None and to_come.state != "failed" else {}
    return Response(f"{{{','.join(parts)}}}", headers=headers, media_type="application/json")


@router.post("", status_code=202, responses=NOT_NOW)
def ask_for_report(study: StudyToSteer, session: SessionDep) -> ReportLine:
    """Have a worker make a report of the votes as they then are; it takes the place of the one there is. If one is to
    be made already, it is that one."""
    return ReportLine.of(requests.request_report(session, study=study))
