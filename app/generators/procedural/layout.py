"""Where the objects of a scene stand."""

from dataclasses import dataclass
from typing import Final

from app.generators.procedural.catalogue import KINDS
from app.generators.procedural.geometry import Point, mix
from app.generators.procedural.scene import Scene

# Half the height of one object, in frames, by how many there are: a crowd has to fit.
_HALF_HEIGHTS: Final = (0.310, 0.215, 0.172, 0.150, 0.136)

# What most objects keep within, in half-heights; and how far a group too wide for the frame still moves.
_HALF_WIDTH: Final = 1.1
_LEAST_REACH: Final = 0.03

_CLUSTER: Final[tuple[Point, ...]] = ((0.0, 0.9), (-0.75, 0.1), (0.75, 0.0), (-0.3, -0.85), (0.42, -0.9))


@dataclass(frozen=True, slots=True)
class Place:
    """One object in the frame: the point on the ground under it, half its height, all in frames."""

    x: float
    y: float
    half: float


def places(scene: Scene) -> tuple[Place, ...]:
    """The objects' places from the farthest to the nearest."""
    largest = KINDS[scene.category].scale * _HALF_HEIGHTS[scene.count - 1] * mix(0.74, 1.08, scene.size)
    # Wide objects stand closer, so that the outer ones are not cut off.
    across = mix(0.76, 1.0, scene.spread) * min(0.37, 0.5 - _HALF_WIDTH * largest)
    around_zero = []
    for u, v in _offsets(scene):
        nearness = min(max(scene.depth + 0.42 * v, -0.1), 1.1)
        place = Place(across * u, mix(0.775, 0.925, nearness), largest * mix(0.88, 1.12, nearness))
        around_zero.append(place)
    centre = _centre(scene, around_zero)
    moved = (Place(place.x + centre, place.y, place.half) for place in around_zero)
    return tuple(sorted(moved, key=lambda place: (place.y, place.x)))


def _centre(scene: Scene, group: list[Place]) -> float:
    """Where the group's centre lies across the frame: x decides within the room that its width leaves."""
    left = min(place.x - _HALF_WIDTH * place.half for place in group)
    right = max(place.x + _HALF_WIDTH * place.half for place in group)
    reach = 0.18 if scene.count == 1 else 0.08
    low, high = max(0.5 - reach, -left), min(0.5 + reach, 1 - right)
    if high - low < 2 * _LEAST_REACH:
        middle = (low + high) / 2
        low, high = middle - _LEAST_REACH, middle + _LEAST_REACH
    return mix(low, high, scene.x)


def _offsets(scene: Scene) -> tuple[Point, ...]:
    """Each object's place relative to the group's: across −1 to 1, and −1 (far) to 1 (near)."""
    if scene.count == 1:
        return ((0.0, 0.0),)
    steps = [2 * index / (scene.count - 1) - 1 for index in range(scene.count)]
    if scene.count == 2:
        steps = [-0.8, 0.8]
    if scene.arrangement == "cluster":
        return ((-0.8, 0.3), (0.8, -0.7)) if scene.count == 2 else _CLUSTER[: scene.count]
    if scene.arrangement == "arc":
        return tuple((u, 2 * u * u - 1.2) for u in steps)
    if scene.arrangement == "diagonal":
        return tuple((u, u) for u in steps)
    if scene.arrangement == "zigzag":
        return tuple((u, 0.9 if index % 2 else -0.9) for index, u in enumerate(steps))
    return tuple((u, 0.0) for u in steps)
