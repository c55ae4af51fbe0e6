"""Fish, starfish and whale."""

from app.generators.procedural.geometry import (
    Outline,
    arc,
    band,
    circle,
    curve,
    ellipse,
    flipped,
    mix,
    moved,
    smooth,
    turned,
)
from app.generators.procedural.palette import WATER, Paint
from app.generators.procedural.shapes.parts import Drawing, Form, Patch, cheek, dots, eye, glint, open_eye, smile


def fish(form: Form, paint: Paint) -> Drawing:
    """A fish from the side: scaled, tall and striped, or long and spotted."""
    height = mix(0.44, 0.6, form.build) + (0.0, 0.12, -0.1)[form.variant]
    nose = (0.94, 0.86, 1.02)[form.variant]
    back = ((-0.6, 0.02), (-0.2, -height * 0.86), (0.32, -height * 0.98), (0.78, -height * 0.5))
    body = smooth(*back, (nose, 0.06), (0.74, height * 0.6), (0.25, height), (-0.25, height * 0.8))
    tail = smooth((-0.45, 0.0), (-0.78, -0.3), (-1.06, -0.5), (-0.92, 0.02), (-1.06, 0.54), (-0.76, 0.32))
    fin = smooth((-0.42, -height * 0.5), (-0.22, -height * 1.36), (0.28, -height * 1.3), (0.5, -height * 0.7))
    keel = smooth((-0.2, height * 0.7), (-0.24, height * 1.34), (0.1, height * 1.2), (0.26, height * 0.8))
    return [
        *(Patch(outline, paint.shade) for outline in (tail, fin, keel)),
        *(Patch(band(((-0.62, 0.02), (-0.98, y)), 0.03), paint.deep, tail) for y in (-0.28, 0.02, 0.32)),
        Patch(body, paint.main),
        Patch(ellipse(0.1, height * 0.95, 0.85, height * 0.5), paint.light, body),
        *_fish_pattern(form.variant, height, body, paint),
        Patch(band(arc(0.32, 0.02, 0.16, height * 0.62, -62, 62), 0.05), paint.shade, body),
        Patch(smooth((0.3, 0.08), (0.02, 0.02), (-0.16, 0.2), (0.0, 0.34), (0.22, 0.26)), paint.shade),
        *open_eye(0.64, -height * 0.28, 0.14),
        Patch(band(arc(nose - 0.02, 0.12, 0.16, 0.12, 95, 170), 0.04), paint.deep, body),
    ]


def _fish_pattern(variant: int, height: float, body: Outline, paint: Paint) -> Drawing:
    if variant == 1:
        stripes = [curve((x, -1), (x + 0.09, 0), (x, 1)) for x in (-0.42, -0.06, 0.24)]
        return [Patch(band(line, 0.15), paint.accent, body) for line in stripes]
    if variant == 2:
        places = [(-0.38, -0.08), (-0.14, -0.2), (0.1, -0.1), (-0.16, 0.06), (0.26, -0.28), (-0.4, 0.14)]
        return dots(places, 0.075, paint.accent, body)
    columns = ((-0.44, (0.0,)), (-0.26, (-0.12, 0.12)), (-0.08, (-0.24, 0.0, 0.24)))
    scales = [band(arc(x, y * height * 2, 0.09, 0.11, -80, 80), 0.035) for x, ys in columns for y in ys]
    return [Patch(outline, paint.shade, body) for outline in scales]


def starfish(form: Form, paint: Paint) -> Drawing:
    """A starfish: plump, slender with a row of dots on each arm, or with seven arms."""
    arms = 7 if form.variant == 2 else 5
    waist = mix(0.38, 0.52, form.build) + (0.06, -0.02, 0.08)[form.variant]
    body = _star(arms, 0.98, waist)
    core = _star(arms, 0.78, waist * 0.72)
    # Distance from the middle and size of the dots along one arm.
    row = ((0.3, 0.055), (0.46, 0.05), (0.6, 0.04), (0.72, 0.03)) if form.variant == 1 else ((0.44, 0.06), (0.66, 0.04))
    arm = [circle(0.0, -reach, radius) for reach, radius in row]
    marks = [turned(dot, 360 / arms * step) for step in range(arms) for dot in arm]
    return [
        Patch(body, paint.main),
        Patch(core, paint.light),
        *(Patch(mark, paint.pale) for mark in marks),
        *eye(-0.16, -0.06, 0.065),
        *eye(0.16, -0.06, 0.065),
        smile(0.0, 0.04, 0.1),
        cheek(-0.27, 0.07, 0.07, body),
        cheek(0.27, 0.07, 0.07, body),
    ]


def _star(arms: int, reach: float, waist: float) -> Outline:
    points = []
    for arm in range(arms):
        tip = 360 / arms * arm
        points += [
            *turned(((-0.09, -reach * 0.96), (0.09, -reach * 0.96)), tip),
            *turned(((0.0, -waist),), tip + 180 / arms),
        ]
    return smooth(*points)


def whale(form: Form, paint: Paint) -> Drawing:
    """A whale from the side: rounded, square-headed, or leaping with a high tail."""
    belly = mix(0.5, 0.66, form.build)
    brow = (-0.42, -0.56, -0.36)[form.variant]
    front = (0.86, 0.94, 0.88)[form.variant]
    rise = 0.2 if form.variant == 2 else 0.0
    back = ((-0.86, -0.3 - rise), (-0.62, -rise / 2), (-0.2, -0.2), (0.35, brow), (front, brow * 0.6))
    body = smooth(*back, (front + 0.06, 0.15), (0.7, belly * 0.85), (0.1, belly), (-0.5, belly * 0.7))
    tips = ((-1.12, -0.3), (-1.22, -0.66), (-0.9, -0.56), (-0.74, -0.72))
    fluke = moved(smooth((-0.8, -0.25), *tips, (-0.58, -0.44)), 0.0, -rise)
    throat = ellipse(0.42, belly + 0.06, 0.95, 0.4, -6)
    grooves = [arc(0.42, belly + 0.06 + d, 0.95, 0.4, 215, 320) for d in (0.1, 0.2)]
    return [
        *_spout(form.variant, brow),
        Patch(fluke, paint.shade),
        Patch(body, paint.main),
        Patch(throat, paint.pale, body),
        *(Patch(band(line, 0.025), paint.light, body) for line in grooves),
        Patch(smooth((0.2, 0.28), (0.0, 0.72), (-0.26, 0.82), (-0.16, 0.4)), paint.shade),
        *eye(0.6, 0.02, 0.07),
        cheek(0.74, 0.16, 0.08, body),
        glint(0.3, brow + 0.16, 0.24, 0.06, -8, body),
    ]


def _spout(variant: int, brow: float) -> Drawing:
    if variant == 1:
        return []
    jet = curve((0.0, 0.1), (0.03, -0.3), (0.26, -0.4), (0.36, -0.2))
    return [Patch(band(moved(side, 0.42, brow), 0.1, 0.07), WATER) for side in (jet, flipped(jet))]
