"""Assignments under way: resuming, completing, leaving, expiring."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.errors import BadInput, Conflict, Erased, NotFound, Screened, TooLarge, Unanswered, Withdrawn
from app.keys import token_sha256
from app.models.assignments import Abort, Assignment, Trial
from app.models.items import Item
from app.models.recruiting import Recruitment
from app.queue import defer_assessment, defer_round_check
from app.services.assignments import dealing
from app.services.assignments.exclusions import exclude
from app.services.assignments.people import is_erased
from app.services.rounds.rounds import is_round_complete, release_leases_of, release_slot
from app.services.study_lookup import protocol_version

ATTEMPTS = 3
"""After this many aborted attempts a trial is skipped and its slot opens again."""
LARGEST_ENVIRONMENT = 32 * 1024
"""Characters of JSON, of all that a page ever sent."""
CHECK_TRIES = 2
"""So often somebody may try the comprehension check."""


def by_token(session: Session, token: str, *, lock: bool = False) -> Assignment:
    """Raises NotFound for a token that never existed, Erased for one whose person is."""
    wanted = select(Assignment).where(Assignment.token_sha256 == token_sha256(token))
    assignment = session.scalar(wanted.with_for_update(key_share=True) if lock else wanted)
    if assignment is None:
        raise NotFound("This link does not belong to any assignment.")
    if is_erased(session, assignment.id):
        raise Erased
    return assignment


@dataclass(frozen=True)
class OpenTrial:
    """A trial still to be answered. `pairs` counts those of a JND item; `answer` is known for checks only."""

    id: int
    attempt: int
    role: str
    left_candidate: int
    pairs: int
    answer: int | None


@dataclass(frozen=True)
class Progress:
    """`position` counts the answered and skipped trials of `total`; `open` are the rest, in order."""

    position: int
    total: int
    open: list[OpenTrial]


def progress(session: Session, assignment: Assignment) -> Progress:
    rows = session.execute(
        text("""
            SELECT t.id, t.attempt, i.role, t.left_candidate, i.answer,
                   num_nonnulls(i.candidate_0, i.candidate_1) AS pairs,
                   t.skipped_at IS NOT NULL OR EXISTS (SELECT FROM judgments j WHERE j.trial_id = t.id) AS is_done
            FROM trials t JOIN items i ON i.id = t.item_id
            WHERE t.assignment_id = :assignment ORDER BY t.position
        """),
        {"assignment": assignment.id},
    ).all()
    still_open = [
        OpenTrial(row.id, row.attempt, row.role, row.left_candidate, row.pairs, row.answer)
        for row in rows
        if not row.is_done
    ]
    return Progress(position=len(rows) - len(still_open), total=len(rows), open=still_open)


def practice_trials(session: Session, assignment: Assignment) -> int:
    """How many of the assignment's trials are practice."""
    counted = select(func.count()).select_from(Trial).join(Item, Item.id == Trial.item_id)
    return session.scalars(counted.where(Trial.assignment_id == assignment.id, Item.role == "practice")).one()


@dataclass(frozen=True)
class CheckResult:
    """Of a try at the comprehension check; `wrong` are the places of the questions to think about again, from 0."""

    passed: bool
    tries_left: int
    wrong: list[int]


def check(session: Session, *, token: str, answers: Sequence[str]) -> CheckResult:
    """Take a try at the comprehension check. Whoever has passed it has passed; after the last failed try the
    assignment ends and its slots go to others.

    Raises:
        BadInput: not one answer to each question. Withdrawn, Screened: the assignment has ended so.
    """
    assignment = by_token(session, token, lock=True)
    require_under_way(assignment)
    questions = protocol_version(session, assignment.study_id, assignment.protocol_version).check
    if len(answers) != len(questions):
        raise BadInput(f"The check has {len(questions)} questions; {len(answers)} answers were given.")
    wrong = [place for place, question in enumerate(questions) if answers[place] != question.answer]
    if wrong and assignment.checked_at is None:
        assignment.check_tries += 1
        if assignment.check_tries >= CHECK_TRIES:
            assignment.state = "screened"
            session.flush()
            release_leases_of(session, study_id=assignment.study_id, assignment_id=assignment.id)
        return CheckResult(False, CHECK_TRIES - assignment.check_tries, wrong)
    assignment.checked_at = assignment.checked_at or func.clock_timestamp()
    return CheckResult(True, CHECK_TRIES - assignment.check_tries, [])


def require_under_way(assignment: Assignment) -> None:
    """Raises Withdrawn or Screened if the assignment has ended so."""
    if assignment.state == "withdrawn":
        raise Withdrawn
    if assignment.state == "screened":
        raise Screened


def complete(session: Session, *, token: str) -> Assignment:
    """Complete the assignment once every trial is answered or skipped; the same on every call, also after the deadline.

    Raises:
        Unanswered: trials are missing; `details["missing"]` lists them.
        Withdrawn, Screened: the assignment has ended otherwise.
    """
    assignment = by_token(session, token, lock=True)
    require_under_way(assignment)
    if assignment.state == "completed":
        return assignment
    missing = [trial.id for trial in progress(session, assignment).open]
    if missing:
        raise Unanswered(f"{len(missing)} of the trials are not answered yet.", missing=missing)
    if _is_for_review(session, assignment):
        assignment.completion_code = session.get_one(Recruitment, assignment.recruitment_id).codes["failed_checks"]
    assignment.state = "completed"
    assignment.completed_at = func.clock_timestamp()
    session.flush()
    session.refresh(assignment)
    defer_assessment(session, assignment_id=assignment.id)
    if is_round_complete(session, study_id=assignment.study_id):
        defer_round_check(session, study_id=assignment.study_id)
    return assignment


_INSTRUCTION_MISSES = text("""
    SELECT count(*) FROM trials t JOIN items i ON i.id = t.item_id JOIN judgments j ON j.trial_id = t.id
    WHERE t.assignment_id = :assignment AND i.role = 'instruction' AND j.choice <> i.answer
""")


def _is_for_review(session: Session, assignment: Assignment) -> bool:
    """Whether instructions were missed in a paid sitting, and the protocol wants a human to look before it is paid."""
    if assignment.recruitment_id is None:
        return False
    quality = protocol_version(session, assignment.study_id, assignment.protocol_version).quality
    if quality.failed_instructions != "review":
        return False
    misses = session.scalars(_INSTRUCTION_MISSES, {"assignment": assignment.id}).one()
    return int(misses) > quality.instruction_misses_allowed


def withdraw(session: Session, *, token: str) -> None:
    """Leave the study: the answers are not used, and what was still to be judged goes to others. Twice changes nothing.

    Raises:
        Conflict: the assignment is already completed. Screened: it has ended so.
    """
    assignment = by_token(session, token, lock=True)
    if assignment.state == "withdrawn":
        return
    require_under_way(assignment)
    if assignment.state == "completed":
        raise Conflict("This assignment is already completed. Please contact the researchers to withdraw your answers.")
    assignment.state = "withdrawn"
    session.flush()
    exclude(session, assignment=assignment, reason="withdrawn by the participant", actor="participant")
    release_leases_of(session, study_id=assignment.study_id, assignment_id=assignment.id)


def renew(session: Session, assignment: Assignment) -> None:
    """Keep the trials for somebody who has fetched them and is about to begin. The assignment is locked."""
    if assignment.state == "active":
        dealing.renew(session, assignment_id=assignment.id)


def expire(session: Session, assignment: Assignment) -> None:
    """End an unfinished assignment: its votes count, its open slots go to others."""
    assignment.state = "expired"
    session.flush()
    release_leases_of(session, study_id=assignment.study_id, assignment_id=assignment.id)
    defer_assessment(session, assignment_id=assignment.id)


def expire_overdue(session: Session) -> None:
    """Expire every assignment whose deadline has passed. Rows somebody is just using wait for the next time."""
    overdue = session.scalars(
        select(Assignment)
        .where(Assignment.state == "active", Assignment.deadline < func.clock_timestamp())
        .order_by(Assignment.id)
        .with_for_update(key_share=True, skip_locked=True)
    ).all()
    for assignment in overdue:
        expire(session, assignment)


def abort(
    session: Session, *, token: str, trial_id: int, attempt: int, reason: str, timing: Mapping[str, Any] | None
) -> Progress:
    """Store an attempt that came to no answer and move the trial to the end; a repeat changes nothing.

    Raises:
        NotFound: the trial is not this assignment's.
        Conflict: the trial is answered already.
        Withdrawn, Screened: the assignment has ended so.
    """
    assignment = by_token(session, token, lock=True)
    require_under_way(assignment)
    trial = session.get(Trial, trial_id)
    if trial is None or trial.assignment_id != assignment.id:
        raise NotFound("This trial does not belong to this assignment.")
    is_repeat = session.get(Abort, (trial_id, attempt)) is not None
    if not is_repeat and trial.skipped_at is None:
        answered = session.scalar(text("SELECT EXISTS (SELECT FROM judgments WHERE trial_id = :t)"), {"t": trial_id})
        if answered:
            raise Conflict("This trial is answered already.")
        session.add(Abort(trial_id=trial_id, attempt=attempt, reason=reason, timing=timing))
        trial.attempt += 1
        last = select(func.max(Trial.position)).where(Trial.assignment_id == assignment.id)
        trial.position = session.scalars(last).one() + 1
        session.flush()
        if trial.attempt >= ATTEMPTS:
            _skip(session, assignment, trial)
    return progress(session, assignment)


def _skip(session: Session, assignment: Assignment, trial: Trial) -> None:
    trial.skipped_at = func.clock_timestamp()
    session.flush()
    if trial.slot_id is not None:
        release_slot(
            session,
            study_id=assignment.study_id,
            item_id=trial.item_id,
            slot_id=trial.slot_id,
            assignment_id=assignment.id,
        )


def store_environment(session: Session, *, token: str, environment: Mapping[str, Any]) -> None:
    """What the page measured and the person said: refresh rate, viewport, colour vision; of each the latest counts.

    Raises:
        TooLarge: all of it together. Withdrawn, Screened: the assignment has ended so.
    """
    assignment = by_token(session, token, lock=True)
    require_under_way(assignment)
    known = {**(assignment.environment or {}), **environment}
    if len(json.dumps(known)) > LARGEST_ENVIRONMENT:
        raise TooLarge(f"More is known of this device than the {LARGEST_ENVIRONMENT // 1024} kB that are kept.")
    assignment.environment = known
