"""Assignments as researchers look through them: each at a glance, and trial by trial."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.durations import duration
from app.errors import NotFound
from app.models.assignments import ASSIGNMENT_STATES, Assignment, Exclusion
from app.models.recruiting import Submission
from app.models.studies import Study

Which = Literal[
    "all", "with findings", "active", "completed", "expired", "withdrawn", "screened", "returned", "excluded"
]
WHICH: tuple[Which, ...] = get_args(Which)
assert set(ASSIGNMENT_STATES) <= set(WHICH)


@dataclass(frozen=True)
class SittingLine:
    """`rts` are the response times in ms by position; `left` the share of pool trials answered left, None in JND;
    `findings` are what the rules found when it had ended, each with its `name` and a `sentence`."""

    id: int
    participant: str
    state: str
    is_excluded: bool
    created_at: datetime
    minutes: float | None
    trials: int
    answered: int
    sentinels: int
    missed: int
    left: float | None
    median_rt_ms: float | None
    rts: list[float | None]
    findings: list[dict[str, str]]

    @property
    def took(self) -> str | None:
        return None if self.minutes is None else duration(self.minutes)


_ANSWER = "CASE j.question WHEN 0 THEN i.answer ELSE i.answer_1 END"

_LINES = text(f"""
    WITH page AS (
        SELECT a.*, EXISTS (SELECT FROM exclusions e WHERE e.assignment_id = a.id AND e.reinstated_at IS NULL)
                        AS is_excluded,
               (SELECT v.document ->> 'kind' FROM protocol_versions v
                WHERE v.study_id = a.study_id AND v.version = a.protocol_version) AS kind
        FROM assignments a
        WHERE a.study_id = :study AND a.id < :before AND (CAST(:one AS bigint) IS NULL OR a.id = :one)
          AND (CAST(:participant AS text) IS NULL
               OR a.participant_id = (SELECT id FROM participants WHERE pseudonym = :participant))
          AND CASE :which WHEN 'all' THEN true
                          WHEN 'excluded' THEN EXISTS (SELECT FROM exclusions e WHERE e.assignment_id = a.id
                                                       AND e.reinstated_at IS NULL)
                          WHEN 'with findings' THEN EXISTS (SELECT FROM assessments q WHERE q.assignment_id = a.id
                                                            AND q.findings <> '[]')
                          ELSE a.state = :which END
        ORDER BY a.id DESC LIMIT :limit
    )
    SELECT page.id, p.pseudonym AS participant, page.state, page.is_excluded, page.created_at,
           CAST(extract(epoch FROM page.completed_at - page.created_at) / 60 AS float) AS minutes, done.*,
           coalesce((SELECT findings FROM assessments WHERE assignment_id = page.id), '[]') AS findings
    FROM page
    JOIN participants p ON p.id = page.participant_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE j.question IS NULL OR j.question = 0) AS trials,
               count(*) FILTER (WHERE j.question = 0) AS answered,
               count(j.id) FILTER (WHERE i.role = 'sentinel') AS sentinels,
               count(j.id) FILTER (WHERE i.role = 'sentinel' AND j.choice <> {_ANSWER}) AS missed,
               CAST(avg(CASE WHEN j.choice = t.left_candidate THEN 1.0 ELSE 0 END)
                    FILTER (WHERE t.slot_id IS NOT NULL AND j.id IS NOT NULL AND page.kind = '2afc')
                    AS float) AS left,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY j.rt_ms)
                   FILTER (WHERE t.slot_id IS NOT NULL AND j.question = 0) AS median_rt_ms,
               coalesce(array_agg(j.rt_ms ORDER BY t.position) FILTER (WHERE j.question = 0), '{{}}') AS rts
        FROM trials t
        LEFT JOIN judgments j ON j.trial_id = t.id
        -- Only the trials without a slot show an item that has a role or an answer of interest.
        LEFT JOIN LATERAL (SELECT role, answer, answer_1 FROM items
                           WHERE id = t.item_id AND t.slot_id IS NULL OFFSET 0) i ON true
        WHERE t.assignment_id = page.id
    ) done
    ORDER BY page.id DESC
""")


def browse(
    session: Session,
    study: Study,
    *,
    which: Which = "all",
    participant: str | None = None,
    before: int = 2**63 - 1,
    limit: int,
) -> list[SittingLine]:
    """The newest assignments first, everybody's or one participant's; `before` is the id of the last one seen."""
    values = {
        "study": study.id, "which": which, "before": before, "limit": limit, "one": None, "participant": participant,
    }  # fmt: skip
    return [SittingLine(**row._asdict()) for row in session.execute(_LINES, values)]


def line_of(session: Session, assignment: Assignment) -> SittingLine:
    values = {
        "study": assignment.study_id, "which": "all", "before": 2**63 - 1, "limit": 1, "one": assignment.id,
        "participant": None,
    }  # fmt: skip
    return SittingLine(**session.execute(_LINES, values).one()._asdict())


def by_id(session: Session, study: Study, assignment_id: int) -> Assignment:
    """Raises NotFound, also for an assignment of another study."""
    assignment = session.scalar(
        select(Assignment).where(Assignment.id == assignment_id, Assignment.study_id == study.id)
    )
    if assignment is None:
        raise NotFound(f"The study {study.slug!r} has no assignment {assignment_id}.")
    return assignment


def exclusions_of(session: Session, assignment: Assignment) -> list[Exclusion]:
    """Every exclusion the assignment ever had, the first one first."""
    return list(
        session.scalars(select(Exclusion).where(Exclusion.assignment_id == assignment.id).order_by(Exclusion.id))
    )


def submission_status(session: Session, assignment: Assignment) -> str | None:
    """What the recruiter last said of the assignment's submission, in the recruiter's words."""
    return session.scalar(select(Submission.status).where(Submission.assignment_id == assignment.id))


@dataclass(frozen=True)
class ReplayedTrial:
    """A trial as it was shown. `images` are the item's, in 2AFC from left to right. `answers` has one for every
    question answered: the side chosen or, in JND, "same" or "different"; `is_right` says whether all the known answers
    were given, None where there are none. `number` names pool items."""

    position: int
    role: str
    item_id: int
    number: int | None
    images: list[str]
    answers: list[str]
    is_right: bool | None
    rt_ms: float | None
    input: str | None
    is_late: bool
    is_suspect: bool
    is_skipped: bool
    attempts: int


_TRIALS = text(f"""
    SELECT t.position, i.role, i.id AS item_id, i.number,
           CASE WHEN v.document ->> 'kind' = '2afc'
                THEN ARRAY['candidate_' || t.left_candidate, 'reference', 'candidate_' || 1 - t.left_candidate]
                ELSE array_remove(ARRAY['reference', 'candidate_0', CASE WHEN i.candidate_1 IS NOT NULL
                                                                         THEN 'candidate_1' END], NULL)
           END AS images,
           given.*, t.skipped_at IS NOT NULL AS is_skipped, t.attempt AS attempts
    FROM trials t JOIN items i ON i.id = t.item_id JOIN assignments a ON a.id = t.assignment_id
    JOIN protocol_versions v ON v.study_id = a.study_id AND v.version = a.protocol_version
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(CASE WHEN v.document ->> 'kind' = 'jnd'
                                       THEN CASE j.choice WHEN 0 THEN 'same' ELSE 'different' END
                                       WHEN j.choice = t.left_candidate THEN 'left' ELSE 'right' END
                                  ORDER BY j.question), '{{}}') AS answers,
               bool_and(j.choice = {_ANSWER}) AS is_right, max(j.rt_ms) AS rt_ms, max(j.input) AS input,
               coalesce(bool_or(j.late), false) AS is_late, coalesce(bool_or(j.suspect), false) AS is_suspect
        FROM judgments j WHERE j.trial_id = t.id
    ) given
    WHERE t.assignment_id = :assignment ORDER BY t.position
""")


def trials_of(session: Session, assignment: Assignment) -> list[ReplayedTrial]:
    """Trial by trial, in the order they were shown."""
    return [ReplayedTrial(**row._asdict()) for row in session.execute(_TRIALS, {"assignment": assignment.id})]
