"""Plans to generate items: made with all their jobs at once, cancelled, resumed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Update, func, insert, literal, select, update
from sqlalchemy.orm import Session

from app import queue
from app.domain.categories import PROMPT, check_prompt
from app.domain.counted import counted
from app.domain.generation import Options
from app.errors import BadInput
from app.models.generation import GenerationBatch, GenerationPlan
from app.models.studies import Study
from app.services import audit, study_lookup
from app.services.items.items import next_number, require_draft

MAX_NUMBER = 2**31 - 1
_PRESET = Options()


@dataclass(frozen=True)
class Order:
    """What is wanted: `per_category` items of each category. `model` and `revision` are None for procedural ones."""

    generator: str
    categories: Sequence[str]
    per_category: int
    batch_size: int
    model: str | None = None
    revision: str | None = None
    options: Options = _PRESET
    prompt: str = PROMPT
    articles: bool = False


def make_plan(session: Session, *, slug: str, order: Order) -> GenerationPlan:
    """A plan, its batches, and a job for each; numbers go on from the study's last.

    Raises:
        NotFound: no such study. Conflict: it has started.
        BadInput: nothing is ordered, or more than there are numbers.
    """
    study = study_lookup.by_slug(session, slug, lock=True)
    require_draft(study)
    first, total = next_number(session, study), len(order.categories) * order.per_category
    if total < 1 or order.batch_size < 1:
        raise BadInput("There is nothing to generate: no category, or no item of any.")
    if first + total > MAX_NUMBER:
        raise BadInput(f"{counted(total, 'item')} are more than the {MAX_NUMBER:,} numbers of a study.")
    plan = GenerationPlan(
        study_id=study.id,
        generator=order.generator,
        model=order.model,
        revision=order.revision,
        options=asdict(order.options),
        prompt=check_prompt(order.prompt),
        articles=order.articles,
        categories=list(order.categories),
        first_number=first,
        total=total,
        batch_size=order.batch_size,
    )
    session.add(plan)
    session.flush()
    queue.defer_batches(session, batch_ids=_add_batches(session, plan))
    audit.record(
        session,
        "planned the generation of items",
        study=study,
        subject=order.model,
        generator=order.generator,
        items=total,
    )
    return plan


def _add_batches(session: Session, plan: GenerationPlan) -> list[int]:
    end, step = plan.first_number + plan.total, plan.batch_size
    numbers = func.generate_series(plan.first_number, end - 1, step).column_valued("number")
    rows = select(literal(plan.id), numbers, func.least(step, end - numbers)).order_by(numbers)
    columns = ["plan_id", "first_number", "size"]
    return list(session.scalars(insert(GenerationBatch).from_select(columns, rows).returning(GenerationBatch.id)))


def cancel(session: Session, *, slug: str) -> int:
    """Take back what waits, of all the study's plans; a batch under way is thrown away whole. Returns the items."""
    study = study_lookup.by_slug(session, slug, lock=True)
    cancelled = session.execute(
        _of(study, "waiting").values(state="cancelled").returning(GenerationBatch.id, GenerationBatch.size)
    ).all()
    queue.remove_batches(session, batch_ids=[batch_id for batch_id, _ in cancelled])
    items = sum(size for _, size in cancelled)
    audit.record(session, "took back the generation of items", study=study, items=items)
    return items


def resume(session: Session, *, slug: str) -> int:
    """Have everything made that was cancelled or failed. Returns the items.

    Raises:
        Conflict: the study has started.
    """
    study = study_lookup.by_slug(session, slug, lock=True)
    require_draft(study)
    resumed = session.execute(
        _of(study, "cancelled", "failed")
        .values(state="waiting", reason=None)
        .returning(GenerationBatch.id, GenerationBatch.size)
    ).all()
    queue.defer_batches(session, batch_ids=sorted(batch_id for batch_id, _ in resumed))
    items = sum(size for _, size in resumed)
    audit.record(session, "resumed the generation of items", study=study, items=items)
    return items


def _of(study: Study, *states: str) -> Update:
    plans = select(GenerationPlan.id).where(GenerationPlan.study_id == study.id)
    return update(GenerationBatch).where(GenerationBatch.plan_id.in_(plans), GenerationBatch.state.in_(states))
