"""The categories: how each is drawn, and how far above the ground it hovers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.generators.procedural.palette import Paint
from app.generators.procedural.shapes import animals, home, plants, sea, travel
from app.generators.procedural.shapes.parts import Drawing, Form

VARIANTS: Final = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A category: how it is drawn and how it may stand."""

    shape: Callable[[Form, Paint], Drawing]
    lean: float  # how far it tilts at most, in degrees
    scale: float = 1.0  # evens out how large the categories look
    lift: float = 0.0  # height above the ground, in half-heights
    sided: bool = False  # it looks different in a mirror


KINDS: Final[dict[str, Kind]] = {
    "apple": Kind(plants.apple, lean=16, scale=0.88),
    "balloon": Kind(travel.balloon, lean=16, scale=1.06, lift=0.25),
    "bird": Kind(animals.bird, lean=16, scale=0.94, sided=True),
    "butterfly": Kind(animals.butterfly, lean=34, scale=0.9, lift=0.4),
    "cactus": Kind(plants.cactus, lean=7),
    "car": Kind(travel.car, lean=6, scale=0.92, sided=True),
    "cat": Kind(animals.cat, lean=8, scale=0.98, sided=True),
    "cup": Kind(home.cup, lean=8, scale=0.9, sided=True),
    "fish": Kind(sea.fish, lean=24, scale=0.96, lift=0.5, sided=True),
    "flower": Kind(plants.flower, lean=14, scale=1.08),
    "house": Kind(home.house, lean=4, sided=True),
    "lamp": Kind(home.lamp, lean=5, sided=True),
    "mushroom": Kind(plants.mushroom, lean=11, scale=0.95),
    "rocket": Kind(travel.rocket, lean=30, scale=1.02, lift=0.3),
    "sailboat": Kind(travel.sailboat, lean=10, scale=0.98, sided=True),
    "snail": Kind(animals.snail, lean=8, scale=0.94, sided=True),
    "starfish": Kind(sea.starfish, lean=30, scale=0.92, lift=0.06),
    "tree": Kind(plants.tree, lean=7, scale=1.05),
    "umbrella": Kind(home.umbrella, lean=24, scale=0.98, lift=0.08),
    "whale": Kind(sea.whale, lean=16, scale=0.88, lift=0.25, sided=True),
}

CATEGORIES: Final[tuple[str, ...]] = tuple(KINDS)
