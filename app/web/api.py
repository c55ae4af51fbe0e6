"""The researcher's JSON API: the same services as the dashboard's, behind API tokens."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.domain.forecast import Forecast
from app.domain.roles import Role, Scope
from app.models.studies import Study
from app.services import api_tokens, members, overview, studies
from app.services.api_tokens import Bearer
from app.services.forecasts import forecast_study
from app.services.overview import StudyGlance
from app.services.status import StudyStatus, study_status
from app.web.deps import SessionDep

_bearer = HTTPBearer(auto_error=False, description="An API token, made in the dashboard under your name.")
_NEEDS: dict[Scope, Role] = {"read": "viewer", "steer": "researcher"}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"description": "no API token in force"},
    403: {"description": "the scope or the role does not suffice"},
    404: {"description": "no such study, or none of yours"},
}
router = APIRouter(prefix="/api/v1", tags=["researcher"], responses=PROBLEMS)


class _With:
    """The dependency behind `Reader` and `StudyToSteer`: who the token acts for, if its scope suffices."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = scope

    def __call__(
        self, session: SessionDep, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Bearer:
        return api_tokens.require(session, given.credentials if given else "", scope=self.scope)


Reader = Annotated[Bearer, Depends(_With("read"), scope="function")]
Steerer = Annotated[Bearer, Depends(_With("steer"), scope="function")]


def _study_to_read(slug: str, bearer: Reader, session: SessionDep) -> Study:
    return members.study_as(session, account=bearer.account, slug=slug, wanted=_NEEDS["read"])[0]


def _study_to_steer(slug: str, bearer: Steerer, session: SessionDep) -> Study:
    return members.study_as(session, account=bearer.account, slug=slug, wanted=_NEEDS["steer"])[0]


StudyToRead = Annotated[Study, Depends(_study_to_read, scope="function")]
StudyToSteer = Annotated[Study, Depends(_study_to_steer, scope="function")]


@router.get("/studies")
def list_studies(bearer: Reader, session: SessionDep) -> list[StudyGlance]:
    """The studies you may see, the newest first."""
    return overview.glances(session, account=bearer.account)


@router.get("/studies/{slug}")
def read_study(study: StudyToRead, session: SessionDep) -> StudyStatus:
    """How a study stands: rounds, survivors, votes, speed."""
    return study_status(session, study)


@router.get("/studies/{slug}/forecast")
def read_forecast(study: StudyToRead, session: SessionDep) -> Forecast:
    """What the rounds still to come will take, with 90 % intervals."""
    return forecast_study(session, study)


@router.post(
    "/studies/{slug}/{step}",
    responses={409: {"description": "its state does not allow it"}, 422: {"description": "no such step"}},
)
def take_step(step: Literal["open", "pause", "close"], study: StudyToSteer, session: SessionDep) -> StudyStatus:
    """Open, pause or close a study."""
    {"open": studies.open_study, "pause": studies.pause, "close": studies.close}[step](session, slug=study.slug)
    session.flush()
    session.refresh(study)
    return study_status(session, study)
