"""Bird, butterfly, cat and snail."""

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
    rounded,
    smooth,
    symmetric,
    turned,
)
from app.generators.procedural.palette import AMBER, CREAM, INK, ROSE, SAND, WHITE, Paint
from app.generators.procedural.shapes.parts import Drawing, Form, Patch, cheek, dots, eye, glint, placed, smile


def bird(form: Form, paint: Paint) -> Drawing:
    """A songbird from the side: perched, with a crest and a long tail, or with its wing raised."""
    girth = mix(0.44, 0.6, form.build)
    back = ((-0.72, 0.1), (-0.3, -girth * 0.35), (0.2, -0.62), (0.6, -0.5), (0.66, -0.15))
    body = smooth(*back, (0.45, 0.35), (0.0, girth), (-0.45, 0.38))
    belly = ellipse(0.38, 0.42, 0.5, 0.46, -30)
    return [
        *_bird_legs(girth),
        *_bird_tail(form, paint),
        *([_crest(paint)] if form.variant == 1 else []),
        Patch(rounded(((0.6, -0.42), (0.98, -0.24), (0.6, -0.1)), 0.05), AMBER),
        Patch(body, paint.main),
        Patch(belly, paint.pale, body),
        *_bird_wing(form, paint),
        *eye(0.42, -0.3, 0.085),
        cheek(0.4, -0.1, 0.1, body),
    ]


def _bird_legs(girth: float) -> Drawing:
    foot = girth + 0.32
    legs = [band(((x, girth * 0.7), (x + 0.02, foot)), 0.05) for x in (-0.06, 0.16)]
    toes = [band(((x - 0.06, foot), (x + 0.14, foot)), 0.05) for x in (-0.06, 0.16)]
    return [Patch(outline, AMBER) for outline in (*legs, *toes)]


def _bird_tail(form: Form, paint: Paint) -> Drawing:
    reach = -1.3 if form.variant == 1 else -1.02
    upper = rounded(((-0.4, -0.1), (reach, -0.16), (reach + 0.06, 0.06), (-0.4, 0.3)), 0.08)
    lower = rounded(((-0.4, 0.05), (reach + 0.12, 0.06), (reach + 0.2, 0.26), (-0.4, 0.38)), 0.08)
    return [Patch(lower, paint.deep), Patch(upper, paint.shade)]


def _crest(paint: Paint) -> Patch:
    feathers = smooth((0.12, -0.42), (-0.16, -0.74), (0.16, -0.84), (0.5, -0.62), (0.4, -0.4))
    return Patch(feathers, paint.accent)


def _bird_wing(form: Form, paint: Paint) -> Drawing:
    if form.variant == 2:
        front, rear = (
            ((-0.1, -0.72), (0.18, -0.3), (0.24, 0.05)),
            ((-0.12, 0.16), (-0.42, -0.3), (-0.62, -0.95)),
        )
        wing, tip = smooth(*front, *rear), circle(-0.55, -0.9, 0.36)
    else:
        front, rear = (
            ((-0.05, -0.16), (0.22, -0.08), (0.16, 0.28)),
            ((-0.25, 0.36), (-0.72, 0.28), (-0.35, -0.02)),
        )
        wing, tip = smooth(*front, *rear), ellipse(-0.62, 0.34, 0.34, 0.24)
    return [Patch(wing, paint.shade), Patch(tip, paint.accent, wing)]


def butterfly(form: Form, paint: Paint) -> Drawing:
    """Seen from above: round wings, pointed wings with tails, or banded wings."""
    upper, lower = _wings(form.variant, mix(0.82, 1.0, form.build))
    under = [
        Patch(lower, paint.accent),
        Patch(circle(0.42, 0.42, 0.15), paint.pale, lower),
        Patch(circle(0.42, 0.42, 0.075), paint.deep, lower),
    ]
    right = [*under, *_upper_wing(upper, form.variant, paint)]
    return [*right, *(patch.mapped(flipped) for patch in right), *_butterfly_body(paint)]


def _wings(variant: int, reach: float) -> tuple[Outline, Outline]:
    """The upper and the lower wing on the right side."""
    if variant == 1:
        tail = ((0.72, 0.35), (0.62, 0.62), (0.66, 1.0), (0.42, 0.72))
        upper = smooth((0.04, 0.0), (0.2, -0.5), (reach, -0.9), (reach * 0.9, -0.35), (0.5, 0.1))
        return upper, smooth((0.04, 0.02), (0.55, 0.02), *tail, (0.1, 0.4))
    rim = ((0.12, -0.55), (0.6, -0.88), (reach, -0.6), (reach * 0.9, -0.1))
    lower = smooth((0.04, 0.02), (0.5, 0.04), (0.8, 0.32), (0.68, 0.72), (0.34, 0.78), (0.08, 0.4))
    return smooth((0.04, 0.0), *rim, (0.45, 0.1)), lower


def _upper_wing(wing: Outline, variant: int, paint: Paint) -> Drawing:
    field = moved(wing, 0.035, -0.03, 0.8)
    if variant == 2:
        marks = [band(((0.12, -0.2), end), 0.05, 0.16) for end in ((0.35, -0.8), (0.85, -0.35))]
    else:
        marks = [circle(0.54, -0.5, 0.15), circle(0.62, -0.22, 0.09), circle(0.32, -0.36, 0.07)]
    return [
        Patch(wing, paint.deep),
        Patch(field, paint.main, wing),
        *(Patch(mark, paint.light, field) for mark in marks),
    ]


def _butterfly_body(paint: Paint) -> Drawing:
    feelers = [curve((0.0, -0.42), (s * 0.1, -0.7), (s * 0.28, -0.86)) for s in (-1, 1)]
    return [
        *(Patch(band(line, 0.035), INK) for line in feelers),
        *(Patch(circle(s * 0.28, -0.86, 0.045), INK) for s in (-1, 1)),
        Patch(ellipse(0, 0.12, 0.085, 0.5), INK),
        Patch(circle(0, -0.4, 0.12), INK),
        Patch(ellipse(-0.025, 0.02, 0.022, 0.3), paint.shade),
    ]


def cat(form: Form, paint: Paint) -> Drawing:
    """A cat sitting, its face alone, or lying with its tail around it."""
    if form.variant == 1:
        return _cat_head(0.0, 0.3, mix(0.9, 1.06, form.build), paint, striped=True)
    if form.variant == 2:
        return _lying_cat(form, paint)
    return _sitting_cat(form, paint)


def _sitting_cat(form: Form, paint: Paint) -> Drawing:
    hip = mix(0.46, 0.62, form.build)
    body = symmetric((0.34, 0.1), (hip, 0.68), (hip * 0.8, 0.98), (0.0, 1.02))
    tail = curve((0.3, 0.9), (0.72, 0.92), (0.9, 0.6), (0.74, 0.32), (0.84, 0.12))
    return [
        Patch(band(tail, 0.17, 0.14), paint.shade),
        Patch(body, paint.main),
        Patch(symmetric((0.2, 0.1), (0.24, 0.45), (0.0, 0.66)), paint.pale, body),
        Patch(ellipse(-hip * 0.8, 0.8, 0.2, 0.3), paint.shade, body),
        Patch(ellipse(hip * 0.8, 0.8, 0.2, 0.3), paint.shade, body),
        Patch(ellipse(-0.16, 0.96, 0.15, 0.09), paint.pale),
        Patch(ellipse(0.16, 0.96, 0.15, 0.09), paint.pale),
        *_cat_head(0.0, -0.34, 0.72, paint, striped=False),
    ]


def _lying_cat(form: Form, paint: Paint) -> Drawing:
    back = mix(0.12, -0.1, form.build)
    spine = ((-0.86, 0.94), (-0.98, 0.6), (-0.7, back + 0.1), (-0.1, back), (0.5, 0.2))
    body = smooth(*spine, (0.8, 0.6), (0.7, 0.95), (0.0, 1.0))
    tail = curve((-0.9, 0.8), (-0.7, 0.96), (-0.3, 0.93), (0.05, 0.82))
    stripes = [band(((x, back - 0.1), (x + 0.05, 0.36)), 0.1, 0.04) for x in (-0.55, -0.3, -0.05)]
    return [
        Patch(body, paint.main),
        *(Patch(outline, paint.shade, body) for outline in stripes),
        Patch(ellipse(-0.6, 0.78, 0.34, 0.28), paint.shade, body),
        Patch(band(tail, 0.16, 0.13), paint.deep),
        Patch(ellipse(0.42, 0.94, 0.2, 0.085), paint.pale),
        Patch(ellipse(0.78, 0.94, 0.2, 0.085), paint.pale),
        *_cat_head(0.5, 0.24, 0.62, paint, striped=False),
    ]


def _cat_head(x: float, y: float, size: float, paint: Paint, *, striped: bool) -> Drawing:
    head = symmetric((0.0, -0.55), (0.5, -0.42), (0.74, 0.05), (0.46, 0.46), (0.0, 0.56))
    ear = rounded(((-0.68, -0.12), (-0.66, -0.96), (-0.08, -0.5)), 0.12)
    inner = moved(ear, -0.16, -0.22, 0.58)
    muzzle = ellipse(0.0, 0.3, 0.3, 0.22)
    marks = [((-0.17, -0.6), (-0.13, -0.3)), ((0.0, -0.6), (0.0, -0.26)), ((0.17, -0.6), (0.13, -0.3))]
    sides = [((s * 0.8, at), (s * 0.5, at + 0.03)) for s in (-1, 1) for at in (-0.02, 0.16)]
    whiskers = [((s * 0.4, 0.2 + d), (s * 0.92, 0.14 + d * 2.4)) for s in (-1, 1) for d in (-0.02, 0.06)]
    patches = [
        *(Patch(outline, paint.shade) for outline in (ear, flipped(ear))),
        *(Patch(outline, ROSE) for outline in (inner, flipped(inner))),
        Patch(head, paint.main),
        *(Patch(band(line, 0.09, 0.05), paint.deep, head) for line in (marks + sides if striped else marks)),
        Patch(muzzle, paint.pale, head),
        *eye(-0.32, 0.0, 0.1),
        *eye(0.32, 0.0, 0.1),
        cheek(-0.5, 0.24, 0.11, head),
        cheek(0.5, 0.24, 0.11, head),
        Patch(rounded(((-0.08, 0.15), (0.08, 0.15), (0.0, 0.25)), 0.03), INK),
        Patch(band(arc(-0.08, 0.28, 0.08, 0.1, 0, 150), 0.032), INK),
        Patch(band(arc(0.08, 0.28, 0.08, 0.1, 30, 180), 0.032), INK),
        *(Patch(band(line, 0.024), CREAM) for line in whiskers),
    ]
    return placed(patches, x, y, size)


def snail(form: Form, paint: Paint) -> Drawing:
    """A snail with a spiral shell, a pointed shell, or a spotted shell."""
    radius = mix(0.56, 0.68, form.build)
    sole = ((0.9, 0.7), (0.6, 1.0), (-0.3, 1.02), (-1.0, 0.98), (-0.6, 0.78))
    foot = smooth((0.1, 0.74), (0.5, 0.6), (0.56, 0.1), (0.8, -0.02), (0.98, 0.2), *sole)
    stalks = [((0.7, 0.12), (0.62, -0.32)), ((0.84, 0.12), (0.94, -0.28))]
    return [
        *(Patch(band(line, 0.07, 0.05), SAND) for line in stalks),
        *(Patch(circle(*line[1], 0.075), INK) for line in stalks),
        *(Patch(circle(line[1][0] - 0.02, line[1][1] - 0.03, 0.026), WHITE) for line in stalks),
        Patch(foot, SAND),
        Patch(ellipse(0.0, 1.04, 1.2, 0.12), paint.light, foot, 0.55),
        cheek(0.7, 0.36, 0.09, foot),
        smile(0.86, 0.26, 0.07),
        *_shell(form.variant, radius, paint),
    ]


def _shell(variant: int, radius: float, paint: Paint) -> Drawing:
    if variant == 1:
        return _pointed_shell(radius, paint)
    x, y = -0.16, 0.82 - radius
    shell = circle(x, y, radius)
    if variant == 2:
        spots = moved((turned(((0.0, -0.76),), angle)[0] for angle in (-130, -78, -26, 26, 78)), x, y, radius)
        marks = [
            *dots(spots, 0.09, paint.accent, shell),
            Patch(circle(x + 0.06, y + 0.08, radius * 0.5), paint.light),
            Patch(circle(x + 0.1, y + 0.12, radius * 0.24), paint.main),
        ]
    else:
        coil = moved(_spiral(0.05, radius * 0.86), x + 0.04, y + 0.05)
        marks = [
            Patch(band(coil, 0.05, 0.1), paint.pale, shell),
            glint(x - 0.26, y - 0.32, 0.1, 0.06, -40, shell),
        ]
    ground = ellipse(x + 0.1, y + radius * 0.9, radius, radius * 0.5)
    return [Patch(shell, paint.main), Patch(ground, paint.shade, shell), *marks]


def _spiral(inner: float, outer: float) -> Outline:
    steps = 45
    return tuple(
        turned(((mix(inner, outer, step / steps), 0.0),), 29 + 792 * step / steps)[0] for step in range(steps + 1)
    )


def _pointed_shell(radius: float, paint: Paint) -> Drawing:
    left = ((-0.5, 0.84), (-0.84, 0.52), (-0.86, 0.1), (-0.84, -0.4), (-0.74, -0.52))
    shell = smooth(*left, (-0.5, -0.4), (0.0, 0.02), (0.34, 0.4), (0.28, 0.8))
    # It grows from its opening, which stays where the foot is.
    size = radius / 0.6
    shell = moved(shell, 0.0, 0.84 * (1 - size), size)
    turns = [((-1.0, -0.05), (-0.4, -0.5)), ((-1.1, 0.35), (0.0, -0.25)), ((-1.0, 0.75), (0.3, 0.05))]
    tones = (paint.pale, paint.accent, paint.pale)
    return [
        Patch(shell, paint.main),
        *(Patch(band(line, 0.12), tone, shell) for line, tone in zip(turns, tones, strict=True)),
        Patch(ellipse(-0.1, 0.95, 0.7, 0.3), paint.shade, shell, 0.6),
    ]
