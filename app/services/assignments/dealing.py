"""Dealing: which open slots a person gets.

The walk goes along the index over (make-up first, lap, draw), skips rows that somebody else is being dealt, and stops
when it has enough: its cost does not grow with the number of items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.services.rounds import filter as unanimity

RETRY_AFTER_S = 3
FIRST_LEASE = timedelta(minutes=5)
"""So long somebody's trials are kept for them who has not answered anything yet, and whom no recruiter counts."""


@dataclass(frozen=True)
class DealtSlot:
    id: int
    item_id: int
    left_candidate: int


_WALK = text("""
    SELECT s.id, s.item_id, s.left_candidate FROM slots s
    WHERE s.study_id = :study_id AND s.state = 'open' AND s.item_id <> ALL(:items)
      AND NOT EXISTS (SELECT FROM trials t WHERE t.participant_id = :participant_id AND t.item_id = s.item_id)
    ORDER BY s.make_up DESC, s.lap, s.draw, s.id
    LIMIT :wanted FOR UPDATE OF s SKIP LOCKED
""")


def deal(session: Session, *, study_id: int, participant_id: int, count: int) -> list[DealtSlot]:
    """Up to `count` open slots, locked, of items that this person has never seen, one slot per item."""
    dealt: dict[int, DealtSlot] = {}
    while len(dealt) < count:
        slots = session.execute(
            _WALK,
            {
                "study_id": study_id,
                "participant_id": participant_id,
                "items": list(dealt),
                "wanted": count - len(dealt),
            },
        ).all()
        if not slots:
            break
        for slot in slots:
            dealt.setdefault(slot.item_id, DealtSlot(slot.id, slot.item_id, slot.left_candidate))
    return list(dealt.values())


_LEASE = text("""
    UPDATE slots SET state = 'leased', assignment_id = a.id,
                     leased_until = greatest(leased_until, least(a.deadline, clock_timestamp() + :lease))
    FROM assignments a WHERE a.id = :assignment AND slots.id = ANY(:slots)
""")


def lease(session: Session, *, slots: Sequence[DealtSlot], assignment_id: int, lease: timedelta | None) -> None:
    """Lease the slots to the assignment for so long, in which it has to begin; for None until its deadline."""
    _lease(session, [slot.id for slot in slots], assignment_id, lease)


def _lease(session: Session, slots: list[int], assignment_id: int, lease: timedelta | None) -> None:
    session.execute(
        _LEASE, {"assignment": assignment_id, "slots": slots, "lease": timedelta(days=365) if lease is None else lease}
    )


_THEIRS = text("""
    SELECT id, item_id FROM slots WHERE assignment_id = :assignment AND state IN ('leased', 'open')
""")


def renew(session: Session, *, assignment_id: int) -> None:
    """Lease the slots of an assignment that has not begun for a while again, also those whose lease ran out and that
    nobody else was dealt meanwhile. Its row is locked."""
    slots = session.execute(_THEIRS, {"assignment": assignment_id}).all()
    unanimity.lock(session, sorted({slot.item_id for slot in slots}))
    still = session.execute(_THEIRS, {"assignment": assignment_id}).all()
    _lease(session, [slot.id for slot in still], assignment_id, FIRST_LEASE)


def keep(session: Session, *, assignment_id: int) -> None:
    """Keep what is leased to an assignment until its deadline: it has begun. Waits for nobody, as votes hold items:
    who has a slot locked is just taking it back."""
    session.execute(
        text("""
            UPDATE slots SET leased_until = a.deadline FROM assignments a
            WHERE a.id = :assignment AND slots.id IN (
                SELECT id FROM slots WHERE assignment_id = :assignment AND state = 'leased'
                FOR NO KEY UPDATE SKIP LOCKED
            )
        """),
        {"assignment": assignment_id},
    )


_EVER = text("""
    SELECT EXISTS (
        SELECT FROM items i
        WHERE i.study_id = :study_id AND i.role = 'pool' AND i.dropped_round IS NULL
          AND NOT EXISTS (SELECT FROM trials t WHERE t.participant_id = :participant_id AND t.item_id = i.id)
    )
""")


def may_get_work(session: Session, *, study_id: int, participant_id: int) -> bool:
    """Whether some item still in the pool has never been shown to this person."""
    return bool(session.scalar(_EVER, {"study_id": study_id, "participant_id": participant_id}))
