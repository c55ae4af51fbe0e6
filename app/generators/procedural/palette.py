"""Colours, chosen in OKLCH so that equal steps of hue and lightness look equal."""

import math
from dataclasses import dataclass

Colour = tuple[int, int, int]

INK: Colour = (54, 48, 70)
WHITE: Colour = (255, 255, 255)
CREAM: Colour = (253, 246, 233)
SAND: Colour = (238, 214, 178)
ROSE: Colour = (244, 160, 156)
GOLD: Colour = (250, 204, 104)
AMBER: Colour = (242, 156, 72)
WOOD: Colour = (166, 116, 82)
BARK: Colour = (128, 86, 66)
LEAF: Colour = (106, 160, 96)
MOSS: Colour = (78, 128, 84)
GLASS: Colour = (206, 230, 238)
WATER: Colour = (160, 208, 232)
STEEL: Colour = (120, 124, 142)


def oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """The 8-bit sRGB colour of an OKLCH triple (lightness 0–1, hue in degrees).

    A colour outside sRGB loses chroma, never hue or lightness, until it fits.
    """
    if not _fits(lightness, chroma, hue):
        chroma = _largest_chroma(lightness, chroma, hue)
    red, green, blue = (_encode(channel) for channel in _linear_srgb(lightness, chroma, hue))
    return red, green, blue


def _fits(lightness: float, chroma: float, hue: float) -> bool:
    return all(-1e-4 <= channel <= 1.0001 for channel in _linear_srgb(lightness, chroma, hue))


def _largest_chroma(lightness: float, too_much: float, hue: float) -> float:
    # Found by halving rather than in steps, so that a colour glides when its hue or lightness does.
    low, high = 0.0, too_much
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if _fits(lightness, middle, hue) else (low, middle)
    return low


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """`second` laid over `first` with opacity `share`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _linear_srgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _encode(channel: float) -> int:
    clipped = min(max(channel, 0.0), 1.0)
    encoded = 12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055
    return round(255 * encoded)


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of one object: tones of its own hue, and an accent that goes with it."""

    main: Colour
    light: Colour
    pale: Colour
    shade: Colour
    deep: Colour
    accent: Colour
    accent_shade: Colour


def _yellowness(hue: float) -> float:
    """1 for yellow, 0 from green round to red; dark yellow is mud, so yellows are painted lighter."""
    return max(0.0, math.cos(math.radians(hue - 95)))


def paint(hue: float, lightness: float) -> Paint:
    """The colours of an object of a hue in degrees and a lightness from about 0 (dark) to about 1 (light)."""
    level = 0.50 + 0.24 * lightness + 0.14 * _yellowness(hue)
    return Paint(
        main=oklch(level, 0.150, hue),
        light=oklch(min(level + 0.09, 0.93), 0.115, hue + 8),
        pale=oklch(0.945, 0.035, hue + 12),
        shade=oklch(level - 0.085, 0.140, hue - 7),
        deep=oklch(level - 0.19, 0.110, hue - 14),
        accent=oklch(0.80 - 0.05 * lightness, 0.125, hue + 150),
        accent_shade=oklch(0.70 - 0.05 * lightness, 0.125, hue + 144),
    )


@dataclass(frozen=True, slots=True)
class Tones:
    """The colours of a background, from the sky down to the ground and its shadows."""

    sky: Colour
    haze: Colour
    far: Colour
    middle: Colour
    near: Colour
    ground: Colour
    detail: Colour
    shadow: Colour


def day_tones(hue: float, lightness: float) -> Tones:
    """Pale, quiet colours around one hue (degrees), so that any object stands out against them."""
    lift = 0.10 * lightness - 0.05
    land = lift + 0.03 * _yellowness(hue - 70)
    return Tones(
        sky=oklch(0.840 + lift + 0.05 * _yellowness(hue), 0.070, hue),
        haze=oklch(0.935 + lift * 0.6, 0.036, hue + 30),
        far=oklch(0.830 + land, 0.060, hue - 20),
        middle=oklch(0.795 + land, 0.068, hue - 45),
        near=oklch(0.845 + land, 0.064, hue - 65),
        ground=oklch(0.880 + land, 0.054, hue - 80),
        detail=oklch(0.925, 0.070, 80),
        shadow=oklch(0.540 + lift, 0.060, hue - 70),
    )


def night_tones(hue: float, lightness: float) -> Tones:
    """The colours of dusk around one hue (degrees), still lighter than an object's darkest lines."""
    lift = 0.09 * lightness - 0.045
    # Dark blue and violet glow, dark yellow does not: it gets little colour.
    strength = 0.055 + 0.025 * math.cos(math.radians(hue - 280))
    return Tones(
        sky=oklch(0.360 + lift, strength, hue),
        haze=oklch(0.530 + lift, strength * 1.2, hue + 25),
        far=oklch(0.450 + lift, strength, hue + 5),
        middle=oklch(0.430 + lift, strength, hue - 5),
        near=oklch(0.470 + lift, strength, hue - 15),
        ground=oklch(0.500 + lift, strength, hue - 25),
        detail=oklch(0.930, 0.060, 95),
        shadow=oklch(0.270 + lift, 0.045, hue - 10),
    )
