"""What the drawings are made of: patches of colour, and the few parts that many of them share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.generators.procedural.geometry import Outline, Point, arc, band, circle, ellipse, moved
from app.generators.procedural.palette import INK, ROSE, WHITE, Colour


@dataclass(frozen=True, slots=True)
class Patch:
    """One flat area; later patches cover earlier ones. `within` cuts it to another outline."""

    outline: Outline
    colour: Colour
    within: Outline | None = None
    opacity: float = 1.0

    def mapped(self, change: Callable[[Outline], Outline]) -> "Patch":
        """The patch with its outlines changed: moved, turned, mirrored."""
        within = None if self.within is None else change(self.within)
        return Patch(change(self.outline), self.colour, within, self.opacity)


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of an object: which of the drawings of its category, and 0 (slender) to 1 (stout)."""

    variant: int
    build: float


Drawing = list[Patch]


def placed(drawing: Drawing, x: float, y: float, size: float) -> Drawing:
    """A drawing as part of a larger one: scaled, then shifted by (x, y)."""
    return [patch.mapped(lambda outline: moved(outline, x, y, size)) for patch in drawing]


def eye(x: float, y: float, radius: float) -> Drawing:
    """A dark eye with a glint, a little taller than wide."""
    return [
        Patch(ellipse(x, y, radius, radius * 1.15), INK),
        Patch(circle(x - radius * 0.3, y - radius * 0.4, radius * 0.36), WHITE),
    ]


def open_eye(x: float, y: float, radius: float) -> Drawing:
    """An eye with a white, for animals seen from the side."""
    return [Patch(circle(x, y, radius), WHITE), *eye(x + radius * 0.18, y + radius * 0.06, radius * 0.6)]


def smile(x: float, y: float, radius: float, width: float = 0.035) -> Patch:
    """A mouth: the lower part of a circle around (x, y)."""
    return Patch(band(arc(x, y, radius, radius * 0.8, 30, 150), width), INK)


def cheek(x: float, y: float, radius: float, within: Outline) -> Patch:
    """A blush on whatever `within` outlines."""
    return Patch(ellipse(x, y, radius, radius * 0.75), ROSE, within, 0.75)


def glint(x: float, y: float, rx: float, ry: float, turn: float, within: Outline) -> Patch:
    """A soft reflection."""
    return Patch(ellipse(x, y, rx, ry, turn), WHITE, within, 0.4)


def dots(places: Iterable[Point], radius: float, colour: Colour, within: Outline) -> Drawing:
    """Round spots on whatever `within` outlines."""
    return [Patch(circle(x, y, radius), colour, within) for x, y in places]
