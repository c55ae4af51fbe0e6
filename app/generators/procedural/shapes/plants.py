"""Apple, cactus, flower, mushroom and tree."""

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
    smooth,
    symmetric,
    turned,
)
from app.generators.procedural.palette import AMBER, BARK, CREAM, GOLD, INK, LEAF, MOSS, SAND, WOOD, Paint
from app.generators.procedural.shapes.parts import Drawing, Form, Patch, dots, glint, placed


def apple(form: Form, paint: Paint) -> Drawing:
    """An apple: whole, bitten, or cut in half."""
    wide = mix(0.78, 0.96, form.build)
    body = symmetric(
        (0.0, -0.42),
        (wide * 0.5, -0.56),
        (wide * 0.96, -0.22),
        (wide * 0.9, 0.4),
        (wide * 0.5, 0.92),
        (0.0, 0.86),
    )
    stalk = band(curve((0.02, -0.36), (0.04, -0.62), (0.14, -0.86)), 0.08, 0.1)
    leaf = smooth((0.08, -0.6), (0.28, -0.88), (0.66, -0.92), (0.52, -0.62))
    if form.variant == 2:
        inside = _halved(body)
    else:
        inside = [
            Patch(moved(circle(0, 0, 1), wide * 0.75, 0.35, 0.75), paint.shade, body, 0.8),
            Patch(ellipse(0.0, -0.44, 0.3, 0.09), paint.deep, body),
            glint(-wide * 0.55, -0.12, 0.12, 0.24, 28, body),
        ]
    bite = _bite(wide, paint, body) if form.variant == 1 else []
    return [
        Patch(body, paint.main),
        *inside,
        *bite,
        Patch(stalk, BARK),
        Patch(leaf, LEAF),
        Patch(band(((0.14, -0.64), (0.5, -0.82)), 0.03), MOSS, leaf),
    ]


def _halved(body: Outline) -> Drawing:
    flesh = moved(body, 0.0, 0.02, 0.86)
    core = symmetric((0.0, -0.14), (0.24, 0.02), (0.2, 0.36), (0.0, 0.52))
    seed = ellipse(0.11, 0.16, 0.055, 0.12, 14)
    return [
        Patch(flesh, CREAM),
        Patch(core, SAND),
        Patch(moved(core, 0.0, 0.03, 0.84), CREAM),
        Patch(seed, BARK),
        Patch(flipped(seed), BARK),
    ]


def _bite(wide: float, paint: Paint, body: Outline) -> Drawing:
    # The flesh shows as a cream hollow, so that no background has to shine through the apple.
    places = ((0.98, -0.14), (0.9, 0.12), (1.0, 0.36))
    rim = [Patch(circle(wide * x, y, 0.25), paint.light, body) for x, y in places]
    flesh = [Patch(circle(wide * x + 0.05, y, 0.25), CREAM, body) for x, y in places]
    return rim + flesh


def cactus(form: Form, paint: Paint) -> Drawing:
    """A cactus in a pot: with two arms, round with a blossom, or a cluster of pads."""
    drawing = (_armed_cactus, _round_cactus, _padded_cactus)[form.variant](form.build, paint)
    pot = rounded(((-0.5, 0.42), (0.5, 0.42), (0.38, 1.0), (-0.38, 1.0)), 0.07)
    return [
        *drawing,
        Patch(pot, paint.accent),
        Patch(box(0.12, 0.3, 0.6, 1.1), paint.accent_shade, pot),
        Patch(box(-0.58, 0.34, 0.58, 0.54, 0.06), paint.accent),
        Patch(box(0.14, 0.34, 0.58, 0.54, 0.06), paint.accent_shade),
    ]


def _armed_cactus(build: float, paint: Paint) -> Drawing:
    width = mix(0.34, 0.48, build)
    trunk = band(((0.0, 0.5), (0.0, -0.98 + width / 2)), width)
    arms = [
        band(curve((-0.1, 0.12), (-0.5, 0.08), (-0.58, -0.1), (-0.58, -0.42)), width * 0.58),
        band(curve((0.1, -0.1), (0.48, -0.12), (0.56, -0.3), (0.56, -0.66)), width * 0.58),
    ]
    ribs = [band(((x * width, 0.4), (x * width, -0.66)), 0.035) for x in (-0.2, 0.2)]
    return [
        *(Patch(arm, paint.shade) for arm in arms),
        Patch(trunk, paint.main),
        *(Patch(rib, paint.light, trunk) for rib in ribs),
        *_blossom(0.0, -0.96, 0.13, paint),
        *_blossom(0.56, -0.78, 0.09, paint),
    ]


def _round_cactus(build: float, paint: Paint) -> Drawing:
    wide = mix(0.58, 0.76, build)
    ball = ellipse(0.0, -0.08, wide, 0.62)
    ribs = [arc(0.0, -0.08, wide * share, 0.62, -90, 90) for share in (0.75, 0.3)]
    spines = [(s * wide * x, y) for s in (-1, 1) for x, y in ((0.52, -0.36), (0.54, 0.0), (0.15, -0.2), (0.16, 0.16))]
    return [
        Patch(ball, paint.main),
        Patch(ellipse(0.3, 0.3, wide * 0.8, 0.4), paint.shade, ball, 0.6),
        *(Patch(band(line, 0.035), paint.deep, ball) for rib in ribs for line in (rib, flipped(rib))),
        *dots(spines, 0.035, paint.pale, ball),
        *_blossom(0.0, -0.68, 0.2, paint),
    ]


def _padded_cactus(build: float, paint: Paint) -> Drawing:
    wide = mix(0.3, 0.4, build)
    pads = [
        (ellipse(-0.42, -0.38, wide * 0.72, 0.36, -32), paint.shade),
        (ellipse(0.44, -0.3, wide * 0.7, 0.33, 34), paint.shade),
        (ellipse(0.06, -0.64, wide * 0.66, 0.32, 8), paint.light),
        (ellipse(0.0, 0.1, wide, 0.5), paint.main),
    ]
    spines = [(-0.5, -0.5), (-0.4, -0.26), (0.5, -0.42), (0.42, -0.18), (0.04, -0.74), (0.1, -0.54)]
    return [
        *(Patch(outline, tone) for outline, tone in pads),
        *(Patch(circle(x, y, 0.03), paint.pale) for x, y in (*spines, (-0.1, -0.1), (0.12, 0.02))),
        *_blossom(-0.58, -0.66, 0.11, paint),
        *_blossom(0.12, -0.94, 0.1, paint),
    ]


def _blossom(x: float, y: float, radius: float, paint: Paint) -> Drawing:
    petals = [moved(turned(ellipse(0, -0.62, 0.36, 0.5), angle), x, y, radius) for angle in range(0, 360, 72)]
    return [*(Patch(petal, paint.accent) for petal in petals), Patch(circle(x, y, radius * 0.36), GOLD)]


def flower(form: Form, paint: Paint) -> Drawing:
    """One flower on a stem: a daisy, a tulip, or a sunflower."""
    stem = band(curve((0.0, 1.0), (-0.05, 0.55), (0.0, -0.2)), 0.09, 0.07)
    leaf = smooth((-0.02, 0.86), (-0.34, 0.7), (-0.58, 0.28), (-0.18, 0.42))
    other = smooth((0.0, 0.9), (0.3, 0.78), (0.56, 0.42), (0.18, 0.52))
    head = (_daisy, _tulip, _sunflower)[form.variant](form.build, paint)
    return [Patch(stem, MOSS), Patch(leaf, LEAF), Patch(other, MOSS), *head]


def _daisy(build: float, paint: Paint) -> Drawing:
    width = mix(0.17, 0.23, build)
    petals = [moved(turned(ellipse(0, -0.4, width, 0.27), angle), 0, -0.36) for angle in range(0, 360, 45)]
    order = [*petals[::2], *petals[1::2]]
    tones = [paint.shade] * 4 + [paint.main] * 4
    return [
        *(Patch(petal, tone) for petal, tone in zip(order, tones, strict=True)),
        Patch(circle(0, -0.36, 0.22), GOLD),
        Patch(circle(0.04, -0.31, 0.22), AMBER, circle(0, -0.36, 0.22), 0.7),
    ]


def _tulip(build: float, paint: Paint) -> Drawing:
    wide = mix(0.4, 0.54, build)
    side = smooth(
        (0.0, 0.02),
        (wide * 0.8, -0.1),
        (wide * 1.05, -0.5),
        (wide * 0.95, -0.96),
        (wide * 0.4, -0.66),
        (0.1, -0.4),
    )
    middle = symmetric((0.0, -0.98), (wide * 0.56, -0.55), (wide * 0.62, -0.16), (0.0, 0.04))
    return [
        Patch(flipped(side), paint.shade),
        Patch(side, paint.deep),
        Patch(middle, paint.main),
        Patch(ellipse(-wide * 0.2, -0.45, 0.06, 0.24, 8), paint.light, middle),
    ]


def _sunflower(build: float, paint: Paint) -> Drawing:
    core = mix(0.26, 0.34, build)
    petal = rounded(((-0.13, -0.2), (-0.1, -0.5), (0.0, -0.68), (0.1, -0.5), (0.13, -0.2)), 0.06)
    back = [moved(turned(petal, angle + 15), 0, -0.32) for angle in range(0, 360, 30)]
    front = [moved(turned(petal, angle), 0, -0.32) for angle in range(0, 360, 30)]
    seeds = [
        (core * share * x, -0.32 + core * share * y)
        for share, count in ((0.34, 5), (0.7, 10))
        for (x, y) in (turned(((0.0, -1.0),), 360 / count * step)[0] for step in range(count))
    ]
    return [
        *(Patch(outline, paint.shade) for outline in back),
        *(Patch(outline, paint.main) for outline in front),
        Patch(circle(0, -0.32, core), BARK),
        *(Patch(circle(x, y, 0.025), WOOD) for x, y in seeds),
    ]


def mushroom(form: Form, paint: Paint) -> Drawing:
    """A toadstool with spots, a pointed cap, or a broad cap with a small one beside it."""
    if form.variant == 2:
        small = placed(_mushroom(0, form.build, paint), 0.62, 0.5, 0.5)
        return small + placed(_mushroom(2, form.build, paint), -0.2, 0.08, 0.92)
    return _mushroom(form.variant, form.build, paint)


def _mushroom(variant: int, build: float, paint: Paint) -> Drawing:
    foot = mix(0.22, 0.32, build)
    stem = symmetric((foot * 0.7, -0.1), (foot * 0.85, 0.5), (foot * 1.25, 0.95), (0.0, 1.02))
    cap, top = _cap(variant, mix(0.82, 0.96, build))
    gills = ellipse(0.0, 0.08, 0.62, 0.15)
    large = [(-0.5, -0.2, 0.13), (-0.08, top * 0.62, 0.18), (0.42, -0.34, 0.15)]
    small = [(0.12, -0.1, 0.09), (0.74, -0.06, 0.09), (-0.78, 0.02, 0.08)]
    return [
        Patch(stem, CREAM),
        Patch(ellipse(foot, 0.5, foot, 0.9), paint.pale, stem),
        Patch(symmetric((0.34, 0.1), (0.3, 0.3), (0.0, 0.36)), paint.light, stem, 0.6),
        Patch(cap, paint.main),
        Patch(gills, paint.deep, cap),
        Patch(ellipse(0.5, 0.1, 0.7, 0.5, 20), paint.shade, cap, 0.45),
        *(Patch(ellipse(x, y, r, r * 0.85), CREAM, cap) for x, y, r in large + small),
    ]


def _cap(variant: int, wide: float) -> tuple[Outline, float]:
    if variant == 1:
        top = -0.84
        left = ((-wide * 0.74, 0.14), (-wide * 0.6, -0.28), (-0.22, top), (0.04, -1.02))
        return smooth(*left, (0.3, -0.7), (wide * 0.62, -0.2), (wide * 0.74, 0.14), (0.0, 0.22)), top
    top = -0.62 if variant == 2 else -0.86
    return symmetric((0.0, top), (wide * 0.86, top * 0.48), (wide, 0.1), (0.0, 0.22)), top


def tree(form: Form, paint: Paint) -> Drawing:
    """A leafy tree, a fir, or a fruit tree with a round crown."""
    return (_leafy, _fir, _orchard)[form.variant](form.build, paint)


def _trunk(top: float, width: float) -> Drawing:
    trunk = symmetric((width * 0.5, top), (width * 0.55, 0.6), (width * 1.1, 1.0), (0.0, 0.97))
    return [Patch(trunk, WOOD), Patch(box(0.02, top - 0.1, 0.5, 1.1), BARK, trunk)]


def _leafy(build: float, paint: Paint) -> Drawing:
    wide = mix(0.72, 0.94, build)
    right = ((0.0, -1.0), (wide * 0.5, -0.86), (wide * 0.66, -0.6), (wide * 0.98, -0.36), (wide * 0.86, 0.08))
    left = ((-wide * 0.9, 0.1), (-wide, -0.3), (-wide * 0.7, -0.58), (-wide * 0.46, -0.88))
    crown = smooth(*right, (wide * 0.4, 0.24), (0.0, 0.16), (-wide * 0.4, 0.26), *left)
    branches = [band(((0.0, 0.5), (s * 0.24, 0.16)), 0.08, 0.05) for s in (-1, 1)]
    tufts = [(-0.43, -0.3), (0.09, -0.62), (0.37, -0.16)]
    leaves = [(x + s * 0.07, y + s * 0.04, s * 35) for x, y in tufts for s in (-1, 1)]
    return [
        *_trunk(-0.1, 0.2),
        *(Patch(branch, WOOD) for branch in branches),
        Patch(crown, paint.main),
        Patch(moved(crown, 0.3, 0.34), paint.shade, crown),
        Patch(ellipse(-wide * 0.4, -0.62, 0.34, 0.24, -30), paint.light, crown, 0.7),
        *(Patch(ellipse(x, y, 0.075, 0.034, turn), paint.deep, crown, 0.6) for x, y, turn in leaves),
    ]


def _fir(build: float, paint: Paint) -> Drawing:
    wide = mix(0.56, 0.78, build)
    patches = _trunk(0.5, 0.18)
    for top, bottom, share in ((0.0, 0.72, 1.0), (-0.46, 0.28, 0.8), (-1.0, -0.18, 0.58)):
        half = wide * share
        tier = rounded(((0.0, top), (half, bottom), (0.0, bottom - 0.08), (-half, bottom)), 0.1)
        patches += [
            Patch(tier, paint.main),
            Patch(rounded(((0.0, top), (half, bottom), (0.08, bottom - 0.08)), 0.04), paint.shade, tier),
            Patch(band(((-half * 0.75, bottom - 0.07), (-half * 0.2, bottom - 0.13)), 0.04), paint.light, tier),
        ]
    return patches


def _orchard(build: float, paint: Paint) -> Drawing:
    wide = mix(0.66, 0.82, build)
    crown = ellipse(0.0, -0.3, wide, 0.7)
    places = [(-0.55, -0.5), (0.18, -0.7), (0.6, -0.34), (-0.12, -0.2), (-0.67, -0.04), (0.45, 0.1)]
    fruit = [(wide * x, y) for x, y in places]
    return [
        *_trunk(0.0, 0.18),
        Patch(crown, paint.main),
        Patch(ellipse(0.26, 0.06, wide, 0.6), paint.shade, crown, 0.7),
        Patch(ellipse(-0.3, -0.66, 0.3, 0.18, -30), paint.light, crown, 0.8),
        *(Patch(circle(x, y, 0.1), paint.accent) for x, y in fruit),
        *(Patch(circle(x - 0.03, y - 0.035, 0.026), CREAM) for x, y in fruit),
        *(Patch(band(((x, y - 0.09), (x + 0.03, y - 0.15)), 0.025), INK) for x, y in fruit),
    ]
