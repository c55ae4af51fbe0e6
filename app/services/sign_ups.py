"""Signing up: a person who arrives gets the assignment they have, or a new one with trials dealt."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.domain import dealing as sides
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict, Gone, NothingNow
from app.keys import Keys, token_sha256
from app.models.assignments import Assignment, Trial
from app.models.items import Item
from app.models.recruiting import Recruitment
from app.models.studies import Study
from app.recruiters.arrival import Arrival
from app.services import dealing, people
from app.services.assignments import expire
from app.services.dealing import DealtSlot
from app.services.protocols import current_version, protocol_version
from app.services.recruiting import admission
from app.services.rounds import release_expired_leases


@dataclass(frozen=True)
class SignUp:
    token: str
    is_new: bool


def sign_up(
    session: Session, keys: Keys, *, study: Study, arrival: Arrival, consent_version: int | None = None
) -> SignUp:
    """The assignment of this submission: the one it has, or a new one with trials dealt.

    `consent_version` is the version of the protocol whose text the person agreed to; without one, the current.

    Raises:
        Forbidden: the submission is known with another person, comes from another study, or by a link used before.
        BadInput: there is no such version of the protocol.
        Gone: the study is closed or finished, or has nothing left for this person.
        NothingNow: the study is paused, or everything is being judged by others at the moment.
    """
    admission.use_link(session, arrival)
    admission.require_invitation(session, study=study, arrival=arrival)
    recruitment = admission.recruitment_of(session, study=study, arrival=arrival)
    participant_id = people.participant_of(session, keys, arrival=arrival)
    existing = people.find_assignment(session, keys, study_id=study.id, arrival=arrival)
    if existing is not None:
        return SignUp(keys.assignment_token(existing), is_new=False)
    require_open(study)
    _expire_unfinished(session, study_id=study.id, participant_id=participant_id)
    newcomer = _Newcomer(study, arrival, participant_id, recruitment, consent_version)
    assignment = _new_assignment(session, keys, newcomer)
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


@dataclass(frozen=True)
class _Newcomer:
    """Who gets a new assignment. `recruitment`: the recruiter's study they come from, if any."""

    study: Study
    arrival: Arrival
    participant_id: int
    recruitment: Recruitment | None
    consent_version: int | None


def _new_assignment(session: Session, keys: Keys, newcomer: _Newcomer) -> Assignment:
    study, participant_id, recruitment = newcomer.study, newcomer.participant_id, newcomer.recruitment
    version = current_version(session, study.id)
    consent_version = version if newcomer.consent_version is None else newcomer.consent_version
    if not 1 <= consent_version <= version:
        raise BadInput("consent_version is no version of this study's consent.")
    protocol = protocol_version(session, study.id, version)
    checks = _unseen_checks(session, study_id=study.id, participant_id=participant_id)
    if len(checks["sentinel"]) < protocol.assignment.sentinels:
        raise Gone("You have taken part as often as this study allows. Thank you.")
    slots = _deal(session, study_id=study.id, participant_id=participant_id, count=protocol.assignment.trials)
    if _has_been_here(session, study_id=study.id, participant_id=participant_id):
        checks["practice"] = []
    # Drawn before the row is written: the token is made from the id.
    assignment_id = session.scalars(select(func.nextval("assignments_id_seq"))).one()
    assignment = Assignment(
        id=assignment_id,
        study_id=study.id,
        protocol_version=version,
        consent_version=consent_version,
        participant_id=participant_id,
        recruiter=newcomer.arrival.recruiter,
        recruitment_id=recruitment.id if recruitment else None,
        token_sha256=token_sha256(keys.assignment_token(assignment_id)),
        completion_code=recruitment.codes["completed"] if recruitment else keys.completion_code(assignment_id),
        deadline=func.clock_timestamp() + timedelta(minutes=protocol.assignment.deadline_minutes),
    )
    session.add(assignment)
    session.flush()
    dealing.lease(session, slots=slots, assignment_id=assignment_id)
    order = _order(protocol, slots, checks, rng=sides.assignment_rng(study.seed, assignment_id))
    _insert_trials(session, assignment, order, scale=protocol.presentation.scale)
    return assignment


def _deal(session: Session, *, study_id: int, participant_id: int, count: int) -> list[DealtSlot]:
    """What is free, down to one slot. Raises NothingNow or, where nothing can ever come, Gone."""
    release_expired_leases(session, study_id=study_id)
    slots = dealing.deal(session, study_id=study_id, participant_id=participant_id, count=count)
    if slots:
        return slots
    if dealing.may_get_work(session, study_id=study_id, participant_id=participant_id):
        raise NothingNow(
            "Other participants are judging the last images of this round. Please try again in a moment.",
            retry_after=dealing.RETRY_AFTER_S,
        )
    raise Gone("There is nothing left for you to judge in this study. Thank you.")


@dataclass(frozen=True)
class _Draft:
    item_id: int
    slot_id: int | None
    left_candidate: int


def _order(
    protocol: Protocol, slots: Sequence[DealtSlot], checks: dict[str, list[int]], *, rng: random.Random
) -> list[_Draft]:
    """Practice and sentinels are drawn, and get their sides, per trial; a pool trial has its slot's."""
    sentinels = rng.sample(checks["sentinel"], protocol.assignment.sentinels)
    return sides.arrange(
        [_Draft(item, None, rng.getrandbits(1)) for item in checks["practice"][: protocol.assignment.practice]],
        [_Draft(slot.item_id, slot.id, slot.left_candidate) for slot in slots],
        [_Draft(item, None, rng.getrandbits(1)) for item in sentinels],
        rng=rng,
    )


def _unseen_checks(session: Session, *, study_id: int, participant_id: int) -> dict[str, list[int]]:
    """The study's practice and sentinel items that this person has not had, in id order."""
    seen = select(Trial.item_id).where(Trial.participant_id == participant_id)
    unseen: dict[str, list[int]] = {"practice": [], "sentinel": []}
    for role, item in session.execute(
        select(Item.role, Item.id)
        .where(Item.study_id == study_id, Item.role.in_(unseen), Item.id.not_in(seen))
        .order_by(Item.id)
    ):
        unseen[role].append(item)
    return unseen


def _has_been_here(session: Session, *, study_id: int, participant_id: int) -> bool:
    earlier = select(Assignment.id).where(Assignment.study_id == study_id, Assignment.participant_id == participant_id)
    return session.scalar(select(earlier.exists())) or False


def _insert_trials(session: Session, assignment: Assignment, order: list[_Draft], *, scale: float) -> None:
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
            "scale": scale,
            "items": [draft.item_id for draft in order],
            "slots": [draft.slot_id for draft in order],
            "lefts": [draft.left_candidate for draft in order],
        },
    )
