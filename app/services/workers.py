"""Workers: who is there, on what, and what keeps them from working."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.models.workers import Worker

DEAD_AFTER = timedelta(seconds=30)
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class WorkerLine:
    """A worker that is there; with a `problem` it takes no jobs."""

    name: str
    queue: str
    device: str | None
    model: str | None
    note: str | None
    problem: str | None


def register(session: Session, *, name: str, queue: str, device: str | None) -> int:
    """A new worker's id. Those that have long been dead are forgotten."""
    session.execute(delete(Worker).where(Worker.seen_at < func.clock_timestamp() - FORGOTTEN_AFTER))
    worker = Worker(name=name, queue=queue, device=device)
    session.add(worker)
    session.flush()
    return worker.id


def beat(session: Session, *, worker_id: int, model: str | None, note: str | None, problem: str | None) -> None:
    """The worker is there, and this is its status."""
    session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(seen_at=func.clock_timestamp(), model=model, note=note, problem=problem)
    )


def deregister(session: Session, *, worker_id: int) -> None:
    session.execute(delete(Worker).where(Worker.id == worker_id))


def present(session: Session, *, queue: str | None = None) -> list[WorkerLine]:
    """The workers seen of late, those of one queue or of all."""
    rows = select(Worker).where(Worker.seen_at > func.clock_timestamp() - DEAD_AFTER).order_by(Worker.id)
    return [
        WorkerLine(worker.name, worker.queue, worker.device, worker.model, worker.note, worker.problem)
        for worker in session.scalars(rows if queue is None else rows.where(Worker.queue == queue))
    ]
