"""A square picture on which outlines are filled, drawn large and averaged down for smooth edges."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from app.generators.procedural.geometry import Outline, Point
from app.generators.procedural.palette import Colour, blend

_SUPERSAMPLING = 4
_SHADOW_SCALE = 6
_Box = tuple[int, int, int, int]

# x, y, horizontal and vertical radius in frames, opacity.
SoftEllipse = tuple[float, float, float, float, float]


class Canvas:
    """A picture addressed in frame coordinates: (0, 0) is the top left corner, (1, 1) the bottom right."""

    def __init__(self, size: int) -> None:
        self._side = size * _SUPERSAMPLING
        self._image = Image.new("RGB", (self._side, self._side))
        self._pen = ImageDraw.Draw(self._image)

    def gradient(self, stops: Sequence[tuple[float, Colour]], top: float = 0.0, bottom: float = 1.0) -> None:
        """Fill the rows from `top` to `bottom` with a vertical gradient through (position 0–1, colour)."""
        first, last = self._pixel(top), self._pixel(bottom)
        # One colour per row of the finished picture: finer steps would be averaged away.
        for row in range(first, last, _SUPERSAMPLING):
            colour = _colour_at(stops, (row - first) / (last - first))
            self._pen.rectangle((0, row, self._side, row + _SUPERSAMPLING - 1), fill=colour)

    def fill(self, outline: Outline, colour: Colour, within: Outline | None = None, opacity: float = 1.0) -> None:
        """Fill an outline, cut to `within`, with a colour."""
        if within is None and opacity == 1.0:
            self._pen.polygon(self._pixels(outline), fill=colour)
            return
        area = self._area(outline, within)
        if area is None:
            return
        mask = self._mask(outline, area, round(255 * opacity))
        if within is not None:
            mask = ImageChops.darker(mask, self._mask(within, area, 255))
        self._image.paste(colour, area, mask)

    def shadow(self, ellipses: Iterable[SoftEllipse], colour: Colour) -> None:
        """Darken the ground under soft ellipses; where they overlap it gets no darker."""
        side = max(1, self._side // _SHADOW_SCALE)
        mask = Image.new("L", (side, side))
        for ellipse in ellipses:
            area, spot = _soft_spot(ellipse, side)
            mask.paste(ImageChops.lighter(mask.crop(area), spot), area)
        covered = mask.getbbox()
        if covered is not None:
            left, top, right, bottom = (edge * self._side // side for edge in covered)
            spread = mask.resize((right - left, bottom - top), Image.Resampling.BILINEAR, covered)
            self._image.paste(colour, (left, top, right, bottom), spread)

    def finished(self) -> Image.Image:
        """The picture at its nominal size."""
        return self._image.reduce(_SUPERSAMPLING)

    def _pixel(self, position: float) -> int:
        return math.floor(position * self._side + 0.5)

    def _pixels(self, outline: Outline, left: int = 0, top: int = 0) -> list[Point]:
        return [(self._pixel(x) - left, self._pixel(y) - top) for x, y in outline]

    def _area(self, outline: Outline, within: Outline | None) -> _Box | None:
        """The pixels that an outline touches, None where it lies outside the picture or the other outline."""
        left, top, right, bottom = self._bounds(outline)
        if within is not None:
            other = self._bounds(within)
            left, top = max(left, other[0]), max(top, other[1])
            right, bottom = min(right, other[2]), min(bottom, other[3])
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _bounds(self, outline: Outline) -> _Box:
        xs, ys = [x for x, _ in outline], [y for _, y in outline]
        left, top = max(0, self._pixel(min(xs))), max(0, self._pixel(min(ys)))
        right, bottom = min(self._side, self._pixel(max(xs)) + 1), min(self._side, self._pixel(max(ys)) + 1)
        return left, top, right, bottom

    def _mask(self, outline: Outline, area: _Box, value: int) -> Image.Image:
        left, top, right, bottom = area
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon(self._pixels(outline, left, top), fill=value)
        return mask


def _soft_spot(ellipse: SoftEllipse, side: int) -> tuple[_Box, Image.Image]:
    """A blurred ellipse and where it belongs in a mask of `side` pixels, parts of it perhaps outside."""
    x, y, rx, ry, opacity = ellipse
    blur = side * ry * 0.4
    margin = math.ceil(2.5 * blur)
    left, top = math.floor(side * (x - rx)) - margin, math.floor(side * (y - ry)) - margin
    right, bottom = math.ceil(side * (x + rx)) + margin, math.ceil(side * (y + ry)) + margin
    spot = Image.new("L", (right - left, bottom - top))
    bounds = (side * (x - rx) - left, side * (y - ry) - top, side * (x + rx) - left, side * (y + ry) - top)
    ImageDraw.Draw(spot).ellipse(bounds, fill=round(255 * opacity))
    return (left, top, right, bottom), spot.filter(ImageFilter.GaussianBlur(blur))


def _colour_at(stops: Sequence[tuple[float, Colour]], position: float) -> Colour:
    for (start, first), (end, second) in pairwise(stops):
        if position <= end:
            return blend(first, second, (position - start) / (end - start))
    return stops[-1][1]
