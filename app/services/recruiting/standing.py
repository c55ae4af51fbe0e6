"""How a study stands at its recruiter."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import BadInput
from app.models.money import Budget
from app.models.recruiting import Recruitment, Submission
from app.models.studies import Study
from app.services import money
from app.services.recruiting import notices
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
            NoticeLine(notice.kind, notice.message, notice.stops) for notice in notices.unresolved(session, study.id)
        ],
    )
