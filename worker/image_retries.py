"""Items from single images: what will not do is made again from the next seed, so often and no more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from PIL import Image, ImageStat

from app.domain.generation import ROLES, SEEDS_PER_IMAGE, Role, image_seed
from app.services.generation.batches import Call, Wanted, Work
from worker.generator import Drawn, DrawnItem, GeneratedImage, ImageRequest, Renderer, Stopping

_BLANK = 2.0
"""Standard deviation, of 256 levels, below which an image shows nothing."""
_SAME = 4.0
"""Root mean square difference, of 256 levels, at which two small versions of images are nearly the same image."""
_SMALL = (16, 16)

_UNSAFE, _EMPTY, _DUPLICATE = "the safety checker objected", "blank", "nearly the same as another image of its item"


@dataclass(frozen=True)
class _Taken:
    request: ImageRequest
    image: Image.Image
    origin: tuple[int, int]


def make_items(work: Work, render: Renderer, stopping: Stopping) -> Drawn:
    """The images of a batch of items."""
    taken: dict[tuple[int, Role], _Taken] = {}
    rejected: dict[int, str] = {}
    calls: list[Call] = []
    requests = [_request(work, wanted, role) for wanted in work.items for role in ROLES]
    while requests:
        defective: list[tuple[ImageRequest, str]] = []
        remaining = iter(requests)
        for call, images in render(requests, stopping):
            for position, (request, generated) in enumerate(zip(islice(remaining, len(images)), images, strict=True)):
                if defect := _defect(generated):
                    defective.append((request, defect))
                else:
                    taken[request.number, request.role] = _Taken(request, generated.image, (len(calls), position))
            calls.append(call)
        for duplicate in _duplicates(work.items, taken):
            del taken[duplicate.number, duplicate.role]
            defective.append((duplicate, _DUPLICATE))
        requests = []
        for request, defect in defective:
            if request.attempt + 1 == SEEDS_PER_IMAGE:
                rejected.setdefault(request.number, f"{request.role}: {defect} ({SEEDS_PER_IMAGE} seeds tried)")
            else:
                requests.append(_next(work, request))
        requests = [request for request in requests if request.number not in rejected]
    items = [_item(wanted, taken) for wanted in work.items if wanted.number not in rejected]
    return Drawn(items, rejected, calls)


def _request(work: Work, wanted: Wanted, role: Role) -> ImageRequest:
    return ImageRequest(wanted.number, role, 0, image_seed(work.study_seed, wanted.number, role, 0), wanted.prompt)


def _next(work: Work, request: ImageRequest) -> ImageRequest:
    attempt = request.attempt + 1
    return replace(request, attempt=attempt, seed=image_seed(work.study_seed, request.number, request.role, attempt))


def _defect(generated: GeneratedImage) -> str | None:
    if generated.is_unsafe:
        return _UNSAFE
    return _EMPTY if max(ImageStat.Stat(generated.image).stddev) < _BLANK else None


def _duplicates(items: Sequence[Wanted], taken: dict[tuple[int, Role], _Taken]) -> list[ImageRequest]:
    """Of images of one item that are nearly the same, the later ones."""
    duplicates = []
    for wanted in items:
        seen: list[np.ndarray] = []
        for role in ROLES:
            if (found := taken.get((wanted.number, role))) is None:
                continue
            small = np.asarray(found.image.resize(_SMALL, Image.Resampling.BOX), dtype=np.float64)
            if any(np.sqrt(np.mean((small - other) ** 2)) < _SAME for other in seen):
                duplicates.append(found.request)
            else:
                seen.append(small)
    return duplicates


def _item(wanted: Wanted, taken: dict[tuple[int, Role], _Taken]) -> DrawnItem:
    found = [taken[wanted.number, role] for role in ROLES]
    return DrawnItem(wanted, [one.image for one in found], [one.origin for one in found])
