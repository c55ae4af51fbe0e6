"""A scene: the latent parameters from which a picture is drawn."""

from dataclasses import asdict, dataclass
from typing import Final

from app.generators.procedural.backgrounds import BACKGROUNDS
from app.generators.procedural.catalogue import CATEGORIES, VARIANTS

ARRANGEMENTS: Final = ("row", "arc", "diagonal", "zigzag", "cluster")
MAX_COUNT: Final = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a picture shows. The parameters are independent of each other.

    Raises ValueError, naming the parameter and what is allowed, when one is out of its range.
    """

    category: str  # what is drawn, one of CATEGORIES
    variant: int  # pose: which drawing of the category, 0 to 2
    mirrored: bool  # pose: facing left instead of right
    turn: float  # pose: lean to the left (−1) or right (1), as far as such a thing leans
    build: float  # pose: slender (0) to stout (1)
    count: int  # how many objects, 1 to 5
    hue: float  # colour: degrees on the OKLCH circle, 0 to 360
    lightness: float  # colour: dark (0) to light (1)
    arrangement: str  # layout: how several objects stand, one of ARRANGEMENTS; a single one does not show it
    spread: float  # layout: how far apart several objects stand, 0 to 1; a single one does not show it
    x: float  # layout: the group's centre, left (0) to right (1)
    depth: float  # layout: the group's centre, far (0) to near (1)
    size: float  # layout: small (0) to large (1)
    background: str  # background: one of BACKGROUNDS
    scenery: float  # background: where its hills, clouds or stars lie, 0 to 1
    background_hue: float  # background: degrees on the OKLCH circle, 0 to 360
    background_lightness: float  # background: dark (0) to light (1)

    def __post_init__(self) -> None:
        check_category(self.category)
        _check_choice("arrangement", self.arrangement, ARRANGEMENTS)
        _check_choice("background", self.background, tuple(BACKGROUNDS))
        if not isinstance(self.mirrored, bool):
            raise ValueError(f"mirrored must be true or false, not {self.mirrored!r}.")
        for name, high in (("variant", VARIANTS - 1), ("count", MAX_COUNT)):
            value = getattr(self, name)
            _check_range(name, value, 1 if name == "count" else 0, high)
            if not isinstance(value, int):
                raise ValueError(f"{name} must be a whole number, not {value!r}.")
        _check_range("turn", self.turn, -1, 1)
        for name in ("hue", "background_hue"):
            _check_range(name, getattr(self, name), 0, 360)
        for name in ("build", "lightness", "spread", "x", "depth", "size", "scenery", "background_lightness"):
            _check_range(name, getattr(self, name), 0, 1)

    def as_dict(self) -> dict[str, str | int | float]:
        """The parameters by name, ready for JSON; `Scene(**scene.as_dict())` is the same scene again."""
        return asdict(self)


def check_category(category: str) -> None:
    """Raise ValueError, listing what there is, unless the category can be drawn."""
    _check_choice("category", category, CATEGORIES)


def prompt(category: str) -> str:
    """What a participant or a dataset reads: "An image of a tree".

    Raises ValueError for a category that cannot be drawn.
    """
    check_category(category)
    return f"An image of {'an' if category[0] in 'aeiou' else 'a'} {category}"


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} {value!r} is unknown; choose one of: {', '.join(allowed)}.")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    # NaN fails both comparisons, and a bool is not meant where a number is.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
