"""Assignments: signing up, resuming, completing, leaving."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.domain import dealing as sides
from app.domain.protocol import Protocol
from app.errors import Conflict, Gone, NotFound, NothingNow, Unanswered, Withdrawn
from app.keys import Keys, token_sha256
from app.models.assignments import Abort, Assignment, Trial
from app.models.items import Item
from app.models.studies import Study
from app.queue import defer_round_check
from app.recruiters.arrival import Arrival
from app.services import dealing, people
from app.services.exclusions import exclude
from app.services.protocols import current_version, protocol_version
from app.services.rounds import is_round_complete, release_expired_leases, release_leases_of, release_slot

ATTEMPTS = 3
"""After this many aborted attempts a trial is skipped and its slot opens again."""


@dataclass(frozen=True)
class SignUp:
    token: str
    is_new: bool


def sign_up(session: Session, keys: Keys, *, study: Study, arrival: Arrival) -> SignUp:
    """The assignment of this submission: the one it has, or a new one with trials dealt.

    Raises:
        Forbidden: the submission is known with another person.
        Gone: the study is closed or finished, or has nothing left for this person.
        NothingNow: the study is paused, or everything is being judged by others at the moment.
    """
    participant_id = people.participant_of(session, keys, arrival=arrival)
    existing = people.find_assignment(session, keys, study_id=study.id, arrival=arrival)
    if existing is not None:
        return SignUp(keys.assignment_token(existing), is_new=False)
    require_open(study)
    _expire_unfinished(session, study_id=study.id, participant_id=participant_id)
    assignment = _deal_assignment(session, keys, study=study, arrival=arrival, participant_id=participant_id)
    people.remember_submission(
        session,
        keys,
        study_id=study.id,
        arrival=arrival,
        participant_id=participant_id,
        assignment_id=assignment.id,
    )
    return SignUp(keys.assignment_token(assignment.id), is_new=True)


def require_open(study: Study) -> None:
    """Raises what a person should be told if the study takes nobody new."""
    if study.state == "closed" or study.finished_at is not None:
        raise Gone("Every image in this study has been judged, or the study was closed. Thank you for your interest.")
    if study.state == "draft":
        raise Conflict("This study has not started yet.")
    if study.state == "paused":
        raise NothingNow("This study is paused at the moment. Please try again later.", retry_after=60)


def _expire_unfinished(session: Session, *, study_id: int, participant_id: int) -> None:
    unfinished = session.scalars(
        select(Assignment).where(
            Assignment.study_id == study_id,
            Assignment.participant_id == participant_id,
            Assignment.state == "active",
        )
    ).all()
    for assignment in unfinished:
        expire(session, assignment)


def _deal_assignment(
    session: Session, keys: Keys, *, study: Study, arrival: Arrival, participant_id: int
) -> Assignment:
    version = current_version(session, study.id)
    protocol = protocol_version(session, study.id, version)
    assignment_id = session.scalars(select(func.nextval("assignments_id_seq"))).one()
    rng = sides.assignment_rng(study.seed, assignment_id)
    unseen = _unseen_by_role(session, study_id=study.id, participant_id=participant_id)
    if len(unseen["sentinel"]) < protocol.assignment.sentinels:
        raise Gone("You have taken part as often as this study allows. Thank you.")
    release_expired_leases(session, study_id=study.id)
    slots = dealing.deal(session, study_id=study.id, participant_id=participant_id, count=protocol.assignment.trials)
    if not slots:
        if dealing.may_get_work(session, study_id=study.id, participant_id=participant_id):
            raise NothingNow(
                "Other participants are judging the last images of this round. Please try again in a moment.",
                retry_after=dealing.RETRY_AFTER_S,
            )
        raise Gone("There is nothing left for you to judge in this study. Thank you.")
    deadline = timedelta(minutes=protocol.assignment.deadline_minutes)
    assignment = Assignment(
        id=assignment_id,
        study_id=study.id,
        protocol_version=version,
        participant_id=participant_id,
        recruiter=arrival.recruiter,
        token_sha256=token_sha256(keys.assignment_token(assignment_id)),
        completion_code=keys.completion_code(assignment_id),
        deadline=func.clock_timestamp() + deadline,
    )
    session.add(assignment)
    session.flush()
    dealing.lease(session, slots=slots, assignment_id=assignment_id)
    is_returning = _has_been_here(session, assignment)
    practice = [] if is_returning else unseen["practice"][: protocol.assignment.practice]
    order = sides.arrange(
        [_Draft(item, None, rng.getrandbits(1)) for item in practice],
        [_Draft(slot.item_id, slot.id, slot.left_candidate) for slot in slots],
        [
            _Draft(item, None, rng.getrandbits(1))
            for item in rng.sample(unseen["sentinel"], protocol.assignment.sentinels)
        ],
        rng=rng,
    )
    _insert_trials(session, assignment, order, protocol)
    return assignment


@dataclass(frozen=True)
class _Draft:
    item_id: int
    slot_id: int | None
    left_candidate: int


def _unseen_by_role(session: Session, *, study_id: int, participant_id: int) -> dict[str, list[int]]:
    """The study's practice and sentinel items that this person has not had, in id order."""
    seen = select(Trial.item_id).where(Trial.participant_id == participant_id)
    rows = session.execute(
        select(Item.role, Item.id)
        .where(Item.study_id == study_id, Item.role.in_(["practice", "sentinel"]), Item.id.not_in(seen))
        .order_by(Item.id)
    )
    unseen: dict[str, list[int]] = {"practice": [], "sentinel": []}
    for role, item in rows:
        unseen[role].append(item)
    return unseen


def _has_been_here(session: Session, assignment: Assignment) -> bool:
    earlier = select(Assignment.id).where(
        Assignment.study_id == assignment.study_id,
        Assignment.participant_id == assignment.participant_id,
        Assignment.id != assignment.id,
    )
    return session.scalar(select(earlier.exists())) or False


def _insert_trials(session: Session, assignment: Assignment, order: list[_Draft], protocol: Protocol) -> None:
    session.execute(
        text("""
            INSERT INTO trials (assignment_id, participant_id, item_id, slot_id, position, left_candidate, scale)
            SELECT :assignment, :participant, item_id, slot_id, position, left_candidate, :scale
            FROM unnest(CAST(:items AS bigint[]), CAST(:slots AS bigint[]), CAST(:lefts AS int[]))
                 WITH ORDINALITY AS drafted (item_id, slot_id, left_candidate, position)
            ORDER BY position
        """),
        {
            "assignment": assignment.id,
            "participant": assignment.participant_id,
            "scale": protocol.presentation.scale,
            "items": [draft.item_id for draft in order],
            "slots": [draft.slot_id for draft in order],
            "lefts": [draft.left_candidate for draft in order],
        },
    )


def by_token(session: Session, token: str, *, lock: bool = False) -> Assignment:
    """Raises NotFound for a token that never existed."""
    wanted = select(Assignment).where(Assignment.token_sha256 == token_sha256(token))
    assignment = session.scalar(wanted.with_for_update(key_share=True) if lock else wanted)
    if assignment is None:
        raise NotFound("This link does not belong to any assignment.")
    return assignment


@dataclass(frozen=True)
class OpenTrial:
    """A trial still to be answered."""

    id: int
    attempt: int
    is_practice: bool


@dataclass(frozen=True)
class Progress:
    """`position` counts the answered and skipped trials of `total`; `open` are the rest, in order."""

    position: int
    total: int
    open: list[OpenTrial]


def progress(session: Session, assignment: Assignment) -> Progress:
    rows = session.execute(
        text("""
            SELECT t.id, t.attempt, i.role,
                   t.skipped_at IS NOT NULL OR EXISTS (SELECT FROM judgments j WHERE j.trial_id = t.id) AS is_done
            FROM trials t JOIN items i ON i.id = t.item_id
            WHERE t.assignment_id = :assignment ORDER BY t.position
        """),
        {"assignment": assignment.id},
    ).all()
    still_open = [OpenTrial(row.id, row.attempt, row.role == "practice") for row in rows if not row.is_done]
    return Progress(position=len(rows) - len(still_open), total=len(rows), open=still_open)


def complete(session: Session, *, token: str) -> Assignment:
    """Complete the assignment once every trial is answered or skipped; the same on every call, also after the deadline.

    Raises:
        Unanswered: trials are missing; `details["missing"]` lists them.
        Withdrawn: the person has left.
    """
    assignment = by_token(session, token, lock=True)
    if assignment.state == "withdrawn":
        raise Withdrawn
    if assignment.state == "completed":
        return assignment
    missing = [trial.id for trial in progress(session, assignment).open]
    if missing:
        raise Unanswered(f"{len(missing)} of the trials are not answered yet.", missing=missing)
    assignment.state = "completed"
    assignment.completed_at = func.clock_timestamp()
    session.flush()
    session.refresh(assignment)
    if is_round_complete(session, study_id=assignment.study_id):
        defer_round_check(session, study_id=assignment.study_id)
    return assignment


def withdraw(session: Session, *, token: str) -> None:
    """Leave the study: the answers are not used, and what was still to be judged goes to others. Twice changes nothing.

    Raises:
        Conflict: the assignment is already completed.
    """
    assignment = by_token(session, token, lock=True)
    if assignment.state == "withdrawn":
        return
    if assignment.state == "completed":
        raise Conflict("This assignment is already completed. Please contact the researchers to withdraw your answers.")
    assignment.state = "withdrawn"
    session.flush()
    release_leases_of(session, study_id=assignment.study_id, assignment_id=assignment.id)
    exclude(session, assignment=assignment, reason="withdrawn by the participant", actor="participant")


def expire(session: Session, assignment: Assignment) -> None:
    """End an unfinished assignment: its votes count, its open slots go to others."""
    assignment.state = "expired"
    session.flush()
    release_leases_of(session, study_id=assignment.study_id, assignment_id=assignment.id)


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
    """
    assignment = by_token(session, token, lock=True)
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
        release_slot(session, study_id=assignment.study_id, item_id=trial.item_id, slot_id=trial.slot_id)


def store_environment(session: Session, *, token: str, environment: Mapping[str, Any]) -> None:
    """What the page measured: refresh rate, viewport and the like; the latest report counts."""
    by_token(session, token, lock=True).environment = dict(environment)
