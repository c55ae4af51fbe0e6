"""A study's imports: asked for, watched, stopped."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from app.models.studies import ImportRequest
from app.services.items import import_requests
from app.web.api.access import NOT_NOW, Id, StudyToRead, StudyToSteer
from app.web.deps import ResourcesDep, SessionDep
from app.web.json_bodies import StorableJSONRoute
from app.web.problems import documented

router = APIRouter(prefix="/studies/{slug}/imports", route_class=StorableJSONRoute)
NOT_THERE = documented({503: "the place of imports cannot be reached"})


@dataclass(frozen=True)
class ImportLine:
    """`state` is waiting, running, done or failed; `stage` says what is being done, `done` of `total` times. Of the
    folder's items `items` are new, `already_there` came in before; `message` says why it failed."""

    id: int
    requested_by: str
    source: str
    normalise: bool
    state: str
    stage: str | None
    done: int
    total: int
    items: int | None
    already_there: int | None
    message: str | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, request: ImportRequest) -> Self:
        return cls(**{field.name: getattr(request, field.name) for field in fields(cls)})


class NewImport(BaseModel):
    """A folder by its path below the place of imports. `normalise` mends images that would be refused."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"source": "shoes", "normalise": False}})

    source: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
    normalise: bool = False


@router.get("")
def list_imports(study: StudyToRead, session: SessionDep) -> list[ImportLine]:
    """The latest imports that were asked for, the newest first."""
    return [ImportLine.of(request) for request in import_requests.of_study(session, study)]


@router.post("", status_code=202, responses=NOT_NOW | NOT_THERE)
def ask_for_import(
    study: StudyToSteer, session: SessionDep, resources: ResourcesDep, new: Annotated[NewImport, Body()]
) -> ImportLine:
    """Have a worker import a folder into a draft; ask again until its state is done."""
    return ImportLine.of(
        import_requests.request_import(
            session, resources.imports, study=study, source=new.source, normalise=new.normalise
        )
    )


@router.get("/{import_id}")
def read_import(import_id: Id, study: StudyToRead, session: SessionDep) -> ImportLine:
    """How far an import has come."""
    return ImportLine.of(import_requests.by_id(session, study, import_id))


@router.post("/stop", responses=NOT_NOW)
def stop_import(study: StudyToSteer, session: SessionDep) -> ImportLine:
    """Stop the import that is under way; what is in by then stays."""
    return ImportLine.of(import_requests.stop(session, study=study))
