"""Items from single images: what will not do is made again from the next seed, so often and no more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from PIL import Image, ImageStat

from app.domain.generation import ROLES, SEEDS_PER_IMAGE, Role, image_seed
from app.services.generation.batches import Call, Wanted, Work
from worker.generator import Drawn, DrawnItem, Picture, Renderer, Shot, Stopping

_BLANK = 2.0
"""Standard deviation, of 256 levels, below which an image shows nothing."""
_SAME = 4.0
"""Root mean square difference, of 256 levels, at which two small versions of images are nearly the same picture."""
_SMALL = (16, 16)

_UNSAFE, _EMPTY, _TWIN = "the safety checker objected", "blank", "nearly the same as another image of its item"


@dataclass(frozen=True)
class _Taken:
    shot: Shot
    image: Image.Image
    origin: tuple[int, int]


def make_items(work: Work, render: Renderer, stopping: Stopping) -> Drawn:
    """The images of a batch of items."""
    taken: dict[tuple[int, Role], _Taken] = {}
    set_aside: dict[int, str] = {}
    calls: list[Call] = []
    shots = [_shot(work, wanted, role) for wanted in work.items for role in ROLES]
    while shots:
        refused: list[tuple[Shot, str]] = []
        remaining = iter(shots)
        for call, pictures in render(shots, stopping):
            for place, (shot, picture) in enumerate(zip(islice(remaining, len(pictures)), pictures, strict=True)):
                if flaw := _flaw(picture):
                    refused.append((shot, flaw))
                else:
                    taken[shot.number, shot.role] = _Taken(shot, picture.image, (len(calls), place))
            calls.append(call)
        for twin in _twins(work.items, taken):
            del taken[twin.number, twin.role]
            refused.append((twin, _TWIN))
        shots = []
        for shot, flaw in refused:
            if shot.attempt + 1 == SEEDS_PER_IMAGE:
                set_aside.setdefault(shot.number, f"{shot.role}: {flaw} ({SEEDS_PER_IMAGE} seeds tried)")
            else:
                shots.append(_next(work, shot))
        shots = [shot for shot in shots if shot.number not in set_aside]
    items = [_item(wanted, taken) for wanted in work.items if wanted.number not in set_aside]
    return Drawn(items, set_aside, calls)


def _shot(work: Work, wanted: Wanted, role: Role) -> Shot:
    return Shot(wanted.number, role, 0, image_seed(work.study_seed, wanted.number, role, 0), wanted.prompt)


def _next(work: Work, shot: Shot) -> Shot:
    attempt = shot.attempt + 1
    return replace(shot, attempt=attempt, seed=image_seed(work.study_seed, shot.number, shot.role, attempt))


def _flaw(picture: Picture) -> str | None:
    if picture.is_unsafe:
        return _UNSAFE
    return _EMPTY if max(ImageStat.Stat(picture.image).stddev) < _BLANK else None


def _twins(items: Sequence[Wanted], taken: dict[tuple[int, Role], _Taken]) -> list[Shot]:
    """Of images of one item that are nearly the same, the later ones."""
    twins = []
    for wanted in items:
        seen: list[np.ndarray] = []
        for role in ROLES:
            if (found := taken.get((wanted.number, role))) is None:
                continue
            small = np.asarray(found.image.resize(_SMALL, Image.Resampling.BOX), dtype=np.float64)
            if any(np.sqrt(np.mean((small - other) ** 2)) < _SAME for other in seen):
                twins.append(found.shot)
            else:
                seen.append(small)
    return twins


def _item(wanted: Wanted, taken: dict[tuple[int, Role], _Taken]) -> DrawnItem:
    found = [taken[wanted.number, role] for role in ROLES]
    return DrawnItem(wanted, [one.image for one in found], [one.origin for one in found])
