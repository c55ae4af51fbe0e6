"""Excluding an assignment's votes and taking that back: reversible, and the items are restated at once.

`exclude` and `reinstate` are for other services, which hold the assignment's lock and only want its votes not to be
used, or to be used again. `exclude_by_hand` and `reinstate_by_hand` are decisions, and repeating one is an error.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.domain.consensus import item_state
from app.errors import BadInput, Conflict, NotFound
from app.models.assignments import Assignment, Exclusion, Trial
from app.models.studies import Study
from app.services import audit
from app.services.rounds.outcomes import VOTE, is_excluded
from app.services.rounds.rounds import lock_study, recompute_items
from app.services.study_lookup import current_protocol


def exclude_by_hand(session: Session, *, assignment_id: int, reason: str, actor: str) -> Assignment:
    """Make an assignment's votes void.

    Raises:
        NotFound: no such assignment. BadInput: no reason. Conflict: it is excluded already.
    """
    assignment, reason = by_id(session, assignment_id), _given(reason)
    exclusion = in_force(session, assignment.id)
    if exclusion is not None:
        raise Conflict(
            f"Assignment {assignment.id} is excluded already, since {exclusion.excluded_at:%Y-%m-%d %H:%M} UTC by "
            f"{exclusion.excluded_by}: {exclusion.reason}"
        )
    exclude(session, assignment=assignment, reason=reason, actor=actor)
    return assignment


def reinstate_by_hand(session: Session, *, assignment_id: int, reason: str, actor: str) -> Assignment:
    """Use an excluded assignment's votes again: they return to their place.

    Raises:
        NotFound: no such assignment. BadInput: no reason.
        Conflict: it is not excluded, or the participant withdrew it, which nobody else can take back.
    """
    assignment, reason = by_id(session, assignment_id), _given(reason)
    if in_force(session, assignment.id) is None:
        raise Conflict(f"Assignment {assignment.id} is not excluded, so there is nothing to reinstate.")
    if assignment.state == "withdrawn":
        raise Conflict(f"Assignment {assignment.id} was withdrawn by the participant; its answers may not be used.")
    reinstate(session, assignment=assignment, reason=reason, actor=actor)
    return assignment


def by_id(session: Session, assignment_id: int) -> Assignment:
    """The assignment by its public number, locked like for a vote: no vote slips in while it is decided upon.

    Raises NotFound.
    """
    wanted = select(Assignment).where(Assignment.id == assignment_id).with_for_update(key_share=True)
    assignment = session.scalar(wanted.execution_options(populate_existing=True))
    if assignment is None:
        raise NotFound(f"There is no assignment {assignment_id}. `lookalike report STUDY` lists them.")
    return assignment


def exclude(session: Session, *, assignment: Assignment, reason: str, actor: str) -> None:
    """Make the assignment's votes void. An exclusion in force stays as it is."""
    if in_force(session, assignment.id) is not None:
        return
    session.add(Exclusion(assignment_id=assignment.id, reason=reason, excluded_by=actor))
    session.flush()
    _record(session, "excluded the assignment", assignment, reason)
    _reconcile_items_of(session, assignment)


def reinstate(session: Session, *, assignment: Assignment, reason: str, actor: str) -> None:
    """Take the exclusion back: the votes return to their place. Without an exclusion in force nothing changes."""
    exclusion = in_force(session, assignment.id)
    if exclusion is None:
        return
    exclusion.reinstated_at = func.clock_timestamp()
    exclusion.reinstated_by, exclusion.reinstated_reason = actor, reason
    session.flush()
    _record(session, "reinstated the assignment", assignment, reason)
    _reconcile_items_of(session, assignment)


@dataclass(frozen=True)
class Consequence:
    """What excluding an assignment, or reinstating it, does: items that come back into the pool or fall out of it, and
    by how many the votes still to be collected change in the current round."""

    returned: int
    dropped: int
    votes_wanted: int


def preview(session: Session, *, assignment: Assignment) -> Consequence:
    """What would happen; nothing is locked, and nothing changes."""
    study = session.get_one(Study, assignment.study_id)
    rule = current_protocol(session, study.id).rule
    returned = dropped = votes_wanted = 0
    for row in session.execute(_VOTES, {"assignment": assignment.id, "items": _items_of(session, assignment)}):
        before, after = item_state(row.votes, rule, study.round), item_state(row.votes_after, rule, study.round)
        returned += before.dropped_round is not None and after.dropped_round is None
        dropped += before.dropped_round is None and after.dropped_round is not None
        # A slot that is leased stays, whether its vote is needed or not.
        votes_wanted += max(after.need, row.leased) - max(before.need, row.leased)
    return Consequence(returned, dropped, votes_wanted)


# Of every item with votes: the valid ones now, and once the assignment's own are turned. Trial by trial (OFFSET 0): for
# so many the planner would go through all judgments there are.
_VOTES = text(f"""
    SELECT coalesce(array_agg(choice ORDER BY id) FILTER (WHERE is_valid), '{{}}') AS votes,
           coalesce(array_agg(choice ORDER BY id) FILTER (WHERE is_valid <> is_own), '{{}}')
               AS votes_after,
           (SELECT count(*) FROM slots s WHERE s.item_id = votes.item_id AND s.state = 'leased') AS leased
    FROM (
        SELECT t.item_id, j.*, t.assignment_id = :assignment AS is_own,
               NOT {is_excluded("t.assignment_id")} AS is_valid
        FROM trials t CROSS JOIN LATERAL (
            SELECT j.id, j.choice FROM judgments j WHERE j.trial_id = t.id AND {VOTE} OFFSET 0
        ) j
        WHERE t.item_id = ANY(:items)
    ) votes
    GROUP BY item_id
""")


def in_force(session: Session, assignment_id: int) -> Exclusion | None:
    return session.scalar(
        select(Exclusion).where(Exclusion.assignment_id == assignment_id, Exclusion.reinstated_at.is_(None))
    )


def excluded_of(session: Session, assignment_ids: Collection[int]) -> frozenset[int]:
    """Those of the assignments that are excluded now."""
    wanted = Exclusion.assignment_id.in_(assignment_ids), Exclusion.reinstated_at.is_(None)
    return frozenset(session.scalars(select(Exclusion.assignment_id).where(*wanted)))


def was_decided(session: Session, assignment_id: int) -> bool:
    """Whether anybody ever excluded it, be it reinstated since."""
    decided = select(Exclusion.id).where(Exclusion.assignment_id == assignment_id)
    return session.scalar(select(decided.exists())) or False


def _given(reason: str) -> str:
    if not reason.strip():
        raise BadInput("Say why: the reason stays with the decision and is exported with the votes.")
    return reason.strip()


def _reconcile_items_of(session: Session, assignment: Assignment) -> None:
    study = lock_study(session, assignment.study_id)  # which may have to collect again
    recompute_items(session, study=study, item_ids=_items_of(session, assignment))


def _record(session: Session, action: str, assignment: Assignment, reason: str) -> None:
    study = session.get_one(Study, assignment.study_id)
    audit.record(session, action, study=study, subject=str(assignment.id), reason=reason)


def _items_of(session: Session, assignment: Assignment) -> list[int]:
    return list(
        session.scalars(
            select(Trial.item_id)
            .where(Trial.assignment_id == assignment.id, Trial.slot_id.is_not(None))
            .order_by(Trial.item_id)
        )
    )
