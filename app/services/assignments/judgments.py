"""Recording judgments: the hot path.

A vote's first statement locks the assignment, so that everything said about its trials happens one after the other; the
next looks at what may have been decided while the first one waited; one stores the judgments, fills their slots and
counts the votes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.protocol import Kind
from app.errors import AnswerConflict, BadInput, Erased, NotFound, Screened, Withdrawn
from app.keys import token_sha256
from app.models.studies import Study
from app.queue import defer_round_check
from app.services.assignments import dealing
from app.services.assignments.people import ERASED
from app.services.rounds import filter as unanimity
from app.services.rounds.filter import Stage
from app.services.rounds.outcomes import is_excluded
from app.services.rounds.rounds import is_round_complete, lock_study, recompute_items
from app.services.study_lookup import current_protocol

CHOICES: dict[Kind, tuple[str, str]] = {"2afc": ("left", "right"), "jnd": ("same", "different")}


@dataclass(frozen=True)
class Answer:
    """One trial's answer as it arrived, one of `CHOICES` to each question; `suspect`: rt or timing was not usable."""

    trial: int
    answers: tuple[str, ...]
    input: str | None = None
    rt_ms: float | None = None
    timing: dict[str, Any] | None = None
    suspect: bool = False


@dataclass(frozen=True)
class Feedback:
    """On a practice trial: whether every answer was right, and the right ones, in the order of the questions."""

    trial: int
    correct: bool
    expected: tuple[str, ...]


@dataclass(frozen=True)
class Receipt:
    """What was stored: `accepted` lists repeats too; `position` counts the answered and skipped trials of `total`."""

    accepted: list[int]
    position: int
    total: int
    feedback: list[Feedback] = field(default_factory=list)


_LOCK_ASSIGNMENT = text("""
    SELECT a.id, a.study_id, a.state, p.document ->> 'kind' AS kind,
           CAST(p.document ->> 'votes_per_round' AS int) AS v, p.document ->> 'drop' AS drop
    FROM assignments a
    JOIN protocol_versions p ON p.study_id = a.study_id AND p.version = a.protocol_version
    WHERE a.token_sha256 = :token FOR NO KEY UPDATE OF a
""")

_DECIDED = text(f"""
    SELECT {is_excluded(":assignment")} AS excluded,
           {ERASED.format(assignment=":assignment")} AS erased
""")

_FIRST_DISSENT = """coalesce(i.first_dissent, CASE
    WHEN i.votes_0 + 1 - stored.choice > 0 AND i.votes_1 + stored.choice > 0 THEN i.votes_0 + i.votes_1 + 1
END)"""

# The ids come out of the sequence only once the item is locked: their order is the one in which an item's votes were
# counted. `given` has a row per question. In JND a question is stored under the candidate whose pair it is about; in
# 2AFC the candidate is what was chosen.
_STORE = text(f"""
    WITH given AS (
        SELECT * FROM unnest(CAST(:trial AS bigint[]), CAST(:place AS int[]), CAST(:choice AS int[]),
                             CAST(:input AS text[]), CAST(:rt_ms AS float[]), CAST(:timing AS jsonb[]),
                             CAST(:suspect AS bool[]))
                      AS given (trial_id, place, choice, input, rt_ms, timing, suspect)
    ), dealt AS (
        SELECT given.trial_id, given.place, t.item_id, t.slot_id, t.left_candidate, given.input, given.rt_ms,
               given.timing, given.suspect,
               CASE WHEN :kind = 'jnd' AND i.candidate_1 IS NOT NULL THEN t.left_candidate # given.place
                    ELSE given.place END AS question,
               CASE WHEN :kind = 'jnd' THEN given.choice ELSE t.left_candidate # given.choice END AS choice,
               CASE WHEN :kind = 'jnd' THEN num_nonnulls(i.candidate_0, i.candidate_1) ELSE 1 END AS questions,
               i.role, i.answer, i.answer_1
        FROM given JOIN trials t ON t.id = given.trial_id JOIN items i ON i.id = t.item_id
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
        SELECT dealt.trial_id, question, choice, slot_id, slot_id IS NOT NULL AND filled.id IS NULL, suspect, input,
               CASE WHEN question = 0 THEN rt_ms END, CASE WHEN question = 0 THEN timing END
        FROM dealt LEFT JOIN locked ON locked.id = dealt.item_id LEFT JOIN filled ON filled.id = dealt.slot_id
        ON CONFLICT (trial_id, question) DO NOTHING
        RETURNING trial_id, question, choice, slot_id, late
    ), counted AS (
        UPDATE items i
        SET votes_0 = i.votes_0 + 1 - stored.choice,
            votes_1 = i.votes_1 + stored.choice,
            first_dissent = {_FIRST_DISSENT},
            dropped_round = {unanimity.DROPPED_ROUND.format(d=_FIRST_DISSENT, n="(i.votes_0 + i.votes_1 + 1)")}
        FROM stored JOIN dealt USING (trial_id, question)
        WHERE i.id = dealt.item_id AND stored.question = 0 AND stored.slot_id IS NOT NULL AND NOT stored.late
          AND NOT :excluded
        RETURNING i.id, i.first_dissent
    )
    SELECT dealt.trial_id, dealt.place, dealt.question, dealt.questions, dealt.item_id, dealt.choice,
           dealt.left_candidate, dealt.role, CASE question WHEN 0 THEN dealt.answer ELSE dealt.answer_1 END AS answer,
           stored.trial_id IS NOT NULL AS is_new, counted.first_dissent IS NOT NULL AS is_split
    FROM dealt LEFT JOIN stored USING (trial_id, question) LEFT JOIN counted ON counted.id = dealt.item_id
    ORDER BY dealt.trial_id, dealt.place
""")

_PROGRESS = text("""
    SELECT count(*) AS total, count(*) FILTER (WHERE is_done) AS position,
           count(*) FILTER (WHERE is_answered) AS answered, bool_and(is_done OR slot_id IS NULL) AS is_pool_done
    FROM (SELECT slot_id, is_answered, is_answered OR skipped_at IS NOT NULL AS is_done
          FROM trials t, LATERAL (SELECT EXISTS (SELECT FROM judgments j WHERE j.trial_id = t.id) AS is_answered) given
          WHERE assignment_id = :assignment) trials
""")


def record(session: Session, *, token: str, answers: Sequence[Answer]) -> Receipt:
    """Store the answers of one assignment, all or nothing; answers given before are accepted again if they are equal.

    Raises:
        NotFound: no such token. Withdrawn, Screened: the assignment has ended so. Erased: the person asked for it.
        BadInput: a trial that is not this assignment's, or answers that are none of its questions' choices.
        AnswerConflict: a different second answer; `details["conflicts"]` lists the trials.
    """
    assignment = session.execute(_LOCK_ASSIGNMENT, {"token": token_sha256(token)}).one_or_none()
    if assignment is None:
        raise NotFound("This link does not belong to any assignment.")
    if assignment.state == "withdrawn":
        raise Withdrawn
    if assignment.state == "screened":
        raise Screened
    decided = session.execute(_DECIDED, {"assignment": assignment.id}).one()
    if decided.erased:
        raise Erased
    if decided.excluded:
        lock_study(session, assignment.study_id)  # before its items: a void vote may have to be collected again
    answers = _without_duplicates(answers)
    _require_choices(assignment.kind, answers)
    rows = session.execute(_STORE, _store_parameters(assignment, answers, decided.excluded)).all()
    _require_known(answers, rows)
    _require_same(session, {(row.trial_id, row.question): row.choice for row in rows if not row.is_new})
    progress = session.execute(_PROGRESS, {"assignment": assignment.id}).one()
    if progress.answered == len({row.trial_id for row in rows if row.is_new}):
        dealing.keep(session, assignment_id=assignment.id)
    if any(row.is_new and row.role == "pool" for row in rows):
        _after_votes(session, assignment, rows, excluded=decided.excluded, is_pool_done=progress.is_pool_done)
    return Receipt(
        accepted=[answer.trial for answer in answers],
        position=progress.position,
        total=progress.total,
        feedback=_feedback(assignment.kind, rows),
    )


def _feedback(kind: Kind, rows: Sequence[Any]) -> list[Feedback]:
    practice = groupby((row for row in rows if row.role == "practice"), key=lambda row: row.trial_id)
    return [_feedback_on(kind, trial, list(questions)) for trial, questions in practice]


def _feedback_on(kind: Kind, trial: int, questions: Sequence[Any]) -> Feedback:
    """In 2AFC the right answer is a candidate, which stands on a side; in JND it is a choice."""
    right = [row.answer if kind == "jnd" else row.answer ^ row.left_candidate for row in questions]
    return Feedback(
        trial,
        correct=all(row.choice == row.answer for row in questions),
        expected=tuple(CHOICES[kind][choice] for choice in right),
    )


def _without_duplicates(answers: Sequence[Answer]) -> list[Answer]:
    first: dict[int, Answer] = {}
    for answer in answers:
        if first.setdefault(answer.trial, answer).answers != answer.answers:
            raise AnswerConflict("The request answers a trial in two ways.", conflicts=[answer.trial])
    return list(first.values())


def _require_choices(kind: Kind, answers: Sequence[Answer]) -> None:
    wrong = sorted(answer.trial for answer in answers if not set(answer.answers) <= set(CHOICES[kind]))
    if wrong:
        raise BadInput(f"Answers in this study are {' or '.join(map(repr, CHOICES[kind]))}.", trials=wrong)


def _store_parameters(assignment: Any, answers: Sequence[Answer], excluded: bool) -> dict[str, Any]:
    questions = [(answer, place, choice) for answer in answers for place, choice in enumerate(answer.answers)]
    second = CHOICES[assignment.kind][1]
    return {
        "assignment": assignment.id,
        "excluded": excluded,
        "kind": assignment.kind,
        "drop": assignment.drop,
        "v": assignment.v,
        "trial": [answer.trial for answer, _, _ in questions],
        "place": [place for _, place, _ in questions],
        "choice": [int(choice == second) for _, _, choice in questions],
        "input": [answer.input for answer, _, _ in questions],
        "rt_ms": [answer.rt_ms for answer, _, _ in questions],
        "timing": [None if answer.timing is None else Jsonb(answer.timing) for answer, _, _ in questions],
        "suspect": [answer.suspect for answer, _, _ in questions],
    }


def _require_known(answers: Sequence[Answer], rows: Sequence[Any]) -> None:
    questions = {row.trial_id: row.questions for row in rows}
    unknown = sorted({answer.trial for answer in answers} - set(questions))
    if unknown:
        raise BadInput("Some of these trials are not open trials of this assignment.", unknown=unknown)
    partly = sorted(answer.trial for answer in answers if len(answer.answers) != questions[answer.trial])
    if partly:
        raise BadInput("Every question of a trial is answered once.", trials=partly)


def _require_same(session: Session, repeats: dict[tuple[int, int], int]) -> None:
    """A repeat is the same if its choices are. Read by a statement of its own: the one that met the conflict cannot see
    rows committed after it began."""
    if not repeats:
        return
    stored = session.execute(
        text("SELECT trial_id, question, choice FROM judgments WHERE trial_id = ANY(:trials)"),
        {"trials": [trial for trial, _ in repeats]},
    )
    conflicts = {trial for trial, question, choice in stored if repeats.get((trial, question), choice) != choice}
    if conflicts:
        raise AnswerConflict("These trials were answered differently before.", conflicts=sorted(conflicts))


def _after_votes(session: Session, assignment: Any, rows: Sequence[Any], *, excluded: bool, is_pool_done: bool) -> None:
    """What votes entail: an item that is not unanimous needs other further votes, a void vote leaves its item in need,
    and the last vote of a round, which is also the last vote of some assignment, has the worker close it."""
    split = sorted({row.item_id for row in rows if row.is_split})
    if split and assignment.drop != "none":
        study = session.get_one(Study, assignment.study_id)
        # An item ahead of its round that splits under `round_end` has the rest of that round of its own to complete.
        balance = unanimity.settle if assignment.drop == "round_end" else unanimity.close_surplus
        balance(session, Stage.of(study, current_protocol(session, study.id)), split)
    if excluded:
        voted = sorted({row.item_id for row in rows if row.is_new and row.role == "pool"})
        recompute_items(session, study=session.get_one(Study, assignment.study_id), item_ids=voted)
    if is_pool_done and is_round_complete(session, study_id=assignment.study_id):
        defer_round_check(session, study_id=assignment.study_id)
