"""How a study stands at its recruiter."""

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.errors import BadInput
from app.models.money import Budget
from app.models.recruiting import Recruitment, Submission
from app.models.studies import Study
from app.services import money
from app.services.recruiting import alerts
from app.services.recruiting.bonuses import PayPerHour, pay_per_hour


@dataclass(frozen=True)
class NoticeLine:
    kind: str
    message: str
    stops: bool


@dataclass(frozen=True)
class Standing:
    """Money in minor units; `submissions` counts them by what the recruiter calls their status."""

    slug: str
    currency: str
    cap: int
    committed: int
    spent: int
    outside: int
    free: int
    places: int
    submissions: dict[str, int]
    pay: PayPerHour | None
    notices: list[NoticeLine]


@dataclass(frozen=True)
class Pair:
    """A submission as the recruiter has it beside our sitting (None: there is none), the reward booked for it with
    fees, in minor units, and what is not in order about it."""

    submission: int | None
    there: str | None
    assignment: int | None
    here: str | None
    booked: int
    odd: str


_PAIRS = text("""
    WITH pairs AS (
        SELECT sub.id AS submission, sub.status AS there, a.id AS assignment, a.state AS here,
               coalesce((SELECT l.spent FROM ledger l WHERE l.submission_id = sub.id), 0) AS booked
        FROM (SELECT s.* FROM submissions s JOIN recruitments r ON r.id = s.recruitment_id
              WHERE r.study_id = :study) sub
        FULL JOIN (SELECT * FROM assignments WHERE study_id = :study AND recruitment_id IS NOT NULL) a
             ON a.id = sub.assignment_id
    ), judged AS (
        SELECT *, CASE
            WHEN submission IS NULL AND here <> 'active' THEN 'the recruiter does not know it'
            WHEN assignment IS NULL AND there IN ('AWAITING REVIEW', 'APPROVED') THEN 'was never here'
            WHEN here = 'completed' AND there IN ('RETURNED', 'TIMED-OUT', 'REJECTED') THEN 'completed, not paid'
            WHEN here <> 'completed' AND there = 'APPROVED' THEN 'paid, not completed'
            WHEN here <> 'completed' AND there = 'AWAITING REVIEW' THEN 'yours to review'
            WHEN here = 'completed' AND there IN ('RESERVED', 'ACTIVE') THEN 'completed, not handed in'
            WHEN there = 'APPROVED' AND booked = 0 THEN 'paid, not booked'
        END AS odd FROM pairs
    )
    SELECT submission, there, assignment, here, booked, odd FROM judged WHERE odd IS NOT NULL
    ORDER BY submission NULLS LAST, assignment
""")


def side_by_side(session: Session, *, study: Study) -> list[Pair]:
    """What the recruiter and we see differently, as of the last look."""
    return [Pair(**row) for row in session.execute(_PAIRS, {"study": study.id}).mappings()]


def standing(session: Session, *, study: Study) -> Standing:
    """Raises BadInput: the study does not recruit."""
    budget = session.get(Budget, study.id)
    if budget is None:
        raise BadInput(f"The study {study.slug!r} does not recruit yet: lookalike recruit start {study.slug}")
    places = session.scalar(select(func.sum(Recruitment.places)).where(Recruitment.study_id == study.id))
    submissions = dict(
        session.execute(
            select(Submission.status, func.count())
            .join(Recruitment, Recruitment.id == Submission.recruitment_id)
            .where(Recruitment.study_id == study.id)
            .group_by(Submission.status)
        ).all()
    )
    return Standing(
        slug=study.slug,
        currency=budget.currency,
        cap=budget.cap,
        committed=budget.committed,
        spent=budget.spent,
        outside=budget.outside,
        free=money.balance(session, study.id).free,
        places=places or 0,
        submissions=submissions,
        pay=pay_per_hour(session, study),
        notices=[
            NoticeLine(notice.kind, notice.message, notice.stops) for notice in alerts.unresolved(session, study.id)
        ],
    )
