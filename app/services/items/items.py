"""Items of a study's pool."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.domain.dealing import split_of
from app.errors import Conflict
from app.models.generation import GenerationPlan
from app.models.items import Item
from app.models.studies import UNDER_WAY, Import, ImportRequest, Study


@dataclass(frozen=True)
class NewItem:
    """A triplet or pair of stored images (sha256 each) on its way into a pool; see `models.items.Item` for the rest.

    Without a `split` it is drawn from the reference.
    """

    number: int
    reference: str
    candidate_0: str
    candidate_1: str | None
    prompt: str | None = None
    source: str | None = None
    split: str | None = None
    is_imagenet: bool = False
    recorded_0: int | None = None
    recorded_1: int | None = None
    distance_0: float | None = None
    distance_1: float | None = None


def require_draft(study: Study) -> None:
    """Raises Conflict once the study has started: its rounds count on a fixed pool. Or while it is archived."""
    if study.archived_at is not None:
        raise Conflict(f"The study {study.slug!r} is archived. Restore it first.")
    if study.state != "draft":
        raise Conflict(f"The study {study.slug!r} has started; items are added before it opens.")


def require_no_import(session: Session, study: Study) -> None:
    """Raises Conflict while a worker imports, or is to import, something into the study."""
    under_way = (ImportRequest.study_id == study.id, ImportRequest.state.in_(UNDER_WAY))
    source = session.scalar(select(ImportRequest.source).where(*under_way))
    if source is not None:
        raise Conflict(f"The folder {source!r} is still being imported into {study.slug!r}. Wait for it, or stop it.")


def next_number(session: Session, study: Study) -> int:
    """The first number that is free, and neither kept for the rest of a file whose import was interrupted nor any
    generation plan's."""
    taken = session.scalar(select(func.max(Item.number)).where(Item.study_id == study.id))
    kept = session.scalar(
        select(func.max(Import.first_number + Import.total)).where(
            Import.study_id == study.id, Import.done < Import.total
        )
    )
    planned = session.scalar(
        select(func.max(GenerationPlan.first_number + GenerationPlan.total)).where(GenerationPlan.study_id == study.id)
    )
    return max(0 if taken is None else taken + 1, kept or 0, planned or 0)


def add_items(session: Session, *, study: Study, items: Sequence[NewItem]) -> None:
    """Raises Conflict if the study has started; a taken number or a repeated triplet breaks a constraint."""
    require_draft(study)
    rows = [
        asdict(item)
        | {"study_id": study.id, "role": "pool", "split": item.split or split_of(study.seed, item.reference)}
        for item in items
    ]
    if rows:
        session.execute(insert(Item), rows)


def pool_of(
    session: Session, *, study: Study, numbers: Sequence[int] | None = None, with_recorded: bool = True
) -> list[NewItem]:
    """The study's pool, or the items of these numbers, as new items to begin another study with.

    Args:
        with_recorded: with their recorded answers, which are of use only to a study that asks the same question.
    """
    names = [field.name for field in fields(NewItem) if with_recorded or not field.name.startswith("recorded")]
    columns = [getattr(Item, name) for name in names]
    wanted = select(*columns).where(Item.study_id == study.id, Item.role == "pool").order_by(Item.number)
    rows = session.execute(wanted if numbers is None else wanted.where(Item.number.in_(numbers)))
    return [NewItem(**dict(zip(names, row, strict=True))) for row in rows]
