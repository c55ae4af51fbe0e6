"""A study's assignments: a table, a page for each, and excluding or reinstating with the consequence in sight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from app.domain.messages import Message, messages
from app.domain.money import in_words
from app.domain.protocol import Protocol
from app.errors import Conflict
from app.models.assignments import Exclusion
from app.models.people import Block
from app.services.assignments import blocks, browse, exclusions
from app.services.assignments.browse import WHICH, ReplayedTrial, SittingLine, Which
from app.services.assignments.exclusions import Consequence
from app.services.study_lookup import current_protocol, protocol_version
from app.web.admin.access import AsResearcher, AsViewer, FormDep, StudyAccess
from app.web.admin.assignments.submission_review import Decision, decisions_about
from app.web.admin.pages import FormPage, StudyHead, StudyPage, frame_of, go, head_of, show
from app.web.deps import SessionDep
from app.web.numbers import LARGEST_ID, BeforeId, RowId

router = APIRouter(prefix="/studies/{slug}/assignments")
PER_PAGE = 25
LONGEST_REASON = 500
UNDO_LASTS = timedelta(minutes=10)
Turn = Literal["exclude", "reinstate"]


@dataclass(frozen=True)
class AssignmentsPage(StudyPage):
    """`older` is the address of the next page."""

    template = "admin/assignments.html"
    lines: Sequence[SittingLine]
    which: Which
    participant: str
    older: str | None
    whiches: tuple[Which, ...] = WHICH


@dataclass(frozen=True)
class AssignmentPage(StudyPage):
    """`submission` is its status in the recruiter's words. `decisions` about pay and person are open to those who steer
    the study; `can_undo` says that this person has just excluded it."""

    template = "admin/assignment.html"
    line: SittingLine
    trials: Sequence[ReplayedTrial]
    exclusions: Sequence[Exclusion]
    protocol: Protocol
    submission: str | None
    blocked: Block | None
    decisions: Mapping[Decision, str]
    messages: Sequence[Message]
    can_undo: bool


@dataclass(frozen=True)
class ExclusionPage(FormPage):
    """Asks for the reason, and says what would change."""

    template = "admin/exclusion.html"
    head: StudyHead
    turn: Turn
    line: SittingLine
    consequence: Consequence
    cost: str
    has_filter: bool


@router.get("")
def assignments_page(
    request: Request,
    access: AsViewer,
    session: SessionDep,
    which: Which = "all",
    participant: Annotated[str, Query(max_length=100)] = "",
    before: BeforeId = LARGEST_ID,
) -> Response:
    participant = participant.strip().replace("\0", "")
    found = browse.browse(
        session, access.study, which=which, participant=participant or None, before=before, limit=PER_PAGE + 1
    )
    lines = found[:PER_PAGE]
    page = AssignmentsPage(
        f"Assignments · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Assignments"),
        lines=lines,
        which=which,
        participant=participant,
        older=_older(which, participant, lines[-1].id) if len(found) > PER_PAGE else None,
    )
    return show(request, page)


def _older(which: Which, participant: str, before: int) -> str:
    return "?" + urlencode({"which": which, "participant": participant, "before": before})


@router.get("/{assignment_id}")
def assignment_page(request: Request, assignment_id: RowId, access: AsViewer, session: SessionDep) -> Response:
    assignment = browse.by_id(session, access.study, assignment_id)
    decided, blocked = (
        browse.exclusions_of(session, assignment),
        blocks.of_participant(session, assignment=assignment),
    )
    submission = browse.submission_status(session, assignment)
    protocol = protocol_version(session, access.study.id, assignment.protocol_version)
    page = AssignmentPage(
        f"Assignment {assignment.id} · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Assignments"),
        line=browse.line_of(session, assignment),
        trials=browse.trials_of(session, assignment),
        exclusions=decided,
        protocol=protocol,
        submission=submission,
        blocked=blocked,
        decisions=decisions_about(assignment, submission=submission, is_blocked=blocked is not None),
        messages=messages(protocol),
        can_undo=any(_is_fresh(exclusion, access.signed_in.account.email) for exclusion in decided),
    )
    return show(request, page)


def _is_fresh(exclusion: Exclusion, actor: str) -> bool:
    age = datetime.now(UTC) - exclusion.excluded_at
    return exclusion.reinstated_at is None and exclusion.excluded_by == actor and age < UNDO_LASTS


@router.get("/{assignment_id}/{turn}")
def exclusion_page(
    request: Request, assignment_id: RowId, turn: Turn, access: AsResearcher, session: SessionDep
) -> Response:
    return show(request, _exclusion_page(request, session, access, assignment_id, turn))


@router.post("/{assignment_id}/{turn}")
def turn_exclusion(
    request: Request, assignment_id: RowId, turn: Turn, form: FormDep, access: AsResearcher, session: SessionDep
) -> Response:
    assignment = browse.by_id(session, access.study, assignment_id)
    reason = form.get("reason", "").strip().replace("\0", "")
    if not 0 < len(reason) <= LONGEST_REASON:
        page = _exclusion_page(request, session, access, assignment_id, turn, reason=reason)
        return show(request, page, status=422)
    actor = access.signed_in.account.email
    if turn == "exclude":
        exclusions.exclude_by_hand(session, assignment_id=assignment.id, reason=reason, actor=actor)
        notice = f"Assignment {assignment.id} is excluded. You can reinstate it at any time."
    else:
        exclusions.reinstate_by_hand(session, assignment_id=assignment.id, reason=reason, actor=actor)
        notice = f"Assignment {assignment.id} counts again."
    return go(f"/admin/studies/{access.study.slug}/assignments/{assignment.id}", access.signed_in, notice)


def _exclusion_page(
    request: Request,
    session: SessionDep,
    access: StudyAccess,
    assignment_id: RowId,
    turn: Turn,
    *,
    reason: str | None = None,
) -> ExclusionPage:
    """Raises Conflict if it is excluded, or reinstated, already."""
    assignment = browse.by_id(session, access.study, assignment_id)
    line = browse.line_of(session, assignment)
    if line.is_excluded == (turn == "exclude"):
        raise Conflict(f"Assignment {assignment.id} is {'excluded' if line.is_excluded else 'not excluded'} already.")
    if turn == "reinstate" and line.state == "withdrawn":
        raise Conflict(f"Assignment {assignment.id} was withdrawn by the participant; its answers may not be used.")
    consequence = exclusions.preview(session, assignment=assignment)
    protocol = current_protocol(session, access.study.id)
    problem = f"Give a reason, of at most {LONGEST_REASON} characters."
    return ExclusionPage(
        f"{turn.capitalize()} assignment {assignment.id}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Assignments"),
        turn=turn,
        line=line,
        consequence=consequence,
        cost=in_words(
            max(0, consequence.votes_wanted) / protocol.assignment.trials * protocol.pay.reward, protocol.pay.currency
        ),
        has_filter=protocol.has_filter,
        values={} if reason is None else {"reason": reason},
        problems={} if reason is None else {"reason": problem},
    )
