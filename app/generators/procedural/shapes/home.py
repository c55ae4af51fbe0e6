"""Cup, house, lamp and umbrella."""

from app.generators.procedural.geometry import (
    Outline,
    arc,
    band,
    box,
    circle,
    curve,
    ellipse,
    flipped,
    mix,
    moved,
    rounded,
    symmetric,
)
from app.generators.procedural.palette import AMBER, BARK, CREAM, GLASS, GOLD, INK, STEEL, WHITE, WOOD, Paint
from app.generators.procedural.shapes.parts import Drawing, Form, Patch, dots


def cup(form: Form, paint: Paint) -> Drawing:
    """A teacup on its saucer, a striped mug, or a tall mug with a heart."""
    if form.variant == 0:
        return _teacup(form.build, paint)
    wide = mix(0.44, 0.58, form.build) + (0.08 if form.variant == 1 else 0.0)
    top = -0.3 if form.variant == 1 else -0.56
    wall = rounded(((-wide, top), (wide, top), (wide * 0.94, 1.0), (-wide * 0.94, 1.0)), 0.14)
    handle = arc(wide - 0.02, (top + 1) / 2 - 0.02, 0.34, 0.3, -84, 84)
    return [
        *_steam(-0.1, top - 0.08),
        Patch(band(handle, 0.13), paint.shade),
        Patch(wall, paint.main),
        *_mug_pattern(form.variant, wide, top, wall, paint),
        Patch(box(wide * 0.55, top - 0.1, wide + 0.2, 1.1), paint.deep, wall, 0.28),
        Patch(ellipse(0.0, top + 0.04, wide * 0.99, 0.11), paint.light),
        Patch(ellipse(0.0, top + 0.055, wide * 0.86, 0.075), BARK),
    ]


def _mug_pattern(variant: int, wide: float, top: float, wall: Outline, paint: Paint) -> Drawing:
    if variant == 1:
        rows = (0.14, 0.5)
        return [Patch(box(-1, top + 0.2 + y, 1, top + 0.38 + y), paint.pale, wall) for y in rows]
    heart = symmetric((0.0, 0.12), (0.14, 0.02), (0.28, 0.12), (0.24, 0.3), (0.0, 0.54))
    return [Patch(moved(heart, -wide * 0.12, 0.0), paint.accent, wall)]


def _teacup(build: float, paint: Paint) -> Drawing:
    wide = mix(0.58, 0.74, build)
    bowl = symmetric((0.0, -0.12), (wide, -0.1), (wide * 0.9, 0.4), (0.34, 0.8))
    handle = arc(wide - 0.04, 0.22, 0.26, 0.22, -95, 100)
    return [
        *_steam(-0.08, -0.22),
        Patch(ellipse(0.0, 0.88, 0.98, 0.13), paint.accent_shade),
        Patch(ellipse(0.0, 0.84, 0.98, 0.12), paint.accent),
        Patch(ellipse(0.0, 0.83, 0.5, 0.06), paint.accent_shade),
        Patch(band(handle, 0.1), paint.shade),
        Patch(bowl, paint.main),
        Patch(ellipse(wide * 0.8, 0.5, wide * 0.6, 0.8, 20), paint.shade, bowl, 0.6),
        *dots([(x, 0.3 + abs(x) * -0.06) for x in (-0.48, -0.24, 0.0, 0.24, 0.48)], 0.06, paint.pale, bowl),
        Patch(ellipse(0.0, -0.1, wide, 0.12), paint.light),
        Patch(ellipse(0.0, -0.085, wide * 0.88, 0.085), AMBER),
    ]


def _steam(x: float, bottom: float) -> Drawing:
    wisp = curve((0.0, 0.0), (0.09, -0.14), (-0.04, -0.28), (0.06, -0.42))
    return [Patch(band(moved(wisp, x + s * 0.16, bottom), 0.07, 0.03), WHITE, None, 0.75) for s in (-1, 1)]


def house(form: Form, paint: Paint) -> Drawing:
    """A cottage, a tall town house, or a round hut."""
    return (_cottage, _town_house, _hut)[form.variant](form.build, paint)


def _cottage(build: float, paint: Paint) -> Drawing:
    wide = mix(0.68, 0.86, build)
    wall = box(-wide, -0.1, wide, 1.0, 0.04)
    roof = rounded(((0.0, -0.94), (wide + 0.2, 0.0), (-wide - 0.2, 0.0)), 0.09)
    return [
        Patch(box(0.3, -0.9, 0.52, -0.2, 0.03), paint.deep),
        Patch(box(0.26, -0.96, 0.56, -0.84, 0.03), paint.shade),
        Patch(wall, CREAM),
        Patch(box(-2, -0.1, 2, 0.1), paint.deep, wall, 0.22),
        Patch(roof, paint.main),
        Patch(rounded(((0.0, -0.94), (wide + 0.2, 0.0), (0.3, 0.0)), 0.06), paint.shade, roof),
        *_window(-wide * 0.5, 0.42, 0.19, paint),
        *_door(wide * 0.44, 0.22, paint),
        Patch(circle(0.0, -0.38, 0.15), CREAM),
        Patch(circle(0.0, -0.38, 0.1), GLASS),
    ]


def _town_house(build: float, paint: Paint) -> Drawing:
    wide = mix(0.5, 0.64, build)
    wall = box(-wide, -0.5, wide, 1.0, 0.04)
    roof = rounded(((-wide * 0.7, -1.0), (wide * 0.7, -1.0), (wide + 0.14, -0.44), (-wide - 0.14, -0.44)), 0.08)
    windows = [(x * wide, y) for y in (-0.12, 0.3) for x in (-0.48, 0.48)]
    return [
        Patch(wall, paint.main),
        Patch(box(wide * 0.6, -0.6, wide + 0.1, 1.0), paint.shade, wall, 0.7),
        Patch(box(-2, -0.46, 2, -0.34), paint.deep, wall, 0.35),
        Patch(roof, paint.accent_shade),
        Patch(box(-2, -0.56, 2, -0.3), paint.accent, roof),
        *(patch for x, y in windows for patch in _window(x, y, 0.13, paint)),
        *_door(0.0, 0.17, paint),
        Patch(box(-wide - 0.06, 0.93, wide + 0.06, 1.0, 0.03), STEEL),
    ]


def _hut(build: float, paint: Paint) -> Drawing:
    wide = mix(0.62, 0.76, build)
    wall = symmetric((wide * 0.9, 0.0), (wide * 1.02, 0.5), (wide, 1.0), (0.0, 1.02))
    roof = symmetric((0.14, -0.92), (wide * 0.66, -0.3), (wide + 0.26, 0.12), (0.0, 0.22))
    straws = [curve((x * 0.2, -0.9), (x * 0.6, -0.3), (x, 0.2)) for x in (-0.7, -0.25, 0.25, 0.7)]
    return [
        Patch(wall, CREAM),
        Patch(ellipse(wide, 0.6, 0.4, 0.8), paint.pale, wall),
        Patch(roof, paint.main),
        *(Patch(band(line, 0.045), paint.shade, roof) for line in straws),
        Patch(box(-2, 0.06, 2, 0.4), paint.light, roof, 0.5),
        *_door(0.0, 0.24, paint),
        Patch(circle(-0.44, 0.52, 0.12), paint.deep),
        Patch(circle(-0.44, 0.52, 0.085), GLASS),
    ]


def _window(x: float, y: float, half: float, paint: Paint) -> Drawing:
    return [
        Patch(box(x - half, y - half * 1.15, x + half, y + half * 1.15, 0.04), paint.deep),
        Patch(box(x - half * 0.78, y - half * 0.95, x + half * 0.78, y + half * 0.95, 0.02), GLASS),
        Patch(band(((x, y - half), (x, y + half)), half * 0.18), paint.deep),
        Patch(band(((x - half * 0.9, y), (x + half * 0.9, y)), half * 0.18), paint.deep),
    ]


def _door(x: float, half: float, paint: Paint) -> Drawing:
    top = 1.0 - half * 2.6
    slab = rounded(((x - half, 1.0), (x - half, top), (x + half, top), (x + half, 1.0)), half * 0.5)
    slab = (*slab[8:-8], (x + half, 1.0), (x - half, 1.0))
    return [Patch(slab, paint.accent_shade), Patch(circle(x + half * 0.55, 0.74, 0.035), GOLD)]


def lamp(form: Form, paint: Paint) -> Drawing:
    """A table lamp, a reading lamp on a jointed arm, or a floor lamp."""
    return (_table_lamp, _reading_lamp, _floor_lamp)[form.variant](form.build, paint)


def _table_lamp(build: float, paint: Paint) -> Drawing:
    wide = mix(0.6, 0.76, build)
    shade = rounded(((-wide * 0.55, -0.98), (wide * 0.55, -0.98), (wide, 0.06), (-wide, 0.06)), 0.07)
    base = symmetric((0.1, 0.1), (0.3, 0.5), (0.2, 0.86))
    return [
        Patch(band(((wide * 0.42, 0.0), (wide * 0.42, 0.3)), 0.025), STEEL),
        Patch(circle(wide * 0.42, 0.32, 0.045), GOLD),
        Patch(base, paint.accent),
        Patch(ellipse(0.24, 0.6, 0.2, 0.5), paint.accent_shade, base),
        Patch(box(-0.36, 0.84, 0.36, 1.0, 0.06), WOOD),
        Patch(shade, paint.main),
        Patch(ellipse(0.0, 0.0, wide * 0.7, 0.8), paint.light, shade, 0.75),
        Patch(box(-2, -0.06, 2, 0.1), paint.shade, shade),
        Patch(box(-2, -1.0, 2, -0.88), paint.shade, shade),
    ]


def _reading_lamp(build: float, paint: Paint) -> Drawing:
    head = rounded(((0.06, -0.86), (0.34, -1.0), (0.92, -0.5), (0.36, -0.16 - 0.1 * build)), 0.1)
    beam = rounded(((0.9, -0.46), (0.38, -0.18), (0.1, 0.98), (1.25, 0.98)), 0.03)
    width = mix(0.07, 0.11, build)
    return [
        Patch(beam, GOLD, None, 0.28),
        Patch(band(((-0.3, 0.92), (-0.62, 0.1)), width), STEEL),
        Patch(band(((-0.62, 0.1), (0.16, -0.76)), width), STEEL),
        Patch(circle(-0.62, 0.1, 0.11), paint.accent_shade),
        Patch(ellipse(0.63, -0.36, 0.16, 0.13, -28), GOLD),
        Patch(head, paint.main),
        Patch(rounded(((0.34, -1.0), (0.92, -0.5), (0.6, -0.34)), 0.05), paint.shade, head),
        Patch(circle(0.16, -0.84, 0.13), paint.deep),
        Patch(box(-0.62, 0.84, 0.06, 1.0, 0.08), paint.shade),
    ]


def _floor_lamp(build: float, paint: Paint) -> Drawing:
    wide = mix(0.4, 0.54, build)
    shade = rounded(((-wide * 0.5, -1.0), (wide * 0.5, -1.0), (wide, -0.38), (-wide, -0.38)), 0.06)
    glow = rounded(((-wide * 0.9, -0.4), (wide * 0.9, -0.4), (wide * 1.9, 0.9), (-wide * 1.9, 0.9)), 0.1)
    pleats = [
        ((x * 0.5, -1.1), (x * 0.5 + 0.07, -1.1), (x + 0.14, -0.3), (x, -0.3))
        for x in (-wide * 0.8, -wide * 0.14, wide * 0.5)
    ]
    return [
        Patch(glow, GOLD, None, 0.22),
        Patch(band(((0.0, -0.5), (0.0, 0.94)), 0.065), WOOD),
        Patch(rounded(((-0.12, 0.88), (0.12, 0.88), (0.38, 1.0), (-0.38, 1.0)), 0.05), BARK),
        Patch(ellipse(0.0, -0.38, wide * 0.3, 0.09), GOLD),
        Patch(shade, paint.main),
        *(Patch(pleat, paint.light, shade) for pleat in pleats),
        Patch(box(-2, -0.46, 2, -0.3), paint.deep, shade),
    ]


def umbrella(form: Form, paint: Paint) -> Drawing:
    """An open umbrella: panelled, flat with a straight pole, or deep and dotted."""
    wide = mix(0.86, 1.0, form.build)
    top = (-0.8, -0.62, -0.92)[form.variant]
    canopy = _canopy(wide, top)
    pole_end = 1.0 if form.variant == 1 else 0.8
    handle = [] if form.variant == 1 else [Patch(band(arc(0.16, 0.8, 0.16, 0.18, 180, 0), 0.08), WOOD)]
    return [
        Patch(band(((0.0, top - 0.14), (0.0, pole_end)), 0.055), STEEL if form.variant != 1 else WOOD),
        *handle,
        Patch(canopy, paint.main),
        *_canopy_pattern(form.variant, wide, top, canopy, paint),
        Patch(circle(0.0, top - 0.1, 0.05), paint.accent),
    ]


def _canopy(wide: float, top: float) -> Outline:
    dome = arc(0.0, 0.06, wide, 0.06 - top, 180, 360)
    scallops: list[tuple[float, float]] = []
    for step in range(4):
        right = wide - step * wide / 2
        scallops += arc(right - wide / 4, 0.06, wide / 4, 0.12, 0, -180)[1:]
    return (*dome, *scallops)


def _canopy_pattern(variant: int, wide: float, top: float, canopy: Outline, paint: Paint) -> Drawing:
    if variant == 2:
        upper = [(-0.62, -0.2), (-0.3, -0.55), (0.06, -0.74), (0.38, -0.5), (0.66, -0.16)]
        lower = [(-0.82, 0.0), (-0.3, -0.1), (0.02, -0.2), (0.34, -0.08)]
        return dots([(wide * x, y) for x, y in upper + lower], 0.085, paint.pale, canopy)
    height = 0.06 - top
    # A rib half-way to the rim, as it looks on a dome; every second panel between ribs has another colour.
    rib = arc(0.0, 0.06, wide / 2, height, -90, 0)
    rim = arc(0.0, 0.06, wide, height, -90, 0)
    panels = [
        (*flipped(rib), (-wide / 2, 0.2), (0.0, 0.2)),
        (*rim, (wide, 0.2), (wide / 2, 0.2), *reversed(rib)),
    ]
    return [
        *(Patch(panel, paint.accent if variant == 1 else paint.light, canopy) for panel in panels),
        Patch(ellipse(wide * 0.95, 0.1, wide * 0.42, height * 0.9), INK, canopy, 0.1),
    ]
