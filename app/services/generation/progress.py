"""How far a study's generation has come."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Float, Select, cast, func, select
from sqlalchemy.orm import Session

from app.domain.counted import counted
from app.domain.generation import ROLES
from app.errors import Conflict
from app.models.generation import GenerationBatch, GenerationPlan, SetAside
from app.models.studies import Study
from app.queue import GPU
from app.services import workers
from app.services.workers import WorkerLine

WINDOW = timedelta(minutes=5)
_REASONS_SHOWN = 5


@dataclass(frozen=True)
class Progress:
    """Items of all the study's plans. `reasons` says why items were rejected or batches failed, the commonest first.

    `images_per_second` is over the last five minutes, None when nothing was made in them.
    """

    slug: str
    items: int
    made: int
    rejected: int
    waiting: int
    cancelled: int
    failed: int
    images_per_second: float | None
    seconds_left: float | None
    reasons: dict[str, int]
    workers: list[WorkerLine]

    @property
    def is_over(self) -> bool:
        return self.waiting == 0


def progress(session: Session, study: Study) -> Progress:
    by_state = dict(
        session.execute(
            select(GenerationBatch.state, func.sum(GenerationBatch.size))
            .where(GenerationBatch.plan_id.in_(_plans(study)))
            .group_by(GenerationBatch.state)
        ).all()
    )
    reasons = _reasons(session, study)
    rejected = _rejected(session, study)
    rate, waiting = _items_per_second(session, study), by_state.get("waiting", 0)
    return Progress(
        slug=study.slug,
        items=sum(by_state.values()),
        made=by_state.get("done", 0) - rejected,
        rejected=rejected,
        waiting=waiting,
        cancelled=by_state.get("cancelled", 0),
        failed=by_state.get("failed", 0),
        images_per_second=None if rate is None else rate * len(ROLES),
        seconds_left=waiting / rate if rate and waiting else None,
        reasons=reasons,
        workers=workers.present(session, queue=GPU),
    )


def _plans(study: Study) -> Select[int]:
    return select(GenerationPlan.id).where(GenerationPlan.study_id == study.id)


def _rejected(session: Session, study: Study) -> int:
    return session.scalars(
        select(func.count())
        .select_from(SetAside)
        .join(GenerationBatch, GenerationBatch.id == SetAside.batch_id)
        .where(GenerationBatch.plan_id.in_(_plans(study)))
    ).one()


def _reasons(session: Session, study: Study) -> dict[str, int]:
    aside = (
        select(SetAside.reason, func.count().label("size"))
        .join(GenerationBatch, GenerationBatch.id == SetAside.batch_id)
        .where(GenerationBatch.plan_id.in_(_plans(study)))
        .group_by(SetAside.reason)
    )
    failed = (
        select(GenerationBatch.reason, func.sum(GenerationBatch.size))
        .where(GenerationBatch.plan_id.in_(_plans(study)), GenerationBatch.state == "failed")
        .group_by(GenerationBatch.reason)
    )
    both = aside.union_all(failed).subquery()
    rows = session.execute(select(both).order_by(both.c.size.desc(), both.c.reason).limit(_REASONS_SHOWN))
    return dict(rows.all())


def _items_per_second(session: Session, study: Study) -> float | None:
    """Over the last minutes, or since the first of their batches was begun if that is shorter."""
    now, recent = func.clock_timestamp(), func.clock_timestamp() - WINDOW
    begun = func.min(GenerationBatch.done_at - GenerationBatch.seconds * timedelta(seconds=1))
    items, seconds = session.execute(
        select(
            func.sum(GenerationBatch.size),
            cast(func.extract("epoch", now - func.greatest(recent, begun)), Float),
        ).where(GenerationBatch.plan_id.in_(_plans(study)), GenerationBatch.done_at > recent)
    ).one()
    return items / seconds if items and seconds else None


def require_none_waiting(session: Session, study: Study) -> None:
    """Raises Conflict while items are still to be made."""
    waiting = session.scalar(
        select(func.sum(GenerationBatch.size)).where(
            GenerationBatch.plan_id.in_(_plans(study)), GenerationBatch.state == "waiting"
        )
    )
    if waiting:
        raise Conflict(
            f"{counted(waiting, f'item of {study.slug!r} is', f'items of {study.slug!r} are')} still to be generated. "
            f"Wait for them, or take them back: "
            f"lookalike generate {study.slug} --cancel"
        )
