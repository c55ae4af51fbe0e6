"""Draws a scene."""

from typing import Final

from PIL import Image

from app.generators.procedural.backgrounds import BACKGROUNDS
from app.generators.procedural.canvas import Canvas
from app.generators.procedural.catalogue import KINDS
from app.generators.procedural.geometry import Outline, Point, mix, turned
from app.generators.procedural.layout import Place, places
from app.generators.procedural.palette import day_tones, night_tones, paint
from app.generators.procedural.scene import Scene
from app.generators.procedural.shapes.parts import Drawing, Form, placed

MAX_SIZE: Final = 4096

# Objects of one scene differ a little in lean and lightness, as things do that were set down by hand.
_RHYTHM: Final = (0.0, -0.25, 0.2, -0.15, 0.25)
_TINTS: Final = (0.0, 0.1, -0.06, 0.06, -0.04)


def draw(scene: Scene, size: int = 512) -> Image.Image:
    """The picture of a scene: RGB, `size` × `size` pixels, the same bytes on every machine with the same Pillow.

    Raises ValueError unless `size` is a whole number from 1 to 4096.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
        raise ValueError(f"size must be a whole number of pixels from 1 to {MAX_SIZE}, not {size!r}.")
    canvas = Canvas(size)
    tones = (night_tones if scene.background == "night" else day_tones)(
        scene.background_hue, scene.background_lightness
    )
    BACKGROUNDS[scene.background](canvas, tones, scene.scenery)
    objects = [_stand(scene, index, place) for index, place in enumerate(places(scene))]
    canvas.shadow((_shadow(scene, place, patches) for place, patches in objects), tones.shadow)
    for _, patches in objects:
        for patch in patches:
            canvas.fill(patch.outline, patch.colour, patch.within, patch.opacity)
    return canvas.finished()


def _stand(scene: Scene, index: int, place: Place) -> tuple[Place, Drawing]:
    """One object's patches in frame coordinates, leaning, with its lowest point on the ground or above it."""
    kind = KINDS[scene.category]
    # The farther one of them is, the paler; so neighbours of one colour stay apart.
    tint = mix(0.12, 0.88, scene.lightness) + 1.5 * (0.85 - place.y) + _TINTS[index]
    patches = kind.shape(Form(scene.variant, scene.build), paint(scene.hue, tint))
    lean = (scene.turn + _RHYTHM[index]) * kind.lean
    side = -1 if scene.mirrored else 1

    def pose(outline: Outline) -> Outline:
        return turned(((side * x, y) for x, y in outline), lean)

    posed = [patch.mapped(pose) for patch in patches]
    lowest = max(y for _, y in _solid(posed)) + kind.lift
    return place, placed(posed, place.x, place.y - place.half * lowest, place.half)


def _solid(patches: Drawing) -> list[Point]:
    """What stands on the ground and casts a shadow: neither light nor steam, nor what is cut away."""
    solid = (patch for patch in patches if patch.within is None and patch.opacity == 1)
    return [point for patch in solid for point in patch.outline]


def _shadow(scene: Scene, place: Place, patches: Drawing) -> tuple[float, float, float, float, float]:
    """The soft ellipse under an object: wide as the object, paler when it hovers."""
    lift = KINDS[scene.category].lift
    xs = [x for x, _ in _solid(patches)]
    radius = (max(xs) - min(xs)) / 2 * (0.92 - 0.5 * lift)
    height = max(0.012, radius * 0.15)
    return (min(xs) + max(xs)) / 2, place.y - height * 0.3, radius, height, 0.5 - 0.5 * lift
