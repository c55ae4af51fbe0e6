"""The backgrounds, in frame coordinates: each leaves the ground below two thirds of the height clear."""

import math
from collections.abc import Callable
from typing import Final

from app.generators.procedural.canvas import Canvas
from app.generators.procedural.geometry import Outline, band, box, circle, ellipse, mix, moved, smooth
from app.generators.procedural.palette import WHITE, Tones

Background = Callable[[Canvas, Tones, float], None]


def _plain(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.sky), (1, tones.haze)], 0.0, 0.68)
    canvas.fill(circle(mix(0.36, 0.64, scenery), 0.40, 0.31), WHITE, None, 0.35)
    canvas.gradient([(0, tones.near), (1, tones.ground)], 0.68)


def _wallpaper(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.haze), (1, tones.haze)], 0.0, 0.66)
    for row in range(6):
        for column in range(-1, 8):
            x = (column + 0.5 * (row % 2) + scenery) * 0.145
            _leaf_motif(canvas, tones, x, 0.035 + 0.115 * row)
    canvas.gradient([(0, tones.ground), (1, tones.near)], 0.66)
    canvas.fill(box(-0.1, 0.635, 1.1, 0.672), WHITE)
    canvas.fill(box(-0.1, 0.672, 1.1, 0.68), tones.middle)
    for y, starts in ((0.76, (0.2, 0.72)), (0.87, (0.45, 0.95))):
        canvas.fill(box(-0.1, y, 1.1, y + 0.003), tones.middle)
        for x in starts:
            canvas.fill(box(x, y - 0.085, x + 0.003, y), tones.middle)


def _leaf_motif(canvas: Canvas, tones: Tones, x: float, y: float) -> None:
    for side in (-1, 1):
        canvas.fill(ellipse(x + side * 0.02, y, 0.021, 0.0095, side * 38), tones.far)
    canvas.fill(circle(x, y - 0.026, 0.009), tones.detail)


def _hills(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.sky), (1, tones.haze)], 0.0, 0.7)
    canvas.fill(circle(mix(0.2, 0.8, scenery), 0.2, 0.075), tones.detail)
    canvas.fill(_swell(0.50, 0.055, 1.1, 0.15 + scenery), tones.far)
    canvas.fill(_swell(0.58, 0.045, 1.3, 0.75 - scenery), tones.middle)
    canvas.fill(_swell(0.66, 0.025, 0.8, 0.35 + scenery), tones.near)
    canvas.fill(_swell(0.82, 0.02, 0.7, 0.9 - scenery), tones.ground)


def _swell(height: float, depth: float, waves: float, phase: float) -> Outline:
    # A wave with a shorter one upon it reads as land; a pure sine reads as a diagram.
    def crest(x: float) -> float:
        first, second = 2 * math.pi * (waves * x + phase), 2 * math.pi * (2.3 * waves * x + 1.7 * phase)
        return height + depth * math.sin(first) + depth * 0.3 * math.sin(second)

    return (*((x / 64, crest(x / 64)) for x in range(-1, 66)), (1.1, 1.1), (-0.1, 1.1))


def _mountains(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.sky), (1, tones.haze)], 0.0, 0.7)
    shift = mix(-0.1, 0.1, scenery)
    for x, top, half in ((0.14, 0.34, 0.32), (0.86, 0.30, 0.36)):
        _peak(canvas, tones, x + shift * 0.6, top, half)
    _peak(canvas, tones, 0.5 + shift, 0.18, 0.42)
    canvas.fill(_swell(0.64, 0.014, 1.6, 0.2 + scenery * 0.5), tones.middle)
    canvas.fill(_swell(0.70, 0.018, 0.8, 0.6 - scenery * 0.5), tones.ground)


def _peak(canvas: Canvas, tones: Tones, x: float, top: float, half: float) -> None:
    foot = 0.7
    outline = ((x, top), (x + half, foot), (x - half, foot))
    cap = 0.3
    width, low = half * cap, mix(top, foot, cap)
    right = ((x, top), (x + width, low), (x + width * 0.45, low - 0.025), (x + width * 0.1, low + 0.02))
    snow = (*right, (x - width * 0.4, low - 0.02), (x - width, low))
    canvas.fill(outline, tones.far)
    canvas.fill(((x, top), (x + half, foot), (x + half * 0.16, foot)), tones.middle, outline, 0.75)
    canvas.fill(snow, WHITE, outline, 0.9)


def _sea(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.sky), (1, tones.haze)], 0.0, 0.5)
    sun = mix(0.2, 0.8, scenery)
    canvas.fill(circle(sun, 0.47, 0.13), WHITE, None, 0.45)
    canvas.fill(circle(sun, 0.47, 0.095), tones.detail)
    canvas.gradient([(0, tones.middle), (1, tones.far)], 0.5, 0.78)
    for index, (y, x, length) in enumerate(_RIPPLES):
        left = (x + scenery * (0.3 + 0.1 * (index % 3))) % 1.2 - 0.1
        canvas.fill(band(((left, y), (left + length, y)), 0.007), WHITE, None, 0.5)
    canvas.fill(_swell(0.695, 0.012, 1.2, 0.3 + scenery), WHITE, None, 0.55)
    canvas.fill(_swell(0.71, 0.012, 1.2, 0.3 + scenery), tones.ground)


_RIPPLES: Final = (
    (0.53, 0.10, 0.10), (0.535, 0.62, 0.07), (0.565, 0.36, 0.12), (0.57, 0.88, 0.09), (0.60, 0.04, 0.14),
    (0.61, 0.58, 0.13), (0.645, 0.26, 0.16), (0.65, 0.82, 0.14),
)  # fmt: skip


def _meadow(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.sky), (1, tones.haze)], 0.0, 0.7)
    drift = mix(-0.12, 0.12, scenery)
    for x, y, scale in _CLOUDS:
        _cloud(canvas, x + drift * scale, y, scale)
    canvas.fill(_swell(0.66, 0.01, 0.9, 0.1 + scenery * 0.4), tones.near)
    canvas.fill(_swell(0.70, 0.012, 0.6, 0.5 - scenery * 0.4), tones.ground)
    for x, y in _BLOSSOMS:
        for petal in range(5):
            angle = math.radians(72 * petal)
            canvas.fill(circle(x + 0.009 * math.cos(angle), y + 0.009 * math.sin(angle), 0.006), WHITE)
        canvas.fill(circle(x, y, 0.005), tones.detail)


_CLOUDS: Final = ((0.2, 0.16, 1.0), (0.74, 0.11, 0.8), (0.52, 0.3, 0.62), (0.95, 0.34, 0.9), (0.0, 0.4, 0.7))
_BLOSSOMS: Final = (
    (0.07, 0.78), (0.3, 0.95), (0.6, 0.965), (0.93, 0.8), (0.12, 0.93), (0.86, 0.94), (0.47, 0.745),
)  # fmt: skip


def _cloud(canvas: Canvas, x: float, y: float, scale: float) -> None:
    left = ((-0.13, 0.035), (-0.14, 0.0), (-0.095, -0.02), (-0.06, -0.06), (0.0, -0.065), (0.045, -0.03))
    puff = smooth(*left, (0.1, -0.03), (0.14, 0.005), (0.13, 0.035), (0.0, 0.04))
    canvas.fill(moved(puff, x, y, scale), WHITE, None, 0.8)


def _city(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.sky), (1, tones.haze)], 0.0, 0.72)
    canvas.fill(circle(mix(0.75, 0.25, scenery), 0.24, 0.1), WHITE, None, 0.6)
    shift = mix(-0.09, 0.09, scenery)
    for x, top, width in _FAR_TOWERS:
        canvas.fill(box(x - shift / 2, top, x + width - shift / 2, 0.75), tones.far)
    for x, top, width in _NEAR_TOWERS:
        _tower(canvas, tones, x + shift, top, width)
    canvas.gradient([(0, tones.near), (1, tones.ground)], 0.69)
    canvas.fill(box(-0.1, 0.685, 1.1, 0.7), tones.haze)


_FAR_TOWERS: Final = (
    (-0.05, 0.46, 0.12), (0.1, 0.36, 0.1), (0.26, 0.42, 0.13), (0.44, 0.3, 0.1), (0.58, 0.4, 0.14),
    (0.77, 0.33, 0.1), (0.9, 0.43, 0.16),
)  # fmt: skip
_NEAR_TOWERS: Final = (
    (-0.08, 0.53, 0.13), (0.17, 0.5, 0.11), (0.34, 0.56, 0.15), (0.66, 0.52, 0.12), (0.86, 0.55, 0.2),
)  # fmt: skip


def _tower(canvas: Canvas, tones: Tones, x: float, top: float, width: float) -> None:
    canvas.fill(box(x, top, x + width, 0.75), tones.middle)
    columns = round(width / 0.04)
    for row in range(3):
        for column in range(columns):
            left = x + width * (column + 0.28) / columns
            y = top + 0.022 + row * 0.042
            canvas.fill(box(left, y, left + 0.44 * width / columns, y + 0.022), tones.haze)


def _night(canvas: Canvas, tones: Tones, scenery: float) -> None:
    canvas.gradient([(0, tones.sky), (1, tones.haze)], 0.0, 0.72)
    for index, (x, y) in enumerate(_STARS):
        radius = (0.0035, 0.0055, 0.0025)[index % 3]
        canvas.fill(circle((x + 0.25 * scenery) % 1.0, y, radius), WHITE, None, 0.8)
    x = mix(0.82, 0.6, scenery)
    canvas.fill(circle(x, 0.18, 0.105), WHITE, None, 0.12)
    canvas.fill(circle(x, 0.18, 0.07), tones.detail)
    for dx, dy, radius in ((-0.02, -0.02, 0.014), (0.025, 0.015, 0.018), (-0.015, 0.035, 0.01)):
        canvas.fill(circle(x + dx, 0.18 + dy, radius), tones.far, None, 0.25)
    canvas.fill(_swell(0.58, 0.04, 1.0, 0.1 + scenery * 0.6), tones.far)
    canvas.fill(_swell(0.66, 0.02, 0.8, 0.6 - scenery * 0.6), tones.near)
    canvas.fill(_swell(0.78, 0.015, 0.7, 0.2 + scenery * 0.6), tones.ground)


_STARS: Final = (
    (0.05, 0.08), (0.14, 0.26), (0.22, 0.12), (0.31, 0.37), (0.37, 0.06), (0.45, 0.22), (0.52, 0.42),
    (0.58, 0.1), (0.66, 0.31), (0.73, 0.05), (0.8, 0.4), (0.9, 0.13), (0.96, 0.3), (0.08, 0.46), (0.27, 0.48),
    (0.88, 0.5), (0.4, 0.33), (0.62, 0.2),
)  # fmt: skip

BACKGROUNDS: Final[dict[str, Background]] = {
    "city": _city,
    "hills": _hills,
    "meadow": _meadow,
    "mountains": _mountains,
    "night": _night,
    "plain": _plain,
    "sea": _sea,
    "wallpaper": _wallpaper,
}
