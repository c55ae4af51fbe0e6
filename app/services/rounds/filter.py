"""The unanimity filter over many items at once: `domain/consensus.py` said in SQL.

`recompute` restates items from their valid votes, `settle` makes their open slots match what they still need. Both
expect the items' rows to be locked (`lock`), in id order as everywhere, so that no vote slips in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from app.domain.consensus import Rule
from app.domain.protocol import Protocol
from app.models.studies import Study
from app.services.rounds.outcomes import valid_vote

# The expressions speak of an item `i` and of the rule's parameters (see `parameters`).
DROPPED_ROUND = """CASE
    WHEN :drop = 'dissent' OR (:drop = 'round_end' AND {n} >= :v * ceil({d} / CAST(:v AS float)))
    THEN CAST(ceil({d} / CAST(:v AS float)) AS int)
END"""
NEED = """CASE
    WHEN i.dropped_round IS NOT NULL THEN 0
    WHEN :drop = 'round_end' AND i.first_dissent IS NOT NULL
    THEN :v * CAST(ceil(i.first_dissent / CAST(:v AS float)) AS int) - i.votes_0 - i.votes_1
    ELSE greatest(0, :round * :v - i.votes_0 - i.votes_1)
END"""
HOLDS_VALID_VOTE = f"""EXISTS (
    SELECT FROM judgments j JOIN trials t ON t.id = j.trial_id
    WHERE j.slot_id = {{slot}} AND {valid_vote()}
)"""


@dataclass(frozen=True)
class Stage:
    """Where a study stands: all that the filter needs to know of it."""

    study_id: int
    seed: int
    round: int
    rule: Rule

    @classmethod
    def of(cls, study: Study, protocol: Protocol) -> "Stage":
        return cls(study.id, study.seed, study.round, protocol.rule)


def parameters(stage: Stage) -> dict[str, int | str]:
    return {"drop": stage.rule.drop, "v": stage.rule.votes_per_round, "round": stage.round}


def lock(session: Session, item_ids: Sequence[int]) -> None:
    session.execute(
        text("SELECT FROM items WHERE id = ANY(:items) ORDER BY id FOR NO KEY UPDATE"), {"items": list(item_ids)}
    )


_RECOMPUTE = text(f"""
    WITH valid AS (
        SELECT t.item_id, j.choice, row_number() OVER receipt AS place, first_value(j.choice) OVER receipt AS first
        FROM judgments j JOIN trials t ON t.id = j.trial_id
        WHERE t.item_id = ANY(:items) AND {valid_vote()}
        WINDOW receipt AS (PARTITION BY t.item_id ORDER BY j.id)
    ), tally AS (
        SELECT wanted.id,
               count(choice) FILTER (WHERE choice = 0) AS votes_0,
               count(choice) FILTER (WHERE choice = 1) AS votes_1,
               count(choice) AS n,
               min(place) FILTER (WHERE choice <> first) AS first_dissent
        FROM unnest(CAST(:items AS bigint[])) AS wanted (id) LEFT JOIN valid ON valid.item_id = wanted.id
        GROUP BY wanted.id
    )
    UPDATE items SET votes_0 = tally.votes_0, votes_1 = tally.votes_1, first_dissent = tally.first_dissent,
                     dropped_round = {DROPPED_ROUND.format(d="tally.first_dissent", n="tally.n")}
    FROM tally WHERE items.id = tally.id
""")


def recompute(session: Session, stage: Stage, item_ids: Sequence[int]) -> None:
    """Restate votes, first dissent and dropped round of these items from their valid votes."""
    session.execute(_RECOMPUTE, {"items": list(item_ids)} | parameters(stage))


# What each item has and should have: wanted = max(0, need − leased) open slots.
_BALANCE = f"""
    SELECT i.id AS item_id, i.number, coalesce(max(s.ordinal), 0) AS last_ordinal,
           greatest(0, {NEED} - count(s.id) FILTER (WHERE s.state = 'leased'))
           - count(s.id) FILTER (WHERE s.state = 'open') AS missing
    FROM items i LEFT JOIN slots s ON s.item_id = i.id
    WHERE i.id = ANY(:items)
    GROUP BY i.id
"""

_CLOSE_SURPLUS = text(f"""
    WITH balance AS ({_BALANCE}), ranked AS (
        SELECT s.id, -b.missing AS surplus,
               row_number() OVER (PARTITION BY s.item_id ORDER BY s.make_up DESC, s.ordinal DESC, s.id DESC) AS rank
        FROM balance b JOIN slots s ON s.item_id = b.item_id AND s.state = 'open'
        WHERE b.missing < 0
    )
    UPDATE slots SET state = 'closed' FROM ranked
    WHERE slots.id = ranked.id AND ranked.rank <= ranked.surplus AND slots.state = 'open'
""")

_REOPEN_CLOSED = text(f"""
    WITH balance AS ({_BALANCE}), ranked AS (
        SELECT s.id, b.missing, row_number() OVER (PARTITION BY s.item_id ORDER BY s.ordinal, s.id) AS rank
        FROM balance b JOIN slots s ON s.item_id = b.item_id AND s.state = 'closed'
        WHERE b.missing > 0 AND (s.replaces IS NULL OR NOT {HOLDS_VALID_VOTE.format(slot="s.replaces")})
    )
    UPDATE slots
    SET state = 'open', assignment_id = NULL, leased_until = NULL,
        round = :round, lap = ranked.rank, make_up = :make_up OR slots.replaces IS NOT NULL
    FROM ranked WHERE slots.id = ranked.id AND ranked.rank <= ranked.missing
""")

# A void vote is replaced at its own ordinal and side; any further vote takes the item's next ordinals. Side and draw
# key are `domain/dealing.py` in SQL: the first byte and the first four of a SHA-256.
_ADD_MISSING = text(f"""
    WITH balance AS ({_BALANCE}), void AS (
        SELECT s.id, s.item_id, s.ordinal, s.left_candidate,
               row_number() OVER (PARTITION BY s.item_id ORDER BY s.ordinal, s.id) AS rank
        FROM balance b JOIN slots s ON s.item_id = b.item_id AND s.state = 'filled'
        WHERE b.missing > 0 AND NOT EXISTS (SELECT FROM slots r WHERE r.replaces = s.id)
          AND NOT {HOLDS_VALID_VOTE.format(slot="s.id")}
    ), voids AS (
        SELECT item_id, count(*) AS voids FROM void GROUP BY item_id
    ), added AS (
        SELECT b.item_id, b.number, lap, void.id AS replaces, void.left_candidate,
               coalesce(void.ordinal, b.last_ordinal + lap - coalesce(voids.voids, 0)) AS ordinal
        FROM balance b CROSS JOIN generate_series(1, b.missing) AS lap
        LEFT JOIN void ON void.item_id = b.item_id AND void.rank = lap
        LEFT JOIN voids ON voids.item_id = b.item_id
    )
    INSERT INTO slots (study_id, item_id, round, ordinal, lap, draw, make_up, replaces, left_candidate)
    SELECT :study_id, item_id, :round, ordinal, lap,
           get_byte(key, 0) * 8388608 + get_byte(key, 1) * 32768 + get_byte(key, 2) * 128 + get_byte(key, 3) / 2,
           :make_up OR replaces IS NOT NULL, replaces,
           coalesce(left_candidate, (get_byte(side, 0) & 1) # ((ordinal - 1) % 2))
    FROM added,
    LATERAL (SELECT concat_ws(':', CAST(CAST(:seed AS bigint) AS text), number) AS item) named,
    LATERAL (SELECT sha256(convert_to(concat_ws(':', item, ordinal, 'draw'), 'UTF8')) AS key,
                    sha256(convert_to(concat_ws(':', item, (ordinal + 1) / 2, 'side'), 'UTF8')) AS side) hash
    ORDER BY lap, item_id
""")


def settle(session: Session, stage: Stage, item_ids: Sequence[int], *, opening: bool = False) -> None:
    """Close the items' surplus open slots and open the missing ones.

    Args:
        opening: the missing slots are the regular ones of a round that opens, not make-up slots beside it.
    """
    _execute(session, _CLOSE_SURPLUS, stage, item_ids)
    _execute(session, _REOPEN_CLOSED, stage, item_ids, make_up=not opening)
    _execute(session, _ADD_MISSING, stage, item_ids, make_up=not opening)


def close_surplus(session: Session, stage: Stage, item_ids: Sequence[int]) -> None:
    """Close the items' open slots that they no longer need."""
    _execute(session, _CLOSE_SURPLUS, stage, item_ids)


def _execute(session: Session, statement: TextClause, stage: Stage, item_ids: Sequence[int], **more: object) -> None:
    values = {"items": list(item_ids), "study_id": stage.study_id, "seed": stage.seed} | parameters(stage) | more
    session.execute(statement, {name: values[name] for name in statement.compile().params})
