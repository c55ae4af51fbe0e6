"""Scenes drawn by lot: one, a variation of one, a triplet, two pairs."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np

from app.generators.procedural.backgrounds import BACKGROUNDS
from app.generators.procedural.catalogue import VARIANTS
from app.generators.procedural.distance import distance
from app.generators.procedural.geometry import mix
from app.generators.procedural.scene import ARRANGEMENTS, Scene, check_category

_Choice = TypeVar("_Choice")

# Few objects are easier on the eye than many, so low counts come up more often.
_COUNTS: Final = (1, 1, 1, 2, 2, 3, 3, 4, 5)

_STEPPED: Final = ("variant", "mirrored", "count", "arrangement", "background")
_HUES: Final = ("hue", "background_hue")
_GLIDING: Final = (
    "turn", "build", "lightness", "spread", "x", "depth", "size", "scenery", "background_lightness", *_HUES,
)  # fmt: skip

_ATTEMPTS: Final = 24
_TOLERANCE: Final = 0.02
_HALVINGS: Final = 10

# |distance_1 − distance_0| of the hard, the middling and the obvious third of triplets.
_GAPS: Final = ((0.0, 0.7), (0.9, 2.4), (2.6, 4.2))
_NEAREST: Final = 0.8
_FARTHEST: Final = 5.6
_CANDIDATES_APART: Final = 0.5

# From what hardly anybody sees to what everybody does.
_LEVELS: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)


@dataclass(frozen=True, slots=True)
class Triplet:
    """A reference, two candidates of its prompt, and each candidate's latent distance from the reference."""

    reference: Scene
    candidate_0: Scene
    candidate_1: Scene
    distance_0: float
    distance_1: float


def sample_scene(category: str, rng: np.random.Generator) -> Scene:
    """A random scene, every parameter drawn on its own. Raises ValueError for an unknown category."""
    check_category(category)
    return Scene(
        category=category,
        variant=_choose(range(VARIANTS), rng),
        mirrored=_choose((False, True), rng),
        turn=_number(-1, 1, rng),
        build=_number(0, 1, rng),
        count=_choose(_COUNTS, rng),
        hue=_number(0, 360, rng),
        lightness=_number(0, 1, rng),
        arrangement=_choose(ARRANGEMENTS, rng),
        spread=_number(0, 1, rng),
        x=_number(0, 1, rng),
        depth=_number(0, 1, rng),
        size=_number(0, 1, rng),
        background=_choose(tuple(BACKGROUNDS), rng),
        scenery=_number(0, 1, rng),
        background_hue=_number(0, 360, rng),
        background_lightness=_number(0, 1, rng),
    )


def vary(scene: Scene, rng: np.random.Generator, amount: float) -> Scene:
    """Another scene of the same category, `amount` away from this one in the unit of `distance`.

    0 gives the scene itself. Up to 5 the distance is met to 0.02 or better, though parameters have four decimals,
    which no amount under about 0.001 survives; beyond what can be reached the farthest scene found is returned.
    Raises ValueError for an amount that is negative or not finite.
    """
    if not (isinstance(amount, int | float) and 0 <= amount < math.inf):
        raise ValueError(f"amount must be a distance of 0 or more, not {amount!r}.")
    if amount == 0:
        return scene
    found: list[tuple[float, Scene]] = []
    for attempt in range(_ATTEMPTS):
        target = sample_scene(scene.category, rng)
        candidate = _toward(scene, target, rng, amount, boldness=mix(0.6, 1.0, attempt / (_ATTEMPTS - 1)))
        found.append((abs(distance(scene, candidate) - amount), candidate))
        if found[-1][0] <= _TOLERANCE:
            break
    return min(found, key=lambda miss_and_scene: miss_and_scene[0])[1]


def triplet(category: str, seed: int) -> Triplet:
    """Three scenes of one prompt, never two the same.

    Over the seeds a third are hard (|distance_1 − distance_0| < 0.8), a third middling, a third obvious (more
    than 2.5). Raises ValueError for an unknown category or a seed that is no whole number of 0 or more.
    """
    rng = _generator("triplet", category, seed)
    low, high = _choose(_GAPS, rng)
    while True:
        reference = sample_scene(category, rng)
        gap = _number(low, high, rng)
        near = _number(_NEAREST, min(4.0, _FARTHEST - gap), rng)
        distances = (near, near + gap) if rng.random() < 0.5 else (near + gap, near)
        first, second = (vary(reference, rng, amount) for amount in distances)
        distance_0, distance_1 = (round(distance(reference, scene), 6) for scene in (first, second))
        # What a category cannot reach is missed by `vary`; such a draw is thrown away, never bent.
        reached = low <= abs(distance_1 - distance_0) <= high
        if reached and distance(first, second) >= _CANDIDATES_APART:
            return Triplet(reference, first, second, distance_0, distance_1)


def two_pairs(category: str, seed: int) -> Triplet:
    """A reference and two candidates for same/different trials, each at a level drawn from a graded scale.

    Raises ValueError for an unknown category or a seed that is no whole number of 0 or more.
    """
    rng = _generator("two pairs", category, seed)
    while True:
        reference = sample_scene(category, rng)
        first, second = (vary(reference, rng, _choose(_LEVELS, rng)) for _ in range(2))
        distance_0, distance_1 = (round(distance(reference, scene), 6) for scene in (first, second))
        if distance_0 and distance_1 and first != second:
            return Triplet(reference, first, second, distance_0, distance_1)


def _toward(scene: Scene, target: Scene, rng: np.random.Generator, amount: float, boldness: float) -> Scene:
    """The scene on its way to the target, `amount` away if the way is long enough.

    Steps that fit are taken at once; then what glides does so until the distance is met. Each parameter takes
    part with probability `boldness`, so that scenes differ from each other in different respects.
    """
    stepped = scene
    for name in _shuffled(_STEPPED, rng):
        step = replace(stepped, **{name: getattr(target, name)})
        if rng.random() < boldness and distance(scene, step) <= amount:
            stepped = step
    gliding = [name for name in _GLIDING if rng.random() < boldness]
    if distance(scene, _glide(stepped, target, gliding, 1.0)) <= amount:
        return _glide(stepped, target, gliding, 1.0)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        short = distance(scene, _glide(stepped, target, gliding, middle)) <= amount
        low, high = (middle, high) if short else (low, middle)
    return _glide(stepped, target, gliding, low)


def _glide(start: Scene, end: Scene, names: Sequence[str], share: float) -> Scene:
    # Rounded, so that a last-bit difference between two machines' mathematics never reaches a picture.
    changes: dict[str, Any] = {}
    for name in names:
        first, last = getattr(start, name), getattr(end, name)
        if name in _HUES:
            shorter = (last - first + 180) % 360 - 180
            changes[name] = round((first + shorter * share) % 360, 4)
        else:
            changes[name] = round(mix(first, last, share), 4)
    return replace(start, **changes)


def _generator(purpose: str, category: str, seed: int) -> np.random.Generator:
    check_category(category)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number of 0 or more, not {seed!r}.")
    label = hashlib.sha256(f"{purpose}/{category}".encode()).digest()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int.from_bytes(label[:8]), seed])))


# Only `random()` is asked of the generator: NumPy may change how its other methods use the same bits.
def _number(low: float, high: float, rng: np.random.Generator) -> float:
    return round(mix(low, high, rng.random()), 4)


def _choose(options: Sequence[_Choice], rng: np.random.Generator) -> _Choice:
    return options[int(rng.random() * len(options))]


def _shuffled(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [name for _, name in sorted((rng.random(), name) for name in names)]
