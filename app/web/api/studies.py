"""Studies: listed, made, looked at, steered."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from app.domain import protocol as protocols
from app.domain.forecast import Forecast
from app.domain.protocol import Protocol
from app.errors import BadInput
from app.services.accounts import members
from app.services.studies import lifecycle, overview, revisions
from app.services.studies.forecasts import forecast_study
from app.services.studies.overview import StudyGlance
from app.services.studies.status import RoundStatus, StudyStatus, study_status
from app.services.study_lookup import current_version, protocol_version
from app.web.api.access import NOT_NOW, Reader, Steerer, StudyToRead, StudyToSteer
from app.web.deps import SessionDep
from app.web.json_bodies import StorableJSONRoute
from app.web.problems import documented

router = APIRouter(prefix="/studies", route_class=StorableJSONRoute)
Step = Literal["open", "pause", "close"]


class NewStudy(BaseModel):
    """A study from a preset; `protocol` has the fields that differ from it, nested as in a protocol's TOML file."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"slug": "shoes", "preset": "nights-2afc", "protocol": {"assignment": {"trials": 40}}}
        },
    )

    slug: Annotated[str, Field(description="1–63 lower-case letters, digits and inner hyphens")]
    preset: str = "nights-2afc"
    protocol: dict[str, Any] = Field(default_factory=dict)


class StudyProtocol(BaseModel):
    """The current version. `fixed` are the fields and sections that can no longer be changed."""

    version: int
    protocol: Protocol
    fixed: list[str]


class ProtocolChange(BaseModel):
    """`version` is the one that was read; `protocol` has the fields that change, nested as in a protocol's TOML
    file."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"version": 1, "protocol": {"pay": {"reward": 150}, "thanks": "Thank you!"}}},
    )

    version: Annotated[int, Field(ge=1, lt=2**31)]
    protocol: dict[str, Any]


@router.get("")
def list_studies(bearer: Reader, session: SessionDep) -> list[StudyGlance]:
    """The studies you may see, the newest first."""
    return overview.glances(session, account=bearer.account)


@router.post("", status_code=201)
def make_study(new: Annotated[NewStudy, Body()], bearer: Steerer, session: SessionDep) -> StudyStatus:
    """Make a draft; you are its owner."""
    if new.preset not in protocols.preset_names():
        raise BadInput(f"A preset is one of {', '.join(protocols.preset_names())}.")
    document = protocols.load(new.preset).model_dump(mode="json")
    study = lifecycle.create(session, slug=new.slug, protocol=protocols.parse(protocols.merged(document, new.protocol)))
    members.join(session, study=study, account=bearer.account, role="owner")
    return study_status(session, study)


@router.get("/{slug}")
def read_study(study: StudyToRead, session: SessionDep) -> StudyStatus:
    """How a study stands: rounds, survivors, votes, speed."""
    return study_status(session, study)


@router.get("/{slug}/protocol")
def read_protocol(study: StudyToRead, session: SessionDep) -> StudyProtocol:
    """What the study asks, how it filters and what it pays."""
    version = current_version(session, study.id)
    fixed = list(revisions.fixed_fields(session, study))
    return StudyProtocol(version=version, protocol=protocol_version(session, study.id, version), fixed=fixed)


@router.patch("/{slug}/protocol", responses=documented({409: "a newer version was saved, or the study is archived"}))
def change_protocol(
    change: Annotated[ProtocolChange, Body()], study: StudyToSteer, bearer: Steerer, session: SessionDep
) -> StudyProtocol:
    """Make a new version, which holds for the sittings that begin from then on. Only an owner of the site may raise the
    budget of a study that recruits."""
    revisions.amend(
        session,
        slug=study.slug,
        changes=change.protocol,
        based_on=change.version,
        may_spend=bearer.account.is_site_owner,
    )
    return read_protocol(study, session)


@router.get("/{slug}/rounds")
def list_rounds(study: StudyToRead, session: SessionDep) -> list[RoundStatus]:
    """Its rounds so far, the first one first."""
    return study_status(session, study).by_round


@router.get("/{slug}/forecast")
def read_forecast(study: StudyToRead, session: SessionDep) -> Forecast:
    """What the rounds still to come will take, with 90 % intervals."""
    return forecast_study(session, study)


@router.post("/{slug}/{step}", responses=NOT_NOW)
def take_step(step: Step, study: StudyToSteer, session: SessionDep) -> StudyStatus:
    """Open, pause or close a study."""
    {"open": lifecycle.open_study, "pause": lifecycle.pause, "close": lifecycle.close}[step](session, slug=study.slug)
    session.flush()
    session.refresh(study)
    return study_status(session, study)
