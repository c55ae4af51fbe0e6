"""A study's data: what an export would hold now, exports made and under way, what changed between them, download."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import TypeAdapter, ValidationError

from app.domain.counted import counted
from app.domain.protocol import Kind, Protocol
from app.errors import BadInput, NotFound
from app.models.studies import Export, ExportRequest
from app.services.exports import requests as asked
from app.services.exports.export import Format
from app.services.exports.queries import EVERYTHING, ExportSelection, Split
from app.services.exports.requests import Change
from app.services.rounds import tallies
from app.services.study_lookup import current_protocol
from app.web.admin.access import AsResearcher, AsViewer, FormDep, StudyAccess
from app.web.admin.form_parsing import whole_number
from app.web.admin.pages import StudyHead, StudyPage, frame_of, go, head_of, show
from app.web.deps import ResourcesDep, SessionDep
from app.web.numbers import RowId, RowNumber
from app.web.pages import templates

router = APIRouter(prefix="/studies/{slug}/data")
FORMATS: dict[Format, str] = {
    "folder": "folder (NIGHTS)",
    "webdataset": "WebDataset",
    "parquet": "Parquet",
    "bapps": "BAPPS",
}
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Exports:
    """Those asked for, and the different ones that came of it. Fetched anew while one is under way."""

    kind: Kind
    requests: Sequence[ExportRequest]
    versions: Sequence[Export]

    @property
    def is_under_way(self) -> bool:
        return any(request.state in ("waiting", "running") for request in self.requests)

    def counts(self, request: ExportRequest) -> dict[str, int]:
        """What the export of a finished request holds."""
        return next((export.counts for export in self.versions if export.version == request.version), {})

    def files(self, request: ExportRequest) -> Sequence[str]:
        return asked.files_of(self.kind, TypeAdapter[Format](Format).validate_python(request.form))

    def what(self, request: ExportRequest) -> str:
        """The format and the selection, in words."""
        words = [next(words for form, words in FORMATS.items() if form == request.form)]
        if request.split is not None:
            words.append(f"split {request.split}")
        if request.only_kept:
            words.append("kept items only")
        if request.min_votes is not None:
            words.append(f"kept from {counted(request.min_votes, 'vote')} on")
        return ", ".join(words)


@dataclass(frozen=True)
class Preview:
    """What an export would hold now."""

    kind: Kind
    has_filter: bool
    counts: dict[str, int]


@dataclass(frozen=True)
class DataPage(StudyPage):
    template = "admin/data.html"
    preview: Preview
    protocol: Protocol
    exports: Exports
    formats: Mapping[Format, str]
    splits: Sequence[Split] = SPLITS


@dataclass(frozen=True)
class ChangePage(StudyPage):
    """What a version keeps otherwise than the one before; of long lists the first `shown`."""

    template = "admin/change.html"
    change: Change
    shown: int = 500


def _head(access: StudyAccess) -> StudyHead:
    return head_of(access, title=access.study.slug, current="Data")


def _exports(session: SessionDep, access: StudyAccess, kind: Kind) -> Exports:
    return Exports(kind, asked.of_study(session, access.study), asked.versions(session, access.study))


def _preview(session: SessionDep, access: StudyAccess, protocol: Protocol, selection: ExportSelection) -> Preview:
    pool = tallies.pools(session, [access.study.id], split=selection.split)[access.study.id]
    min_votes = selection.of(protocol).min_votes
    counts = tallies.counts(pool, drop=protocol.drop, min_votes=min_votes, only_kept=selection.only_kept)
    return Preview(protocol.kind, protocol.has_filter, counts)


def _chosen(form: Mapping[str, str], protocol: Protocol) -> tuple[Format, ExportSelection]:
    """Raises BadInput for what the form on the page cannot send."""
    most = protocol.rounds * protocol.votes_per_round
    votes = whole_number(form.get("min_votes", ""), most=most)
    if form.get("min_votes") and votes is None:
        raise BadInput(f"The least number of votes is from 1 to {most}, as many as an item gets.")
    try:
        form_ = TypeAdapter[Format](Format).validate_python(form.get("form", "folder"))
        split = TypeAdapter[Split | None](Split | None).validate_python(form.get("split") or None)
    except ValidationError:
        raise BadInput("There is no such format or split. Choose from the lists.") from None
    return form_, ExportSelection(votes, split, "only_kept" in form)


@router.get("")
def data_page(request: Request, access: AsViewer, session: SessionDep) -> Response:
    protocol = current_protocol(session, access.study.id)
    page = DataPage(
        f"Data · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=_head(access),
        preview=_preview(session, access, protocol, EVERYTHING),
        protocol=protocol,
        exports=_exports(session, access, protocol.kind),
        formats=FORMATS,
    )
    return show(request, page)


@router.get("/preview")
def preview_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """What an export of the items chosen would hold."""
    protocol = current_protocol(session, access.study.id)
    try:
        _, selection = _chosen(request.query_params, protocol)
    except BadInput as error:
        return templates.TemplateResponse(request, "admin/_preview.html", {"problem": error.message})
    context = {"preview": _preview(session, access, protocol, selection), "head": _head(access)}
    return templates.TemplateResponse(request, "admin/_preview.html", context)


@router.get("/exports")
def exports_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    kind = current_protocol(session, access.study.id).kind
    context = {"exports": _exports(session, access, kind), "head": _head(access)}
    return templates.TemplateResponse(request, "admin/_exports.html", context)


@router.post("/exports")
def ask_for_export(form: FormDep, access: AsResearcher, session: SessionDep) -> Response:
    form_, selection = _chosen(form, current_protocol(session, access.study.id))
    asked.request_export(session, study=access.study, form=form_, selection=selection)
    return go(f"/admin/studies/{access.study.slug}/data", access.signed_in, "A worker is writing the export.")


@router.get("/versions/{version}")
def change_page(request: Request, version: RowNumber, access: AsViewer, session: SessionDep) -> Response:
    page = ChangePage(
        f"Version {version} · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=_head(access),
        change=asked.change(session, access.study, version=version),
    )
    return show(request, page)


@router.get("/exports/{request_id}.zip")
def download(request_id: RowId, access: AsResearcher, session: SessionDep, resources: ResourcesDep) -> Response:
    place = asked.finished(session, resources.settings.exports, study=access.study, request_id=request_id)
    headers = {"Content-Disposition": f'attachment; filename="{place.name}.zip"'}
    return StreamingResponse(asked.zipped(place), media_type="application/zip", headers=headers)


@router.get("/exports/{request_id}/{name}")
def download_file(
    request_id: RowId, name: str, access: AsResearcher, session: SessionDep, resources: ResourcesDep
) -> Response:
    place = asked.finished(session, resources.settings.exports, study=access.study, request_id=request_id)
    if name not in asked.files_of(current_protocol(session, access.study.id).kind, "folder"):
        raise NotFound("The export has no such file.")
    if not (place / name).is_file():
        raise NotFound("An export in this format has no such file.")
    return FileResponse(place / name, filename=f"{place.name}-{name}")
