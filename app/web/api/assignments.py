"""A study's assignments with their signals, and excluding or reinstating them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

from app.models.assignments import Assignment
from app.models.studies import Study
from app.services.assignments import browse, exclusions
from app.services.assignments.browse import ReplayedTrial, SittingLine, Which
from app.web.api.access import NOT_NOW, Id, Steerer, StudyToRead, StudyToSteer
from app.web.deps import SessionDep
from app.web.json_bodies import StorableJSONRoute
from app.web.numbers import LARGEST_ID, BeforeId

router = APIRouter(prefix="/studies/{slug}/assignments", route_class=StorableJSONRoute)


class Reason(BaseModel):
    """Stays with the decision and is exported with the votes."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"reason": "missed three sentinels"}})

    reason: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]+$")
    ]


@dataclass(frozen=True)
class Assignments:
    """`before` is what to send for the next page, None at the end."""

    assignments: list[SittingLine]
    before: int | None


@dataclass(frozen=True)
class Decision:
    """An exclusion, and its reversal if there was one."""

    reason: str
    excluded_by: str
    excluded_at: datetime
    reinstated_by: str | None
    reinstated_at: datetime | None
    reinstated_reason: str | None


@dataclass(frozen=True)
class AssignmentInFull:
    assignment: SittingLine
    trials: list[ReplayedTrial]
    exclusions: list[Decision]


@router.get("")
def list_assignments(
    study: StudyToRead,
    session: SessionDep,
    which: Which = "all",
    before: BeforeId = LARGEST_ID,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
) -> Assignments:
    """Assignments with their signals, the newest first, those below `before`."""
    found = browse.browse(session, study, which=which, before=before, limit=limit + 1)
    return Assignments(found[:limit], found[limit - 1].id if len(found) > limit else None)


@router.get("/{assignment_id}")
def read_assignment(assignment_id: Id, study: StudyToRead, session: SessionDep) -> AssignmentInFull:
    """An assignment trial by trial, as it was shown, with every decision about it."""
    return _in_full(session, browse.by_id(session, study, assignment_id))


@router.post("/{assignment_id}/exclude", responses=NOT_NOW)
def exclude(
    assignment_id: Id, given: Annotated[Reason, Body()], study: StudyToSteer, bearer: Steerer, session: SessionDep
) -> AssignmentInFull:
    """Make its votes void; they can be reinstated at any time."""
    return _decide(exclusions.exclude_by_hand, session, study, assignment_id, given, bearer)


@router.post("/{assignment_id}/reinstate", responses=NOT_NOW)
def reinstate(
    assignment_id: Id, given: Annotated[Reason, Body()], study: StudyToSteer, bearer: Steerer, session: SessionDep
) -> AssignmentInFull:
    """Use its votes again: they return to their place."""
    return _decide(exclusions.reinstate_by_hand, session, study, assignment_id, given, bearer)


def _decide(
    decide: Callable[..., Assignment],
    session: SessionDep,
    study: Study,
    assignment_id: int,
    given: Reason,
    bearer: Steerer,
) -> AssignmentInFull:
    assignment = browse.by_id(session, study, assignment_id)
    decide(session, assignment_id=assignment.id, reason=given.reason, actor=bearer.account.email)
    session.flush()
    return _in_full(session, assignment)


def _in_full(session: SessionDep, assignment: Assignment) -> AssignmentInFull:
    return AssignmentInFull(
        browse.line_of(session, assignment),
        browse.trials_of(session, assignment),
        [
            Decision(
                each.reason,
                each.excluded_by,
                each.excluded_at,
                each.reinstated_by,
                each.reinstated_at,
                each.reinstated_reason,
            )
            for each in browse.exclusions_of(session, assignment)
        ],
    )
