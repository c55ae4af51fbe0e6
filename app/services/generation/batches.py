"""Batches: what a worker needs to know of one, and what it brings back, stored all together or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.orm import Session

from app.domain import categories
from app.domain.generation import ROLES, Options, Role, category_of
from app.domain.protocol import Kind
from app.models.generation import GeneratedImage, GenerationBatch, GenerationCall, GenerationPlan, SetAside
from app.models.items import Item
from app.models.studies import Study
from app.services import study_lookup
from app.services.items import images
from app.services.items.images import CheckedImage
from app.services.items.items import NewItem, add_items
from app.services.study_lookup import current_protocol
from app.storage import Storage


class Overtaken(Exception):
    """The batch waits no longer: it was cancelled, or another worker was first."""


@dataclass(frozen=True)
class Wanted:
    """An item to make."""

    number: int
    category: str
    prompt: str


@dataclass(frozen=True)
class Work:
    """A batch as its worker sees it."""

    batch_id: int
    slug: str
    study_seed: int
    kind: Kind
    generator: str
    model: str | None
    revision: str | None
    options: Options
    items: Sequence[Wanted]


@dataclass(frozen=True)
class Call:
    """One call of a generator; see `models.generation.GenerationCall`."""

    recipe: dict[str, Any]
    images: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class MadeItem:
    """An item's images and, for each, (index of the call, position in it), all in the order of ROLES."""

    wanted: Wanted
    images: Sequence[CheckedImage]
    origins: Sequence[tuple[int, int]]
    distances: tuple[float, float] | None = None


@dataclass(frozen=True)
class Made:
    """What became of a batch; `rejected` has the reason by item number."""

    items: Sequence[MadeItem]
    rejected: Mapping[int, str]
    calls: Sequence[Call]
    seconds: float


def waiting(session: Session, *, batch_id: int) -> Work | None:
    """The batch, if it still waits."""
    row = session.execute(_WAITING.where(GenerationBatch.id == batch_id)).one_or_none()
    return None if row is None else _work(session, row)


def next_waiting(session: Session) -> Work | None:
    """The batch that has waited longest, of all studies."""
    row = session.execute(_WAITING.order_by(GenerationBatch.id).limit(1)).one_or_none()
    return None if row is None else _work(session, row)


_WAITING = (
    select(GenerationBatch, GenerationPlan, Study)
    .join(GenerationPlan, GenerationPlan.id == GenerationBatch.plan_id)
    .join(Study, Study.id == GenerationPlan.study_id)
    .where(GenerationBatch.state == "waiting")
)


def _work(session: Session, row: Row[GenerationBatch, GenerationPlan, Study]) -> Work:
    batch, plan, study = row
    items = []
    for number in range(batch.first_number, batch.first_number + batch.size):
        category = category_of(plan.categories, plan.first_number, number)
        items.append(Wanted(number, category, categories.prompt(plan.prompt, category, articles=plan.articles)))
    return Work(
        batch_id=batch.id,
        slug=study.slug,
        study_seed=study.seed,
        kind=current_protocol(session, study.id).kind,
        generator=plan.generator,
        model=plan.model,
        revision=plan.revision,
        options=Options(**plan.options),
        items=items,
    )


def finish(session: Session, storage: Storage, *, work: Work, made: Made) -> None:
    """Store what a batch came to: bytes, then rows.

    Raises:
        Overtaken: it waits no longer; the caller's transaction must not be committed.
        Conflict: the study has started.
    """
    images.store(session, storage, [image for item in made.items for image in item.images])
    study = study_lookup.by_slug(session, work.slug, lock=True)
    batch = session.get_one(GenerationBatch, work.batch_id, with_for_update=True)
    if batch.state != "waiting":
        raise Overtaken
    add_items(session, study=study, items=[_new_item(work, item) for item in made.items])
    _add_origins(session, study, batch, made)
    if made.rejected:
        rows = [{"batch_id": batch.id, "number": number, "reason": made.rejected[number]} for number in made.rejected]
        session.execute(insert(SetAside), rows)
    batch.state, batch.seconds, batch.done_at = "done", made.seconds, func.clock_timestamp()
    session.flush()


def _new_item(work: Work, item: MadeItem) -> NewItem:
    reference, candidate_0, candidate_1 = (image.sha256 for image in item.images)
    distance_0, distance_1 = item.distances or (None, None)
    return NewItem(
        number=item.wanted.number,
        reference=reference,
        candidate_0=candidate_0,
        candidate_1=candidate_1,
        prompt=item.wanted.prompt,
        source=work.model or work.generator,
        is_imagenet=categories.is_imagenet(item.wanted.category),
        distance_0=distance_0,
        distance_1=distance_1,
    )


def _add_origins(session: Session, study: Study, batch: GenerationBatch, made: Made) -> None:
    calls = [
        GenerationCall(batch_id=batch.id, recipe=call.recipe, images=call.images, seconds=call.seconds)
        for call in made.calls
    ]
    session.add_all(calls)
    session.flush()
    numbers = [item.wanted.number for item in made.items]
    ids = dict(
        session.execute(select(Item.number, Item.id).where(Item.study_id == study.id, Item.number.in_(numbers))).all()
    )
    rows = [
        {"item_id": ids[item.wanted.number], "role": role, "call_id": calls[call].id, "place": position}
        for item in made.items
        for role, (call, position) in zip(ROLES, item.origins, strict=True)
    ]
    if rows:
        session.execute(insert(GeneratedImage), rows)


def fail(session: Session, *, batch_id: int, reason: str) -> None:
    """Give a batch up, with the reason; one that waits no longer stays as it is."""
    batch = session.get_one(GenerationBatch, batch_id, with_for_update=True)
    if batch.state == "waiting":
        batch.state, batch.reason = "failed", reason


def origins(session: Session, *, item_id: int) -> dict[Role, tuple[GenerationCall, int]]:
    """For each of an item's images, the call that made it and its position there; empty if it was not generated."""
    rows = session.execute(
        select(GeneratedImage.role, GenerationCall, GeneratedImage.place)
        .join(GenerationCall, GenerationCall.id == GeneratedImage.call_id)
        .where(GeneratedImage.item_id == item_id)
    )
    found = {role: (call, position) for role, call, position in rows}
    return {role: found[role] for role in ROLES if role in found}
