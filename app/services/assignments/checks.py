"""Practice, sentinel and instruction items: trials whose answer is known, made from the pool's own images when a study
opens."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.counted import counted
from app.domain.dealing import checks_rng
from app.domain.protocol import Protocol
from app.errors import BadInput
from app.models.items import Image, Item
from app.models.studies import Study

SUPPLY = 3
"""Sentinels and instruction trials are made for this many sittings of one person; nobody sees the same one twice."""
SAME_PRACTICE = 0.4
"""The share of identical pairs in JND practice: BAPPS (Zhang et al. 2018) primes its observers so."""
DRAWS = 20
_SAME, _DIFFERENT = 0, 1


@dataclass(frozen=True)
class _Source:
    """An image of the pool to make checks from; those of one `family` resemble each other."""

    sha256: str
    family: str
    prompt: str | None
    size: tuple[int, int]
    colour: tuple[float, ...]


@dataclass(frozen=True)
class _Check:
    """An item to be. Candidates are of the source's size: the source itself, or an unlike image."""

    role: str
    reference: _Source
    candidates: tuple[_Source, ...]
    answers: tuple[int, ...]

    def row(self, study_id: int) -> dict[str, object]:
        first, second = (*self.candidates, None)[:2]
        return {
            "study_id": study_id,
            "role": self.role,
            "reference": self.reference.sha256,
            "candidate_0": first.sha256 if first else None,
            "candidate_1": second.sha256 if second else None,
            "answer": self.answers[0],
            "answer_1": self.answers[1] if len(self.answers) > 1 else None,
        }


_Maker = Callable[[_Source, list[_Source], random.Random], _Check | None]
"""A check from a source and all sources; None where the pool has no unlike image of its size."""


def make_checks(session: Session, *, study: Study, protocol: Protocol) -> None:
    """Make the study's practice, sentinel and instruction items, each from another image of the pool.

    2AFC: one candidate is the reference itself, the other is unlike it: another category's image (without categories:
    the most distant in mean colour of 20 seeded draws). JND: identical and unlike pairs, as many in each item as the
    pool's items have.

    Raises:
        BadInput: the pool has too few different images.
    """
    sitting, rng = protocol.assignment, checks_rng(study.seed)
    has_two_pairs = protocol.kind == "jnd" and _has_two_pairs(session, study.id)
    makers = _jnd_makers(protocol, has_two_pairs) if protocol.kind == "jnd" else _2afc_makers(protocol)
    sources = _sources(session, study.id, references_only=protocol.kind == "2afc")
    rng.shuffle(sources)
    checks = list(_made(makers, sources, rng))
    if len(checks) < len(makers):
        raise BadInput(
            f"The study {study.slug!r} needs {counted(len(makers), 'image')} with an unlike image of the same size "
            f"for its practice and sentinels ({SUPPLY} × {sitting.sentinels + sitting.instruction_trials} sentinels "
            f"and instruction trials, and {counted(sitting.practice, 'practice trial')}), but its pool has "
            f"{len(checks)}. Import more items, or lower assignment.sentinels or assignment.practice."
        )
    if checks:
        session.execute(insert(Item), [check.row(study.id) for check in checks])


def require_supply(session: Session, *, study: Study, protocol: Protocol) -> None:
    """Raises BadInput if a sitting of a study that has opened wants more checks than were made for one."""
    is_same = (Item.candidate_1.is_(None) & (Item.answer == _SAME)).label("is_same")
    made = session.execute(
        select(Item.role, is_same, func.count())
        .where(Item.study_id == study.id, Item.role.in_(("sentinel", "instruction")))
        .group_by(Item.role, text("is_same"))
    )
    supply = {(role, same): count // SUPPLY for role, same, count in made}
    identical, other = supply.get(("sentinel", True), 0), supply.get(("sentinel", False), 0)
    sitting, instructions = protocol.assignment, supply.get(("instruction", False), 0)
    wanted_identical = sitting.identical_sentinels if identical else 0
    problems = {}
    if sitting.sentinels - wanted_identical > other:
        problems["assignment.sentinels"] = f"at most {other + wanted_identical} were made when the study opened"
    if wanted_identical > identical:
        problems["assignment.same_sentinels"] = f"at most {identical} were made when the study opened"
    if sitting.instruction_trials > instructions:
        problems["assignment.instruction_trials"] = f"at most {instructions} were made when the study opened"
    if problems:
        raise BadInput("; ".join(f"{name}: {problem}" for name, problem in problems.items()), fields=problems)


def _made(makers: list[_Maker], sources: list[_Source], rng: random.Random) -> Iterator[_Check]:
    """A check of each maker, in turn, from the first source that will do."""
    waiting = iter(makers)
    maker = next(waiting, None)
    for source in sources:
        if maker is None:
            return
        check = maker(source, sources, rng)
        if check is not None:
            yield check
            maker = next(waiting, None)


def _2afc_makers(protocol: Protocol) -> list[_Maker]:
    sitting = protocol.assignment
    return [
        *[_obvious("practice")] * sitting.practice,
        *[_obvious("sentinel")] * (SUPPLY * sitting.sentinels),
        *[_instruction] * (SUPPLY * sitting.instruction_trials),
    ]


def _jnd_makers(protocol: Protocol, has_two_pairs: bool) -> list[_Maker]:
    sitting = protocol.assignment
    if has_two_pairs:
        mixed = round(2 * SAME_PRACTICE * sitting.practice)
        return [
            *[_two_pairs("practice", same=1)] * mixed,
            *[_two_pairs("practice", same=0)] * (sitting.practice - mixed),
            *[_two_pairs("sentinel", same=1)] * (SUPPLY * sitting.sentinels),
        ]
    same = round(SAME_PRACTICE * sitting.practice)
    return [
        *[_pair("practice", _SAME)] * same,
        *[_pair("practice", _DIFFERENT)] * (sitting.practice - same),
        *[_pair("sentinel", _SAME)] * (SUPPLY * sitting.identical_sentinels),
        *[_pair("sentinel", _DIFFERENT)] * (SUPPLY * (sitting.sentinels - sitting.identical_sentinels)),
    ]


def _obvious(role: str) -> _Maker:
    """2AFC: the reference beside an unlike image."""

    def make(source: _Source, sources: list[_Source], rng: random.Random) -> _Check | None:
        (other,) = _unlike(source, sources, rng, 1) or (None,)
        if other is None:
            return None
        answer = rng.getrandbits(1)
        return _Check(role, source, (source, other) if answer == 0 else (other, source), (answer,))

    return make


def _instruction(source: _Source, sources: list[_Source], rng: random.Random) -> _Check | None:
    """2AFC: two images, one of which the page says to choose."""
    others = _unlike(source, sources, rng, 2)
    return _Check("instruction", source, others, (rng.getrandbits(1),)) if others else None


def _pair(role: str, answer: int) -> _Maker:
    """JND: one pair, identical or unlike."""

    def make(source: _Source, sources: list[_Source], rng: random.Random) -> _Check | None:
        candidates = (source,) if answer == _SAME else _unlike(source, sources, rng, 1)
        return _Check(role, source, candidates, (answer,)) if candidates else None

    return make


def _two_pairs(role: str, *, same: int) -> _Maker:
    """JND: two pairs, of which `same` (0 or 1) is identical."""

    def make(source: _Source, sources: list[_Source], rng: random.Random) -> _Check | None:
        others = _unlike(source, sources, rng, 2 - same)
        if not others:
            return None
        candidates = [(source, _SAME)] * same + [(other, _DIFFERENT) for other in others]
        rng.shuffle(candidates)
        return _Check(role, source, tuple(c for c, _ in candidates), tuple(answer for _, answer in candidates))

    return make


def _unlike(source: _Source, sources: list[_Source], rng: random.Random, count: int) -> tuple[_Source, ...]:
    """`count` images that are clearly not the source; none if the pool has too few of its size."""
    sample = rng.sample(sources, min(len(sources), 3 * DRAWS))
    drawn = [other for other in sample if other.family != source.family and other.size == source.size]
    drawn = list({other.family: other for other in drawn}.values())
    categorised = [other for other in drawn if source.prompt and other.prompt and other.prompt != source.prompt]
    by_colour = sorted(drawn[:DRAWS], key=lambda other: -_colour_distance(source, other))
    found = categorised if len(categorised) >= count else by_colour
    return tuple(found[:count]) if len(found) >= count else ()


def _colour_distance(a: _Source, b: _Source) -> float:
    return sum((x - y) ** 2 for x, y in zip(a.colour, b.colour, strict=True))


def _has_two_pairs(session: Session, study_id: int) -> bool:
    pool = select(Item.candidate_1).where(Item.study_id == study_id, Item.role == "pool")
    return session.scalars(pool.limit(1)).first() is not None


def _sources(session: Session, study_id: int, *, references_only: bool) -> list[_Source]:
    """The pool's different references, or all its images, each of the family of the reference it first stood beside."""
    first: dict[str, _Source] = {}
    columns: tuple[InstrumentedAttribute[Any], ...] = (Item.reference, Item.candidate_0, Item.candidate_1)
    for column in columns[: 1 if references_only else 3]:
        rows = session.execute(
            select(Item.reference, column, Item.prompt, Image.width, Image.height, Image.mean_colour)
            .join(Image, Image.sha256 == column)
            .where(Item.study_id == study_id, Item.role == "pool")
            .order_by(Item.number)
        )
        for reference, sha256, prompt, width, height, colour in rows:
            first.setdefault(sha256, _Source(sha256, reference, prompt, (width, height), tuple(colour)))
    return list(first.values())
