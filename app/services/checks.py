"""Practice and sentinel items: trials whose answer is known, made from the pool's own images when a study opens."""

import random
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.domain.dealing import checks_rng
from app.domain.protocol import Protocol
from app.errors import BadInput
from app.models.items import Image, Item
from app.models.studies import Study

SUPPLY = 3
"""Sentinels are made for this many sittings of one person; nobody sees the same one twice."""
DRAWS = 20


@dataclass(frozen=True)
class _Reference:
    sha256: str
    prompt: str | None
    size: tuple[int, int]
    colour: tuple[float, ...]


def make_checks(session: Session, *, study: Study, protocol: Protocol) -> None:
    """Make the study's practice and sentinel items: one candidate is the reference itself, the other is another
    category's image (without categories: the most distant in mean colour of 20 seeded draws), of the same size.

    Raises:
        BadInput: the pool has too few different references.
    """
    wanted = {"practice": protocol.assignment.practice, "sentinel": SUPPLY * protocol.assignment.sentinels}
    references = _references(session, study.id)
    rng = checks_rng(study.seed)
    rng.shuffle(references)
    needed = sum(wanted.values())
    found = ((reference, other) for reference in references if (other := _unlike(reference, references, rng)))
    pairs = list(islice(found, needed))
    if len(pairs) < needed:
        raise BadInput(
            f"The study {study.slug!r} needs {needed} reference images with an unlike image of the same size for its "
            f"practice and sentinels ({SUPPLY} × {protocol.assignment.sentinels} sentinels and "
            f"{protocol.assignment.practice} practice trials), but its pool has {len(pairs)}. Import more items, or "
            "lower assignment.sentinels or assignment.practice."
        )
    roles = [role for role, count in wanted.items() for _ in range(count)]
    rows = [_row(study.id, role, pair, rng.getrandbits(1)) for role, pair in zip(roles, pairs, strict=False)]
    if rows:
        session.execute(insert(Item), rows)


def _references(session: Session, study_id: int) -> list[_Reference]:
    rows = session.execute(
        select(Item.reference, Item.prompt, Image.width, Image.height, Image.mean_colour)
        .join(Image, Image.sha256 == Item.reference)
        .where(Item.study_id == study_id, Item.role == "pool")
        .order_by(Item.number)
    )
    first: dict[str, _Reference] = {}
    for sha256, prompt, width, height, colour in rows:
        first.setdefault(sha256, _Reference(sha256, prompt, (width, height), tuple(colour)))
    return list(first.values())


def _unlike(reference: _Reference, others: list[_Reference], rng: random.Random) -> _Reference | None:
    """The candidate that is clearly not the reference; None if the pool has none of its size."""
    drawn = [other for other in rng.sample(others, min(len(others), 3 * DRAWS)) if _is_comparable(reference, other)]
    categorised = [other for other in drawn if reference.prompt and other.prompt and other.prompt != reference.prompt]
    if categorised:
        return categorised[0]
    return max(drawn[:DRAWS], key=lambda other: _colour_distance(reference, other), default=None)


def _is_comparable(reference: _Reference, other: _Reference) -> bool:
    return other.sha256 != reference.sha256 and other.size == reference.size


def _colour_distance(a: _Reference, b: _Reference) -> float:
    return sum((x - y) ** 2 for x, y in zip(a.colour, b.colour, strict=True))


def _row(study_id: int, role: str, pair: tuple[_Reference, _Reference], answer: int) -> dict[str, object]:
    reference, other = pair
    candidates = (reference, other) if answer == 0 else (other, reference)
    return {
        "study_id": study_id,
        "role": role,
        "reference": reference.sha256,
        "candidate_0": candidates[0].sha256,
        "candidate_1": candidates[1].sha256,
        "answer": answer,
    }
