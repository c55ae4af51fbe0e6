"""A study's exports: asked for, watched, downloaded."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app.models.studies import ExportRequest
from app.services.exports import requests as asked
from app.services.exports.export import Format
from app.services.exports.queries import ExportSelection, Split
from app.web.api.access import NOT_NOW, Id, StudyToRead, StudyToSteer
from app.web.deps import ResourcesDep, SessionDep
from app.web.json_bodies import StorableJSONRoute

router = APIRouter(prefix="/studies/{slug}/exports", route_class=StorableJSONRoute)


@dataclass(frozen=True)
class ExportLine:
    """`state` is waiting, running, done or failed; `done` of `total` items are written; `version` counts the study's
    different exports."""

    id: int
    requested_by: str
    form: str
    split: str | None
    only_kept: bool
    min_votes: int | None
    state: str
    done: int
    total: int
    version: int | None
    message: str | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, request: ExportRequest) -> Self:
        return cls(**{field.name: getattr(request, field.name) for field in fields(cls)})


class NewExport(BaseModel):
    """Which format, and which items: those of one split, only those kept, kept from other than the protocol's votes on.
    Judgments and assignments are always all there."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"form": "webdataset", "only_kept": True}})

    form: Format = "folder"
    split: Split | None = None
    only_kept: bool = False
    min_votes: Annotated[int, Field(ge=1, le=1000)] | None = None


@router.get("")
def list_exports(study: StudyToRead, session: SessionDep) -> list[ExportLine]:
    """The latest exports that were asked for, the newest first."""
    return [ExportLine.of(request) for request in asked.of_study(session, study)]


@router.post("", status_code=202, responses=NOT_NOW)
def ask_for_export(
    study: StudyToSteer, session: SessionDep, new: Annotated[NewExport | None, Body()] = None
) -> ExportLine:
    """Have a worker write an export; ask again until its state is done."""
    new = new or NewExport()
    selection = ExportSelection(new.min_votes, new.split, new.only_kept)
    return ExportLine.of(asked.request_export(session, study=study, form=new.form, selection=selection))


@router.get(
    "/{export_id}.zip",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def download_export(
    export_id: Id, study: StudyToSteer, session: SessionDep, resources: ResourcesDep
) -> StreamingResponse:
    """Its files as one ZIP."""
    place = asked.finished(session, resources.settings.exports, study=study, request_id=export_id)
    headers = {"Content-Disposition": f'attachment; filename="{place.name}.zip"'}
    return StreamingResponse(asked.zipped(place), media_type="application/zip", headers=headers)
