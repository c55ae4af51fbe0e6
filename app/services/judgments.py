"""Recording judgments: the hot path.

Two statements for a vote: one locks the assignment, so that everything said about its trials happens one after the
other; one stores the judgments, fills their slots and counts the votes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.dealing import Side
from app.errors import AnswerConflict, BadInput, NotFound, Withdrawn
from app.keys import token_sha256
from app.models.studies import Study
from app.queue import defer_round_check
from app.services import filter as unanimity
from app.services.filter import Stage
from app.services.protocols import current_protocol
from app.services.rounds import is_round_complete, reconcile


@dataclass(frozen=True)
class Answer:
    """One trial's answer as it arrived, already checked; `suspect` says that rt or timing was not usable."""

    trial: int
    side: Side
    input: str | None = None
    rt_ms: float | None = None
    timing: dict[str, Any] | None = None
    suspect: bool = False


@dataclass(frozen=True)
class Feedback:
    trial: int
    correct: bool
    expected: Side


@dataclass(frozen=True)
class Receipt:
    """What was stored: `accepted` lists repeats too; `position` counts the answered and skipped trials of `total`."""

    accepted: list[int]
    position: int
    total: int
    feedback: list[Feedback] = field(default_factory=list)


_LOCK_ASSIGNMENT = text(f"""
    SELECT a.id, a.study_id, a.state, {unanimity.IN_FORCE.format(assignment="a.id")} AS excluded,
           CAST(p.document ->> 'votes_per_round' AS int) AS v, p.document ->> 'drop' AS drop
    FROM assignments a
    JOIN protocol_versions p ON p.study_id = a.study_id AND p.version = a.protocol_version
    WHERE a.token_sha256 = :token FOR NO KEY UPDATE OF a
""")

_FIRST_DISSENT = """coalesce(i.first_dissent, CASE
    WHEN i.votes_0 + 1 - stored.choice > 0 AND i.votes_1 + stored.choice > 0 THEN i.votes_0 + i.votes_1 + 1
END)"""

# The ids come out of the sequence, and the clock is read, only once the item is locked: the order of receipt of an
# item's votes is the order in which they were counted.
_STORE = text(f"""
    WITH given AS (
        SELECT * FROM unnest(CAST(:trial AS bigint[]), CAST(:is_right AS int[]), CAST(:input AS text[]),
                             CAST(:rt_ms AS float[]), CAST(:timing AS jsonb[]), CAST(:suspect AS bool[]))
                      AS given (trial_id, is_right, input, rt_ms, timing, suspect)
    ), dealt AS (
        SELECT given.*, t.item_id, t.slot_id, t.left_candidate # given.is_right AS choice, t.left_candidate
        FROM given JOIN trials t ON t.id = given.trial_id
        WHERE t.assignment_id = :assignment AND t.skipped_at IS NULL
    ), locked AS (
        SELECT id FROM items WHERE id IN (SELECT item_id FROM dealt WHERE slot_id IS NOT NULL)
        ORDER BY id FOR NO KEY UPDATE
    ), filled AS (
        UPDATE slots SET state = 'filled' FROM dealt JOIN locked ON locked.id = dealt.item_id
        WHERE slots.id = dealt.slot_id AND slots.assignment_id = :assignment AND slots.state IN ('leased', 'open')
        RETURNING slots.id
    ), stored AS (
        INSERT INTO judgments (trial_id, question, choice, slot_id, late, suspect, input, rt_ms, timing)
        SELECT dealt.trial_id, 0, choice, slot_id, slot_id IS NOT NULL AND filled.id IS NULL,
               suspect, input, rt_ms, timing
        FROM dealt LEFT JOIN locked ON locked.id = dealt.item_id LEFT JOIN filled ON filled.id = dealt.slot_id
        ON CONFLICT (trial_id, question) DO NOTHING
        RETURNING trial_id, choice, slot_id, late
    ), counted AS (
        UPDATE items i
        SET votes_0 = i.votes_0 + 1 - stored.choice,
            votes_1 = i.votes_1 + stored.choice,
            first_dissent = {_FIRST_DISSENT},
            dropped_round = {unanimity.DROPPED_ROUND.format(d=_FIRST_DISSENT, n="(i.votes_0 + i.votes_1 + 1)")}
        FROM stored JOIN dealt USING (trial_id)
        WHERE i.id = dealt.item_id AND stored.slot_id IS NOT NULL AND NOT stored.late AND NOT :excluded
        RETURNING i.id, i.first_dissent
    )
    SELECT dealt.trial_id, dealt.item_id, dealt.choice, dealt.left_candidate, i.role, i.answer,
           stored.trial_id IS NOT NULL AS is_new, counted.first_dissent IS NOT NULL AS is_split
    FROM dealt JOIN items i ON i.id = dealt.item_id
    LEFT JOIN stored ON stored.trial_id = dealt.trial_id LEFT JOIN counted ON counted.id = dealt.item_id
""")

_PROGRESS = text("""
    SELECT count(*) AS total, count(*) FILTER (WHERE is_done) AS position,
           bool_and(is_done OR slot_id IS NULL) AS is_pool_done
    FROM (SELECT slot_id, skipped_at IS NOT NULL OR EXISTS (SELECT FROM judgments j WHERE j.trial_id = t.id) AS is_done
          FROM trials t WHERE assignment_id = :assignment) trials
""")


def record(session: Session, *, token: str, answers: Sequence[Answer]) -> Receipt:
    """Store the answers of one assignment, all or nothing; answers given before are accepted again if they are equal.

    Raises:
        NotFound: no such token. Withdrawn: the person has left.
        BadInput: a trial that is not this assignment's.
        AnswerConflict: a different second answer; `details["conflicts"]` lists the trials.
    """
    assignment = session.execute(_LOCK_ASSIGNMENT, {"token": token_sha256(token)}).one_or_none()
    if assignment is None:
        raise NotFound("This link does not belong to any assignment.")
    if assignment.state == "withdrawn":
        raise Withdrawn
    answers = _without_duplicates(answers)
    rows = session.execute(_STORE, _store_parameters(assignment, answers)).all()
    _require_known(answers, [row.trial_id for row in rows])
    _require_same(session, {row.trial_id: row.choice for row in rows if not row.is_new})
    progress = session.execute(_PROGRESS, {"assignment": assignment.id}).one()
    if any(row.is_new and row.role == "pool" for row in rows):
        _after_votes(session, assignment, rows, is_pool_done=progress.is_pool_done)
    return Receipt(
        accepted=[answer.trial for answer in answers],
        position=progress.position,
        total=progress.total,
        feedback=[
            Feedback(row.trial_id, row.choice == row.answer, "left" if row.answer == row.left_candidate else "right")
            for row in rows
            if row.role == "practice"
        ],
    )


def _without_duplicates(answers: Sequence[Answer]) -> list[Answer]:
    first: dict[int, Answer] = {}
    for answer in answers:
        if first.setdefault(answer.trial, answer).side != answer.side:
            raise AnswerConflict("The request answers a trial in two ways.", conflicts=[answer.trial])
    return list(first.values())


def _store_parameters(assignment: Any, answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "assignment": assignment.id,
        "excluded": assignment.excluded,
        "drop": assignment.drop,
        "v": assignment.v,
        "trial": [answer.trial for answer in answers],
        "is_right": [int(answer.side == "right") for answer in answers],
        "input": [answer.input for answer in answers],
        "rt_ms": [answer.rt_ms for answer in answers],
        "timing": [None if answer.timing is None else Jsonb(answer.timing) for answer in answers],
        "suspect": [answer.suspect for answer in answers],
    }


def _require_known(answers: Sequence[Answer], known: Sequence[int]) -> None:
    unknown = sorted({answer.trial for answer in answers} - set(known))
    if unknown:
        raise BadInput("Some of these trials are not open trials of this assignment.", unknown=unknown)


def _require_same(session: Session, repeats: dict[int, int]) -> None:
    """A repeat is the same if its choice is. Read by a statement of its own: the one that met the conflict cannot see
    rows committed after it began."""
    if not repeats:
        return
    stored = session.execute(
        text("SELECT trial_id, choice FROM judgments WHERE question = 0 AND trial_id = ANY(:trials)"),
        {"trials": list(repeats)},
    )
    conflicts = sorted(trial for trial, choice in stored if repeats[trial] != choice)
    if conflicts:
        raise AnswerConflict("These trials were answered differently before.", conflicts=conflicts)


def _after_votes(session: Session, assignment: Any, rows: Sequence[Any], *, is_pool_done: bool) -> None:
    """What votes entail: an item that is not unanimous needs fewer further votes, a void vote leaves its item in need,
    and the last vote of a round, which is also the last vote of some assignment, has the worker close it."""
    split = sorted(row.item_id for row in rows if row.is_split)
    if split and assignment.drop != "none":
        study = session.get_one(Study, assignment.study_id)
        unanimity.close_surplus(session, Stage.of(study, current_protocol(session, study.id)), split)
    if assignment.excluded:
        voted = sorted(row.item_id for row in rows if row.is_new and row.role == "pool")
        reconcile(session, study=session.get_one(Study, assignment.study_id), item_ids=voted)
    if is_pool_done and is_round_complete(session, study_id=assignment.study_id):
        defer_round_check(session, study_id=assignment.study_id)
