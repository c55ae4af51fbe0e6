"""Dealing: which open slots a person gets.

The walk goes along the index over (make-up first, lap, draw), skips rows that somebody else is being dealt, and stops
when it has enough: its cost does not grow with the number of items.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

RETRY_AFTER_S = 3


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


def lease(session: Session, *, slots: Sequence[DealtSlot], assignment_id: int) -> None:
    """Lease the slots to the assignment until its deadline."""
    session.execute(
        text("""
            UPDATE slots SET state = 'leased', assignment_id = a.id, leased_until = a.deadline
            FROM assignments a WHERE a.id = :assignment AND slots.id = ANY(:slots)
        """),
        {"assignment": assignment_id, "slots": [slot.id for slot in slots]},
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
