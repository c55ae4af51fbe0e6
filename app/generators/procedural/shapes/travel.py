"""Balloon, car, rocket and sailboat."""

from app.generators.procedural.geometry import (
    Outline,
    band,
    box,
    circle,
    curve,
    ellipse,
    flipped,
    mix,
    moved,
    rounded,
    smooth,
    symmetric,
)
from app.generators.procedural.palette import AMBER, BARK, CREAM, GLASS, GOLD, INK, STEEL, WHITE, WOOD, Paint
from app.generators.procedural.shapes.parts import Drawing, Form, Patch, glint


def balloon(form: Form, paint: Paint) -> Drawing:
    """A balloon on a string, round or heart-shaped, or one that carries a basket."""
    if form.variant == 2:
        return _hot_air_balloon(form.build, paint)
    wide = mix(0.5, 0.64, form.build)
    if form.variant == 1:
        lobe = ((wide * 0.72, -0.12), (wide * 1.2, -0.56), (wide * 1.0, -0.9), (wide * 0.5, -0.98))
        side = curve((0.0, 0.3), *lobe, (wide * 0.13, -0.82), (0.0, -0.66))
        skin = (*side, *reversed(flipped(side)))
    else:
        skin = symmetric((0.0, -1.0), (wide * 0.72, -0.82), (wide, -0.36), (wide * 0.62, 0.08), (0.0, 0.3))
    string = curve((0.0, 0.36), (0.07, 0.54), (-0.05, 0.76), (0.03, 1.0))
    return [
        Patch(band(string, 0.028), STEEL),
        Patch(rounded(((0.0, 0.24), (0.11, 0.42), (-0.11, 0.42)), 0.03), paint.shade),
        Patch(skin, paint.main),
        Patch(ellipse(wide * 0.85, -0.1, wide * 0.55, 0.8, 24), paint.shade, skin, 0.7),
        glint(-wide * 0.5, -0.58, 0.11, 0.2, 24, skin),
    ]


def _hot_air_balloon(build: float, paint: Paint) -> Drawing:
    wide = mix(0.62, 0.78, build)
    skin = symmetric((0.0, -1.0), (wide * 0.7, -0.84), (wide, -0.38), (wide * 0.7, 0.12), (0.24, 0.44), (0.0, 0.46))
    gores = [symmetric((0.0, -1.06), (wide * x, -0.4), (0.12, 0.5)) for x in (0.62, 0.3)]
    ropes = [((s * 0.2, 0.44), (s * 0.13, 0.76)) for s in (-1, 1)]
    return [
        *(Patch(band(line, 0.025), BARK) for line in ropes),
        Patch(skin, paint.main),
        Patch(gores[0], paint.accent, skin),
        Patch(gores[1], paint.main, skin),
        Patch(ellipse(wide * 0.8, 0.0, wide * 0.55, 0.9, 12), paint.deep, skin, 0.3),
        glint(-wide * 0.52, -0.6, 0.08, 0.18, 24, skin),
        Patch(box(-0.18, 0.74, 0.18, 1.0, 0.07), WOOD),
        Patch(box(-0.2, 0.72, 0.2, 0.8, 0.04), BARK),
    ]


def car(form: Form, paint: Paint) -> Drawing:
    """A car from the side: a small round one, a van, or an open one."""
    roof = mix(-0.34, -0.5, form.build)
    body = rounded(((-1.0, 0.16), (-0.7, 0.02), (0.6, 0.02), (0.98, 0.2), (1.0, 0.68), (-1.0, 0.68)), 0.16)
    return [
        *(_round_cabin, _van_cabin, _open_cabin)[form.variant](roof, paint),
        Patch(body, paint.main),
        Patch(box(-1.1, 0.46, 1.1, 0.8), paint.shade, body),
        Patch(band(((-1.0, 0.45), (1.0, 0.45)), 0.045), paint.light, body),
        Patch(box(-0.02, 0.2, 0.16, 0.25, 0.025), paint.deep),
        Patch(ellipse(0.93, 0.3, 0.1, 0.1), GOLD, body),
        Patch(ellipse(-0.97, 0.3, 0.07, 0.1), paint.accent, body),
        *_wheel(-0.56),
        *_wheel(0.56),
    ]


def _round_cabin(roof: float, paint: Paint) -> Drawing:
    cabin = smooth((-0.72, 0.14), (-0.56, roof + 0.2), (-0.1, roof), (0.34, roof + 0.14), (0.6, 0.14), (0.0, 0.2))
    back = smooth((-0.54, 0.02), (-0.42, roof + 0.24), (-0.1, roof + 0.12), (-0.06, 0.02), (-0.3, 0.04))
    front = smooth((0.04, 0.02), (0.04, roof + 0.12), (0.27, roof + 0.22), (0.44, 0.02), (0.24, 0.04))
    return [Patch(cabin, paint.main), *_pane(back), *_pane(front)]


def _van_cabin(roof: float, paint: Paint) -> Drawing:
    top = roof - 0.16
    cabin = rounded(((-0.98, 0.4), (-0.96, top), (0.36, top), (0.76, 0.1), (0.8, 0.4)), 0.16)
    panes = [box(left, top + 0.16, left + 0.36, -0.06, 0.07) for left in (-0.84, -0.4)]
    front = rounded(((0.06, -0.06), (0.06, top + 0.16), (0.3, top + 0.16), (0.54, -0.06)), 0.07)
    return [Patch(cabin, paint.main), *(patch for pane in (*panes, front) for patch in _pane(pane))]


def _open_cabin(roof: float, paint: Paint) -> Drawing:
    screen = rounded(((0.5, 0.1), (0.22, roof + 0.1), (0.1, roof + 0.14), (0.28, 0.1)), 0.03)
    seats = [rounded(((x, 0.12), (x - 0.14, -0.24), (x + 0.04, -0.28), (x + 0.2, 0.12)), 0.08) for x in (-0.46, -0.06)]
    return [
        *(Patch(seat, paint.accent_shade) for seat in seats),
        *_pane(screen),
        Patch(band(((0.42, 0.08), (0.16, roof + 0.1)), 0.055), STEEL),
    ]


def _pane(outline: Outline) -> Drawing:
    streaks = [band(((x, 0.1), (x + 0.55, -0.7)), 0.07) for x in (-0.75, 0.1)]
    return [Patch(outline, GLASS), *(Patch(streak, WHITE, outline, 0.6) for streak in streaks)]


def _wheel(x: float) -> Drawing:
    return [
        Patch(circle(x, 0.7, 0.3), INK),
        Patch(circle(x, 0.7, 0.15), CREAM),
        Patch(circle(x, 0.7, 0.06), STEEL),
    ]


def rocket(form: Form, paint: Paint) -> Drawing:
    """A rocket under way: classic, slender with boosters, or stubby with a striped nose."""
    half = mix(0.28, 0.38, form.build) + (0.0, -0.05, 0.1)[form.variant]
    hull = symmetric((0.0, -1.0), (half * 0.8, -0.55), (half * 1.05, 0.0), (half * 0.72, 0.56), (0.0, 0.62))
    port = -0.22 if form.variant != 1 else -0.32
    return [
        Patch(symmetric((0.2, 0.56), (0.16, 0.8), (0.0, 1.06)), AMBER),
        Patch(symmetric((0.11, 0.56), (0.08, 0.72), (0.0, 0.88)), GOLD),
        *(_boosters(half, paint) if form.variant == 1 else _fins(half, paint)),
        Patch(hull, CREAM),
        Patch(ellipse(half * 1.1, -0.1, half * 0.75, 1.0), paint.pale, hull),
        Patch(box(-1, -1.1, 1, -0.56), paint.main, hull),
        *([Patch(box(-1, -0.68, 1, -0.62), CREAM, hull)] if form.variant == 2 else []),
        Patch(box(-1, 0.34, 1, 0.7), paint.shade, hull),
        Patch(circle(0.0, port, half * 0.56), paint.accent_shade),
        Patch(circle(0.0, port, half * 0.4), GLASS),
        Patch(ellipse(-half * 0.14, port - half * 0.14, half * 0.12, half * 0.08, -40), WHITE),
        *([Patch(circle(0.0, 0.14, half * 0.26), paint.accent)] if form.variant != 0 else []),
    ]


def _fins(half: float, paint: Paint) -> Drawing:
    fin = rounded(((half * 0.7, 0.12), (half + 0.36, 0.5), (half + 0.32, 0.84), (half * 0.6, 0.56)), 0.08)
    return [Patch(fin, paint.main), Patch(flipped(fin), paint.main)]


def _boosters(half: float, paint: Paint) -> Drawing:
    booster = smooth((0.16, -0.12), (0.3, 0.12), (0.28, 0.6), (0.04, 0.6), (0.02, 0.12))
    flame = smooth((0.06, 0.6), (0.26, 0.6), (0.16, 0.9))
    right = [Patch(moved(flame, half, 0.0), AMBER), Patch(moved(booster, half, 0.0), paint.main)]
    return [*right, *(patch.mapped(flipped) for patch in right)]


def sailboat(form: Form, paint: Paint) -> Drawing:
    """A sailboat: with two sails, with one striped sail, or square-rigged."""
    bow = curve((1.0, 0.46), (0.82, 0.8), (0.48, 1.0))
    stern = curve((-0.55, 1.0), (-0.84, 0.84), (-1.0, 0.5))
    hull = (*bow, *stern)
    flag = rounded(((0.0, -1.0), (0.34, -0.92), (0.0, -0.82)), 0.02)
    return [
        Patch(flag if form.variant != 2 else flipped(flag), paint.accent),
        Patch(band(((0.0, 0.56), (0.0, -0.98)), 0.06), BARK),
        *(_two_sails, _striped_sail, _square_sails)[form.variant](form.build, paint),
        Patch(hull, WOOD),
        Patch(box(-1.2, 0.4, 1.2, 0.6), CREAM, hull),
        Patch(box(-1.2, 0.84, 1.2, 1.1), BARK, hull),
        *(Patch(circle(x, 0.72, 0.05), CREAM) for x in (-0.4, -0.1, 0.2)),
    ]


def _two_sails(build: float, paint: Paint) -> Drawing:
    reach = mix(0.68, 0.9, build)
    main = rounded(((0.07, -0.84), (0.4, -0.3), (reach, 0.36), (0.07, 0.4)), 0.06)
    jib = rounded(((-0.07, -0.7), (-0.07, 0.38), (-reach, 0.38), (-0.4, -0.06)), 0.06)
    return [
        Patch(main, paint.main),
        Patch(box(-1, 0.12, 1, 0.6), paint.shade, main),
        Patch(jib, paint.light),
        Patch(box(-1, 0.2, 1, 0.6), paint.pale, jib, 0.7),
    ]


def _striped_sail(build: float, paint: Paint) -> Drawing:
    reach = mix(0.76, 0.98, build)
    sail = smooth((-0.02, -0.86), (0.44, -0.5), (reach, 0.3), (0.5, 0.4), (0.02, 0.38), (-0.16, -0.2))
    rows = [(-0.52, -0.3), (-0.06, 0.14)]
    return [
        Patch(sail, paint.main),
        *(Patch(box(-1, top, 1, bottom), paint.pale, sail) for top, bottom in rows),
    ]


def _square_sails(build: float, paint: Paint) -> Drawing:
    reach = mix(0.58, 0.76, build)
    lower = _billow(reach, -0.2, 0.36)
    upper = _billow(reach * 0.76, -0.78, -0.28)
    return [
        Patch(lower, paint.main),
        Patch(circle(0.0, 0.09, 0.14), paint.accent, lower),
        Patch(ellipse(reach * 1.1, 0.1, 0.4, 0.6), paint.shade, lower, 0.6),
        Patch(upper, paint.light),
        Patch(ellipse(reach * 0.86, -0.5, 0.3, 0.5), paint.main, upper, 0.5),
    ]


def _billow(half: float, top: float, bottom: float) -> Outline:
    # Straight at the yard, bellied at the sides, lifted at the foot.
    side = curve((half * 0.86, top), (half * 1.02, mix(top, bottom, 0.5)), (half * 0.98, bottom))
    foot = curve((half * 0.98, bottom), (0.0, bottom - 0.07), (-half * 0.98, bottom))
    return (*side, *foot[1:], *reversed(flipped(side)))
