"""What a recruiter tells of its submissions, brought into our books: sittings, votes and money follow.

It may be told again and again, in any state, and after any crash: it ends in the same books.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.db import Sessions
from app.keys import Keys
from app.models.assignments import Assignment, Exclusion
from app.models.recruiting import Recruitment, Submission
from app.recruiters.entry import Arrival
from app.recruiters.recruiter import (
    APPROVED,
    AWAITING_REVIEW,
    DECIDED,
    REJECTED,
    RETURNED,
    TIMED_OUT,
    RemoteSubmission,
)
from app.services import money
from app.services.assignments import lifecycle, people
from app.services.assignments.exclusions import exclude
from app.services.recruiting.alerts import tell
from app.services.rounds.rounds import release_leases_of

UNKNOWN_AFTER = timedelta(minutes=10)
"""A sitting that the recruiter has never heard of by then did not come from there."""


@dataclass
class Look:
    """What a look at the recruiter found. `to_approve` are submission ids: kept in memory only."""

    to_approve: list[str] = field(default_factory=list)
    news: int = 0
    strangers: int = 0


@dataclass(frozen=True)
class _Known:
    """A submission as we knew it, and how its sitting stands; None without one."""

    status: str
    sitting: str | None


def _standing(state: str | None, code: str | None, recruitment: Recruitment) -> str | None:
    """The sitting's state; a completed one whose failed checks the protocol wants looked at stands "for review"."""
    return "for review" if state == "completed" and code == recruitment.codes["failed_checks"] else state


def take_in(
    sessions: Sessions,
    keys: Keys,
    *,
    recruitment_id: int,
    told: Sequence[RemoteSubmission],
    asked_at: datetime,
    is_complete: bool,
) -> Look:
    """Bring what was told at `asked_at` into our books, each submission with all that follows in one transaction.
    `is_complete`: who is at work is among them."""
    look = Look()
    with sessions() as session:
        recruitment = session.get_one(Recruitment, recruitment_id)
        session.expunge(recruitment)
        known = _known(session, recruitment)
    for remote in told:
        lookup = people.submission_lookup(keys, recruitment.recruiter, recruitment.study_id, remote.id)
        before = known.get(lookup)
        may_come_yet = before is not None and before.sitting is None and remote.status not in DECIDED
        if before is None or before.status != remote.status or may_come_yet:
            with sessions.begin() as session:
                after = _bring_up_to_date(session, keys, recruitment, lookup, remote)
            look.news += before != after
        else:
            after = before
        if remote.status == AWAITING_REVIEW and after.sitting == "completed":
            look.to_approve.append(remote.id)
    with sessions.begin() as session:
        look.strangers = _look_for_strangers(session, recruitment, asked_at, is_complete=is_complete)
    return look


def _known(session: Session, recruitment: Recruitment) -> dict[bytes, _Known]:
    rows = session.execute(
        select(Submission.lookup, Submission.status, Assignment.state, Assignment.completion_code)
        .outerjoin(Assignment, Assignment.id == Submission.assignment_id)
        .where(Submission.recruitment_id == recruitment.id)
    )
    return {lookup: _Known(status, _standing(state, code, recruitment)) for lookup, status, state, code in rows}


def _bring_up_to_date(
    session: Session, keys: Keys, recruitment: Recruitment, lookup: bytes, remote: RemoteSubmission
) -> _Known:
    session.execute(
        insert(Submission)
        .values(recruitment_id=recruitment.id, lookup=lookup, status="")
        .on_conflict_do_nothing(index_elements=["lookup"])
    )
    submission = session.scalars(select(Submission).where(Submission.lookup == lookup).with_for_update()).one()
    if submission.assignment_id is None:
        submission.assignment_id = _assignment_of(session, keys, recruitment, remote)
    was, submission.status = submission.status, remote.status
    submission.started_at, submission.ended_at = remote.started_at, remote.ended_at
    session.flush()
    if remote.status == APPROVED and was != APPROVED:
        money.pay_reward(session, recruitment=recruitment, submission_id=submission.id)
    sitting = None
    if submission.assignment_id is not None:
        assignment = session.get(Assignment, submission.assignment_id, with_for_update={"key_share": True})
        assert assignment is not None
        _follow(session, recruitment, assignment, remote.status)
        sitting = _standing(assignment.state, assignment.completion_code, recruitment)
    if remote.status == AWAITING_REVIEW and sitting != "completed":
        _ask_for_review(session, recruitment, submission, sitting)
    return _Known(remote.status, sitting)


def _assignment_of(session: Session, keys: Keys, recruitment: Recruitment, remote: RemoteSubmission) -> int | None:
    """The sitting of this submission, if it is that very participant's."""
    found = people.sitting_of(
        session, keys, recruiter=recruitment.recruiter, study_id=recruitment.study_id, submission=remote.id
    )
    if found is None:
        return None
    arrival = Arrival(recruitment.recruiter, participant=remote.participant, submission=remote.id)
    if found.participant_id != people.known_participant(session, keys, arrival):
        assignment = session.get_one(Assignment, found.assignment_id)
        exclude(session, assignment=assignment, reason="came under another participant's name", actor="recruiter")
        tell(
            session,
            study_id=recruitment.study_id,
            kind="impostor",
            subject=f"assignment {assignment.id}",
            message=f"Assignment {assignment.id} came with a submission that is somebody else's. Its votes are not "
            "used, and it is not paid automatically.",
        )
        return None
    return found.assignment_id


def _follow(session: Session, recruitment: Recruitment, assignment: Assignment, status: str) -> None:
    """What a status entails for the sitting and its votes."""
    if status == RETURNED:
        _return(session, assignment)
    elif status in (TIMED_OUT, REJECTED) and assignment.state == "active":
        lifecycle.expire(session, assignment)
    elif status == TIMED_OUT and assignment.state == "completed":
        tell(
            session,
            study_id=recruitment.study_id,
            kind="unpaid",
            subject=f"assignment {assignment.id}",
            message=f"Assignment {assignment.id} was completed here but timed out at {recruitment.recruiter}, which "
            "approves it no more. Ask the recruiter's support to put it right, so that the person is paid.",
        )


def _return(session: Session, assignment: Assignment) -> None:
    """The person gave the sitting back: its votes are not used, and its slots go to others."""
    if assignment.state in ("active", "expired"):
        assignment.state = "returned"
        session.flush()
        release_leases_of(session, study_id=assignment.study_id, assignment_id=assignment.id)
    exclude(session, assignment=assignment, reason="returned at the recruiter", actor="recruiter")


def _ask_for_review(session: Session, recruitment: Recruitment, submission: Submission, sitting: str | None) -> None:
    which = "no sitting here" if submission.assignment_id is None else f"assignment {submission.assignment_id}"
    missed = "its instruction trials were missed, and the protocol wants a human to look"
    why = missed if sitting == "for review" else "no sitting was completed here for it"
    tell(
        session,
        study_id=recruitment.study_id,
        kind="review",
        subject=f"submission {submission.id}",
        message=f"Submission {submission.id} ({which}) awaits review at {recruitment.recruiter}, but {why}. "
        "Approve or reject it, or ask for its return: nobody is rejected automatically.",
    )


def _look_for_strangers(session: Session, recruitment: Recruitment, asked_at: datetime, *, is_complete: bool) -> int:
    """Sittings under this recruitment that the recruiter does not list though it should by now: made-up parameters,
    or a submission given back or lost. One that somebody decided about since stays as they left it."""
    expected_from = Assignment.created_at if is_complete else Assignment.deadline
    decided = select(Exclusion.id).where(Exclusion.assignment_id == Assignment.id)
    strangers = session.scalars(
        select(Assignment)
        .outerjoin(Submission, Submission.assignment_id == Assignment.id)
        .where(
            Assignment.recruitment_id == recruitment.id,
            Assignment.state != "active",
            expected_from < asked_at - UNKNOWN_AFTER,
            Submission.id.is_(None),
            ~decided.exists(),
        )
        .order_by(Assignment.id)
    ).all()
    for assignment in strangers:
        exclude(session, assignment=assignment, reason=f"unknown to {recruitment.recruiter}", actor="recruiter")
        if assignment.state != "completed":
            continue
        tell(
            session,
            study_id=recruitment.study_id,
            kind="stranger",
            subject=f"assignment {assignment.id}",
            message=f"{recruitment.recruiter.capitalize()} has no submission for assignment {assignment.id}: its link "
            "was made up, or it was never handed in. Its votes are not used, and it is not paid.",
        )
    return len(strangers)
