"""A study's data: what an export would hold now, exports made and under way, and their download."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from app.domain.protocol import Kind
from app.errors import NotFound
from app.models.studies import Export, ExportRequest
from app.services import tallies
from app.services.exports import requests as asked
from app.services.protocols import current_protocol
from app.web.admin.access import AsResearcher, AsViewer, StudyAccess
from app.web.admin.pages import StudyHead, StudyPage, frame_of, go, head_of, show
from app.web.deps import ResourcesDep, SessionDep
from app.web.pages import templates

router = APIRouter(prefix="/studies/{slug}/data")


@dataclass(frozen=True)
class Exports:
    """Those asked for, and the different ones that came of it. Fetched anew while one is under way."""

    requests: Sequence[ExportRequest]
    versions: Sequence[Export]
    files: Sequence[str]

    @property
    def is_under_way(self) -> bool:
        return any(request.state in ("waiting", "running") for request in self.requests)

    def counts(self, request: ExportRequest) -> dict[str, int]:
        """What the export of a finished request holds."""
        return next((export.counts for export in self.versions if export.version == request.version), {})


@dataclass(frozen=True)
class DataPage(StudyPage):
    """`counts` is what an export would hold now."""

    template = "admin/data.html"
    kind: Kind
    counts: dict[str, int]
    exports: Exports


def _head(access: StudyAccess) -> StudyHead:
    return head_of(access, title=access.study.slug, current="Data")


def _exports(session: SessionDep, access: StudyAccess) -> Exports:
    kind = current_protocol(session, access.study.id).kind
    return Exports(asked.of_study(session, access.study), asked.versions(session, access.study), asked.files_of(kind))


@router.get("")
def data_page(request: Request, access: AsViewer, session: SessionDep) -> Response:
    protocol = current_protocol(session, access.study.id)
    pool = tallies.pools(session, [access.study.id])[access.study.id]
    page = DataPage(
        f"Data · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=_head(access),
        kind=protocol.kind,
        counts=tallies.counts(pool, drop=protocol.drop, min_votes=protocol.min_votes),
        exports=_exports(session, access),
    )
    return show(request, page)


@router.get("/exports")
def exports_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    context = {"exports": _exports(session, access), "head": _head(access)}
    return templates.TemplateResponse(request, "admin/_exports.html", context)


@router.post("/exports")
def ask_for_export(access: AsResearcher, session: SessionDep) -> Response:
    asked.ask(session, study=access.study)
    return go(f"/admin/studies/{access.study.slug}/data", access.signed_in, "A worker is writing the export.")


@router.get("/exports/{request_id}.zip")
def download(request_id: int, access: AsResearcher, session: SessionDep, resources: ResourcesDep) -> Response:
    place = asked.finished(
        session, resources.settings.exports, study=access.study, request_id=min(request_id, 2**63 - 1)
    )
    headers = {"Content-Disposition": f'attachment; filename="{place.name}.zip"'}
    return StreamingResponse(asked.zipped(place), media_type="application/zip", headers=headers)


@router.get("/exports/{request_id}/{name}")
def download_file(
    request_id: int, name: str, access: AsResearcher, session: SessionDep, resources: ResourcesDep
) -> Response:
    place = asked.finished(
        session, resources.settings.exports, study=access.study, request_id=min(request_id, 2**63 - 1)
    )
    if name not in asked.files_of(current_protocol(session, access.study.id).kind):
        raise NotFound("The export has no such file.")
    return FileResponse(place / name, filename=f"{place.name}-{name}")
