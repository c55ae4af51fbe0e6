"""Rounds: opening, closing, and the end of a study."""

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from app.models.items import Item, Slot
from app.models.studies import Round, Study
from app.queue import defer_recruiting
from app.services.rounds import filter as unanimity
from app.services.rounds.filter import Stage
from app.services.study_lookup import current_protocol

PENDING = ("open", "leased")


def advance(session: Session, *, study_id: int) -> None:
    """Close the round if every regular slot is filled, open the next, or finish the study; twice changes nothing.

    A round without regular slots (every survivor is ahead of it) closes as soon as it opens.
    """
    study = lock_study(session, study_id)
    rounds = current_protocol(session, study_id).rounds
    while study.state in ("open", "paused") and study.finished_at is None and is_over(session, study, rounds=rounds):
        _close_round(session, study)
        if study.round < rounds:
            open_round(session, study)
            defer_recruiting(session)
        else:
            study.finished_at = func.clock_timestamp()
            session.flush()
            session.refresh(study)


def lock_study(session: Session, study_id: int) -> Study:
    """The study as it is now, locked: before its items, by whoever opens a round or may have it
    collect again."""
    wanted = select(Study).where(Study.id == study_id).with_for_update(key_share=True)
    return session.scalars(wanted.execution_options(populate_existing=True)).one()


def open_round(session: Session, study: Study) -> None:
    """Open the study's next round: every surviving item gets the slots it needs."""
    study.round += 1
    session.add(Round(study_id=study.id, number=study.round))
    session.flush()
    survivors = session.scalars(
        select(Item.id).where(Item.study_id == study.id, Item.role == "pool", Item.dropped_round.is_(None))
    ).all()
    stage = Stage.of(study, current_protocol(session, study.id))
    unanimity.lock(session, survivors)
    unanimity.settle(session, stage, survivors, opening=True)


def recompute_items(session: Session, *, study: Study, item_ids: list[int]) -> None:
    """After votes became void or valid again: restate these items, settle their slots, and collect again if need be.
    The study is locked."""
    stage = Stage.of(study, current_protocol(session, study.id))
    unanimity.lock(session, item_ids)
    unanimity.recompute(session, stage, item_ids)
    unanimity.settle(session, stage, item_ids)
    if study.finished_at is not None and (_pending(session, study.id, True) or _pending(session, study.id, False)):
        study.finished_at = None
        session.flush()


def is_round_complete(session: Session, *, study_id: int) -> bool:
    """Whether no regular slot of the current round is open or leased."""
    return not _pending(session, study_id, False)


def is_over(session: Session, study: Study, *, rounds: int) -> bool:
    """Whether the current round can be closed: no regular slot is open or leased, and in the last of the `rounds` no
    make-up slot either."""
    return not _pending(session, study.id, False) and (study.round < rounds or not _pending(session, study.id, True))


def _pending(session: Session, study_id: int, make_up: bool) -> bool:
    pending = select(Slot.id).where(Slot.study_id == study_id, Slot.make_up == make_up, Slot.state.in_(PENDING))
    return session.scalar(select(pending.exists())) or False


def _close_round(session: Session, study: Study) -> None:
    session.execute(
        update(Round)
        .where(Round.study_id == study.id, Round.number == study.round, Round.closed_at.is_(None))
        .values(closed_at=func.clock_timestamp())
    )


def release_expired_leases(session: Session, *, study_id: int | None = None) -> None:
    """Open the slots whose lease ran out, in one study or in all.

    The slot still remembers its assignment: a vote that comes after all fills it as long as nobody else was dealt it.
    """
    expired = select(Slot.study_id, Slot.item_id).where(
        Slot.state == "leased", Slot.leased_until < func.clock_timestamp()
    )
    if study_id is not None:
        expired = expired.where(Slot.study_id == study_id)
    items_by_study: dict[int, set[int]] = {}
    for study, item in session.execute(expired):
        items_by_study.setdefault(study, set()).add(item)
    for study, items in sorted(items_by_study.items()):
        _release(session, study, sorted(items), Slot.leased_until < func.clock_timestamp())


def release_leases_of(session: Session, *, study_id: int, assignment_id: int) -> None:
    """Open the slots still leased to an assignment that has ended."""
    leased = select(Slot.item_id).where(Slot.assignment_id == assignment_id, Slot.state == "leased")
    _release(session, study_id, sorted(session.scalars(leased)), Slot.assignment_id == assignment_id)


def release_slot(session: Session, *, study_id: int, item_id: int, slot_id: int, assignment_id: int) -> None:
    """Open the slot of a trial that could not be shown, unless it went to another assignment meanwhile."""
    _release(session, study_id, [item_id], and_(Slot.id == slot_id, Slot.assignment_id == assignment_id))


def _release(session: Session, study_id: int, item_ids: list[int], which: ColumnElement[bool]) -> None:
    """Items before slots, like every other transaction that takes both; where an item was dropped meanwhile, its
    slot does not open but close."""
    if not item_ids:
        return
    unanimity.lock(session, item_ids)
    session.execute(
        update(Slot)
        .where(Slot.item_id.in_(item_ids), Slot.state == "leased", which)
        .values(state="open", leased_until=None)
        .execution_options(synchronize_session=False)
    )
    # As it is now that the items are locked: a round may have opened since this session first read the study.
    wanted = select(Study).where(Study.id == study_id).execution_options(populate_existing=True)
    study = session.scalars(wanted).one()
    unanimity.settle(session, Stage.of(study, current_protocol(session, study_id)), item_ids)
