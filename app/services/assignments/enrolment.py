"""Signing up: a person who arrives gets the assignment they have, or a new one with trials dealt."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.domain import dealing as sides
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict, Forbidden, Gone, NothingNow, Screened
from app.keys import Keys, token_sha256
from app.models.assignments import Assignment, Trial
from app.models.items import Item
from app.models.people import Block
from app.models.recruiting import Recruitment
from app.models.studies import Study
from app.recruiters.entry import Arrival
from app.services.assignments import admission, dealing, people
from app.services.assignments.dealing import DealtSlot
from app.services.assignments.enrolment_quota import Quota
from app.services.assignments.lifecycle import expire
from app.services.rounds.rounds import release_expired_leases
from app.services.study_lookup import current_version, protocol_version


@dataclass(frozen=True)
class SignUp:
    token: str
    is_new: bool


def sign_up(
    session: Session,
    keys: Keys,
    *,
    study: Study,
    arrival: Arrival,
    consent_version: int | None = None,
    quota: Quota | None = None,
) -> SignUp:
    """The assignment of this submission: the one it has, or a new one with trials dealt.

    `consent_version` is the version of the protocol whose text the person agreed to; without one, the current.
    `quota` bounds how many newcomers of one address have not begun.

    Raises:
        Forbidden: the submission is known with another person, comes from another study, or by a link used before;
            or the person is blocked.
        Screened: this person failed the check before.
        BadInput: there is no such version of the protocol.
        Gone: the study is closed or finished, or has nothing left for this person.
        NothingNow: the study is paused, or everything is being judged by others at the moment.
        TooMany: so many of this address have not begun yet.
    """
    admission.use_link(session, arrival)
    admission.require_invitation(session, study=study, arrival=arrival)
    recruitment = admission.recruitment_of(session, study=study, arrival=arrival)
    participant_id = people.participant_of(session, keys, arrival=arrival)
    existing = people.find_assignment(session, keys, study_id=study.id, arrival=arrival)
    if existing is not None:
        return SignUp(keys.assignment_token(existing), is_new=False)
    require_open(study)
    _require_welcome(session, study_id=study.id, participant_id=participant_id)
    if quota is not None:
        quota.require_room(session, study_id=study.id)
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
    if quota is not None:
        quota.add(study_id=study.id, assignment_id=assignment.id)
    return SignUp(keys.assignment_token(assignment.id), is_new=True)


def require_open(study: Study) -> None:
    """Raises what a person should be told if the study takes nobody new."""
    if study.state == "closed" or study.finished_at is not None:
        raise Gone("Every image in this study has been judged, or the study was closed. Thank you for your interest.")
    if study.state == "draft":
        raise Conflict("This study has not started yet.")
    if study.state == "paused":
        raise NothingNow("This study is paused at the moment. Please try again later.", retry_after=60)


def _require_welcome(session: Session, *, study_id: int, participant_id: int) -> None:
    """A new submission is no new try, neither for who failed the check nor for who is blocked."""
    screened = select(Assignment.id).where(
        Assignment.study_id == study_id, Assignment.participant_id == participant_id, Assignment.state == "screened"
    )
    blocked = select(Block.study_id).where(Block.study_id == study_id, Block.participant_id == participant_id)
    is_screened, is_blocked = session.execute(select(screened.exists(), blocked.exists())).one()
    if is_screened:
        raise Screened
    if is_blocked:
        raise Forbidden("The researchers of this study have asked that you do not take part in it again.")


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
    # The protocol is not replaced (see `revisions`) between reading its version and dealing under it.
    session.execute(select(Study.id).where(Study.id == study.id).with_for_update(read=True, key_share=True))
    version = current_version(session, study.id)
    consent_version = version if newcomer.consent_version is None else newcomer.consent_version
    if not 1 <= consent_version <= version:
        raise BadInput("consent_version is no version of this study's consent.")
    protocol = protocol_version(session, study.id, version)
    # Drawn before the row is written: the token is made from the id, and so is everything drawn for the assignment.
    assignment_id = session.scalars(select(func.nextval("assignments_id_seq"))).one()
    rng = sides.assignment_rng(study.seed, assignment_id)
    unseen = _unseen_checks(session, study_id=study.id, participant_id=participant_id)
    checks = _draw_checks(protocol, unseen, rng)
    is_first = not _has_been_here(session, study_id=study.id, participant_id=participant_id)
    practice = unseen["practice"][: protocol.assignment.practice] if is_first else []
    slots = _deal(session, study_id=study.id, participant_id=participant_id, count=protocol.assignment.trials)
    assignment = Assignment(
        id=assignment_id,
        study_id=study.id,
        protocol_version=version,
        consent_version=consent_version,
        participant_id=participant_id,
        recruiter=newcomer.arrival.recruiter,
        recruitment_id=recruitment.id if recruitment else None,
        submit_to=newcomer.arrival.submit_to,
        token_sha256=token_sha256(keys.assignment_token(assignment_id)),
        completion_code=recruitment.codes["completed"] if recruitment else keys.completion_code(assignment_id),
        deadline=func.clock_timestamp() + timedelta(minutes=protocol.assignment.deadline_minutes),
    )
    session.add(assignment)
    session.flush()
    # A recruiter counts its people, and would send others for trials that are free again.
    first_lease = dealing.FIRST_LEASE if recruitment is None else None
    dealing.lease(session, slots=slots, assignment_id=assignment_id, lease=first_lease)
    order = _order(practice, checks, slots, rng=rng)
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


@dataclass(frozen=True)
class _CheckItem:
    id: int
    answer: int | None
    is_one_pair: bool


def _order(
    practice: Sequence[_CheckItem], checks: Sequence[_CheckItem], slots: Sequence[DealtSlot], *, rng: random.Random
) -> list[_Draft]:
    """Practice, sentinels and instruction trials get their sides per trial; a pool trial has its slot's."""
    return sides.arrange(
        [_Draft(item.id, None, rng.getrandbits(1)) for item in practice],
        [_Draft(slot.item_id, slot.id, slot.left_candidate) for slot in slots],
        [_Draft(item.id, None, rng.getrandbits(1)) for item in checks],
        rng=rng,
    )


def _unseen_checks(session: Session, *, study_id: int, participant_id: int) -> dict[str, list[_CheckItem]]:
    """The study's practice, sentinel and instruction items that this person has not had, in id order."""
    seen = select(Trial.item_id).where(Trial.participant_id == participant_id)
    unseen: dict[str, list[_CheckItem]] = {"practice": [], "sentinel": [], "instruction": []}
    for role, item, answer, is_one_pair in session.execute(
        select(Item.role, Item.id, Item.answer, Item.candidate_1.is_(None))
        .where(Item.study_id == study_id, Item.role.in_(unseen), Item.id.not_in(seen))
        .order_by(Item.id)
    ):
        unseen[role].append(_CheckItem(item, answer, is_one_pair))
    return unseen


def _draw_checks(protocol: Protocol, unseen: dict[str, list[_CheckItem]], rng: random.Random) -> list[_CheckItem]:
    """As many sentinels and instruction trials as the protocol wants; of single pairs, as many of them identical.

    Raises:
        Gone: this person has had them.
    """
    sitting = protocol.assignment
    same = [item for item in unseen["sentinel"] if item.is_one_pair and item.answer == 0]
    other = [item for item in unseen["sentinel"] if not (item.is_one_pair and item.answer == 0)]
    same_wanted = sitting.identical_sentinels if any(item.is_one_pair for item in unseen["sentinel"]) else 0
    try:
        return [
            *rng.sample(same, same_wanted),
            *rng.sample(other, sitting.sentinels - same_wanted),
            *rng.sample(unseen["instruction"], sitting.instruction_trials),
        ]
    except ValueError:
        raise Gone("You have taken part as often as this study allows. Thank you.") from None


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
