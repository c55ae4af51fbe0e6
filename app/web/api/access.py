"""Who a program acts for, and what it may do: API tokens with scopes, roles in studies; and how errors look."""

from typing import Annotated, Any

from fastapi import Depends, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.domain.roles import Role, Scope
from app.models.studies import Study
from app.services.accounts import api_tokens, members
from app.services.accounts.api_tokens import Bearer
from app.web.deps import SessionDep
from app.web.numbers import LARGEST_ID
from app.web.problems import documented

_bearer = HTTPBearer(auto_error=False, description="An API token, made in the dashboard under your name.")
_NEEDS: dict[Scope, Role] = {"read": "viewer", "steer": "researcher"}

PROBLEMS: dict[int | str, dict[str, Any]] = documented(
    {
        401: "no API token in force",
        403: "the token's scope or your role does not suffice",
        404: "there is no such thing, or none of yours",
        422: "the request is malformed, or what it asks for cannot be",
    }
)
NOT_NOW = documented({409: "the state of the study does not allow it"})


class _With:
    """The dependency behind `Reader` and `Steerer`: who the token acts for, if its scope suffices."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = scope

    def __call__(
        self, session: SessionDep, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Bearer:
        return api_tokens.require(session, given.credentials if given else "", scope=self.scope)


Reader = Annotated[Bearer, Depends(_With("read"), scope="function")]
Steerer = Annotated[Bearer, Depends(_With("steer"), scope="function")]
Slug = Annotated[str, Path(description="the study's name", examples=["shoes"])]


def _study_to_read(slug: Slug, bearer: Reader, session: SessionDep) -> Study:
    return members.study_as(session, account=bearer.account, slug=slug, wanted=_NEEDS["read"])[0]


def _study_to_steer(slug: Slug, bearer: Steerer, session: SessionDep) -> Study:
    return members.study_as(session, account=bearer.account, slug=slug, wanted=_NEEDS["steer"])[0]


StudyToRead = Annotated[Study, Depends(_study_to_read, scope="function")]
StudyToSteer = Annotated[Study, Depends(_study_to_steer, scope="function")]
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
