"""Trials as participants see them: which images, at which opaque addresses, in which bytes."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.disguise import bucket, padded_webp
from app.errors import NotFound
from app.keys import ImageRef, Keys
from app.services.assignments import OpenTrial
from app.services.images import DISPLAY
from app.storage import Storage

PLACES = ("reference", "left", "right")
"""The images of a 2AFC trial, in the order of their `place` in image URLs."""


@dataclass(frozen=True)
class TrialImages:
    """A trial still to be answered, with its images' opaque addresses by place."""

    trial: OpenTrial
    images: dict[str, str]


def with_images(keys: Keys, trials: list[OpenTrial]) -> list[TrialImages]:
    return [
        TrialImages(
            trial,
            {name: keys.seal_image(ImageRef(trial.id, trial.attempt, place)) for place, name in enumerate(PLACES)},
        )
        for trial in trials
    ]


_DERIVATIVES = text("""
    SELECT d.sha256, d.bytes
    FROM trials t JOIN items i ON i.id = t.item_id
    CROSS JOIN LATERAL (VALUES (0, i.reference),
                               (1, CASE t.left_candidate WHEN 0 THEN i.candidate_0 ELSE i.candidate_1 END),
                               (2, CASE t.left_candidate WHEN 0 THEN i.candidate_1 ELSE i.candidate_0 END)
                       ) AS shown (place, image)
    JOIN derivatives d ON d.image = shown.image AND d.kind = :kind
    WHERE t.id = :trial AND t.attempt = :attempt
    ORDER BY shown.place
""")


def image_bytes(session: Session, storage: Storage, keys: Keys, sealed: str) -> bytes:
    """The derivative behind an address, disguised: all images of a trial have the same length, none the same bytes.

    Raises:
        NotFound: not an address of ours, or of an attempt that is over.
    """
    ref = keys.open_image(sealed)
    shown = (
        session.execute(_DERIVATIVES, {"trial": ref.trial_id, "attempt": ref.attempt, "kind": DISPLAY}).all()
        if ref
        else []
    )
    if ref is None or ref.place >= len(shown):
        raise NotFound("There is no such image.")
    length = bucket(max(derivative.bytes for derivative in shown))
    return padded_webp(storage.get(shown[ref.place].sha256), length=length, seed=sealed.encode())
