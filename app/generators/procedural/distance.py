"""How different two scenes look: the ground truth that a simulated observer sees through noise."""

import math
from functools import lru_cache
from typing import Final

from app.generators.procedural.catalogue import KINDS
from app.generators.procedural.layout import places
from app.generators.procedural.scene import Scene

# Weights are in the unit of `distance`. A label counts in full when it differs.
_CATEGORY: Final = 8.0
_VARIANT: Final = 2.2
_BACKGROUND: Final = 2.4
_ARRANGEMENT: Final = 0.7

_LABEL_WEIGHTS: Final = (_CATEGORY, _VARIANT, _BACKGROUND, _ARRANGEMENT)

# From one end of the parameter to the other; for a hue, from one colour to its opposite.
_HUE: Final = 4.0
_LIGHTNESS: Final = 1.6
_BUILD: Final = 1.4
_LEAN_PER_DEGREE: Final = 0.055
_FACING: Final = 1.3
_FACING_SYMMETRIC: Final = 0.3
_COUNT_PER_DOUBLING: Final = 1.1
_BACKGROUND_HUE: Final = 2.4
_BACKGROUND_LIGHTNESS: Final = 1.0
_SCENERY: Final = 0.8
_NIGHT: Final = 1.6

# Where there is something: the frame seen through soft round windows, each this wide.
_WINDOW: Final = 0.16
_COLUMNS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
_ROWS: Final = (0.3, 0.5, 0.7, 0.9)
_OCCUPANCY: Final = 8.0


def distance(a: Scene, b: Scene) -> float:
    """The latent perceptual distance between two scenes.

    It is the Euclidean distance between two points of a feature space, so it is symmetric and keeps the
    triangle inequality. It is 0 for a scene and itself; parameters that a picture does not show (how a single
    object is arranged) do not count. One unit is one standard deviation of the decision noise of a typical
    observer: who compares candidates 0 and 1 at distance_0 and distance_1 from a reference chooses candidate 0
    as the more similar with probability

        P(chooses candidate 0) = Φ((distance_1 − distance_0) / σ)

    where Φ is the standard normal distribution function and σ the observer's own noise, 1 for a typical one.
    The noise belongs to the decision as a whole; there is no further √2 for the two comparisons.
    """
    features = zip(_features(a), _features(b), strict=True)
    labels = zip(_LABEL_WEIGHTS, _labels(a), _labels(b), strict=True)
    squares = sum((x - y) ** 2 for x, y in features) + sum(weight**2 for weight, x, y in labels if x != y)
    return math.sqrt(squares)


def _labels(scene: Scene) -> tuple[str | int | None, ...]:
    return scene.category, scene.variant, scene.background, scene.arrangement if scene.count > 1 else None


# Searching for a scene at some distance measures against the same one again and again.
@lru_cache(maxsize=1024)
def _features(scene: Scene) -> tuple[float, ...]:
    kind = KINDS[scene.category]
    facing = _FACING if kind.sided else _FACING_SYMMETRIC
    return (
        facing * scene.mirrored,
        _LEAN_PER_DEGREE * kind.lean * scene.turn,
        _BUILD * scene.build,
        _COUNT_PER_DOUBLING * math.log2(scene.count),
        *_on_circle(scene.hue, _HUE / 2),
        _LIGHTNESS * scene.lightness,
        *_on_circle(scene.background_hue, _BACKGROUND_HUE / 2),
        _BACKGROUND_LIGHTNESS * scene.background_lightness,
        _SCENERY * scene.scenery,
        _NIGHT * (scene.background == "night"),
        *_occupancy(scene),
    )


def _on_circle(hue: float, radius: float) -> tuple[float, float]:
    angle = math.radians(hue % 360)
    return radius * math.cos(angle), radius * math.sin(angle)


def _occupancy(scene: Scene) -> tuple[float, ...]:
    """How much of the objects lies around each window's centre: their layout, whichever is which."""
    weights = []
    for place in places(scene):
        across = [_nearness(place.x - x) for x in _COLUMNS]
        down = [_nearness(place.y - place.half - y) for y in _ROWS]
        weights.append([_OCCUPANCY * place.half * u * v for v in down for u in across])
    return tuple(sum(window) for window in zip(*weights, strict=True))


def _nearness(offset: float) -> float:
    return math.exp(-((offset / _WINDOW) ** 2) / 2)
