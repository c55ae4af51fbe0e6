"""Trials as participants see them: which images, at which opaque addresses, in which bytes, with which questions."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.disguise import bucket, padded_webp
from app.domain.presentation import Flashes, flashes, question_about, side_by_side
from app.domain.protocol import Kind, Protocol
from app.errors import NotFound, Unavailable
from app.keys import ImageRef, Keys
from app.services.assignments.lifecycle import OpenTrial
from app.services.items.images import DERIVATIVE_FOR
from app.storage import Storage

PLACES = ("reference", "left", "right")
"""The images of a 2AFC trial, in the order of their `place` in image URLs; in JND it is the flash's."""


@dataclass(frozen=True)
class ShownTrial:
    """A trial still to be answered. `images` are opaque addresses: of reference, left and right, or of the flashes.

    `pairs` and `questions` belong to JND; `prompt` is what an instruction trial says instead of the question.
    """

    id: int
    kind: Kind
    attempt: int
    is_practice: bool
    images: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    questions: tuple[str, ...] = ()
    prompt: str | None = None


def shown(keys: Keys, protocol: Protocol, trials: Sequence[OpenTrial]) -> list[ShownTrial]:
    return [(_shown_jnd if protocol.kind == "jnd" else _shown_2afc)(keys, protocol, trial) for trial in trials]


def _shown_2afc(keys: Keys, _: Protocol, trial: OpenTrial) -> ShownTrial:
    prompt = None
    if trial.role == "instruction":
        prompt = f"Choose the {'left' if trial.answer == trial.left_candidate else 'right'} image"
    return ShownTrial(
        trial.id, "2afc", trial.attempt, trial.role == "practice", _addresses(keys, trial, len(PLACES)), prompt=prompt
    )


def _shown_jnd(keys: Keys, protocol: Protocol, trial: OpenTrial) -> ShownTrial:
    sequence = _flashes(protocol.presentation.interleave, trial.pairs, trial.left_candidate)
    questions = tuple(question_about(protocol.question, pair, language=protocol.language) for pair in sequence.pairs)
    return ShownTrial(
        trial.id,
        "jnd",
        trial.attempt,
        trial.role == "practice",
        _addresses(keys, trial, len(sequence.images)),
        sequence.pairs,
        questions,
    )


def _addresses(keys: Keys, trial: OpenTrial, places: int) -> tuple[str, ...]:
    return tuple(keys.seal_image(ImageRef(trial.id, trial.attempt, place)) for place in range(places))


def _flashes(interleave: bool, pairs: int, left_candidate: int) -> Flashes:
    """What stands left in 2AFC comes first in JND."""
    return flashes(pairs=pairs, first_candidate=left_candidate, interleave=interleave)


_TRIAL = text("""
    SELECT i.reference, i.candidate_0, i.candidate_1, t.left_candidate, p.document ->> 'kind' AS kind,
           CAST(p.document -> 'presentation' ->> 'interleave' AS bool) AS interleave
    FROM trials t JOIN items i ON i.id = t.item_id
    JOIN assignments a ON a.id = t.assignment_id
    JOIN protocol_versions p ON p.study_id = a.study_id AND p.version = a.protocol_version
    WHERE t.id = :trial AND t.attempt = :attempt
""")

_DERIVATIVES = text("SELECT image, sha256, bytes FROM derivatives WHERE image = ANY(:images) AND kind = :kind")


@dataclass(frozen=True)
class ImageSource:
    """What an address stands for: a stored derivative, and how many bytes of it are sent."""

    sha256: str
    length: int
    seed: bytes


def image_source(session: Session, keys: Keys, sealed: str) -> ImageSource:
    """The derivative behind an address.

    Raises:
        NotFound: not an address of ours, or of an attempt that is over.
    """
    ref = keys.open_image(sealed)
    trial = session.execute(_TRIAL, {"trial": ref.trial_id, "attempt": ref.attempt}).one_or_none() if ref else None
    if ref is None or trial is None:
        raise NotFound("There is no such image.")
    if trial.kind == "jnd":
        names = _flashes(trial.interleave, 2 if trial.candidate_1 else 1, trial.left_candidate).images
    else:
        names = side_by_side(trial.left_candidate)
    if ref.place >= len(names):
        raise NotFound("There is no such image.")
    images = [getattr(trial, name) for name in names]
    rows = session.execute(_DERIVATIVES, {"images": images, "kind": DERIVATIVE_FOR[trial.kind]})
    derivatives = {row.image: row for row in rows}
    length = bucket(max(derivative.bytes for derivative in derivatives.values()))
    return ImageSource(derivatives[images[ref.place]].sha256, length, sealed.encode())


def image_bytes(storage: Storage, source: ImageSource) -> bytes:
    """The derivative, disguised: all images of a trial have the same length, none the same bytes.

    Raises:
        Unavailable: the bytes are damaged, gone, or not to be had now.
    """
    try:
        data = storage.get(source.sha256)
    except NotFound as error:  # the address is right, and the hash in the message is none of the participant's business
        raise Unavailable(error.message) from error
    return padded_webp(data, length=source.length, seed=source.seed)
