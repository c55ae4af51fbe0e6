"""Outlines in unit coordinates: x to the right, y down, one object about [−1, 1] in both.

Every function returns the vertices of a polygon (or of an open line, where it says so). Angles are degrees,
clockwise on the screen. Only `math` computes here: numpy's vectorised sines differ in the last bit between
processors, and a drawing has to be the same on all of them.
"""

import math
from collections.abc import Iterable, Sequence

Point = tuple[float, float]
Outline = tuple[Point, ...]

_CURVE_STEPS = 10
_CORNER_STEPS = 7


def mix(start: float, end: float, share: float) -> float:
    """The value `share` of the way from `start` (0) to `end` (1)."""
    return start + (end - start) * share


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Outline:
    """Part of an ellipse as an open line, from angle `start` to `end`; 0° is right, 90° is down."""
    steps = max(4, math.ceil(abs(end - start) / 7.5))
    angles = (math.radians(mix(start, end, step / steps)) for step in range(steps + 1))
    return tuple((x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Outline:
    """A whole ellipse around (x, y), rotated by `turn`."""
    return turned(arc(x, y, rx, ry, 0, 360)[:-1], turn, (x, y))


def circle(x: float, y: float, radius: float) -> Outline:
    """A circle around (x, y)."""
    return ellipse(x, y, radius, radius)


def curve(*points: Point) -> Outline:
    """An open smooth line through the points (Catmull–Rom)."""
    padded = (points[0], *points, points[-1])
    line: list[Point] = []
    for index in range(len(points) - 1):
        line.extend(_span(padded[index : index + 4]))
    return (*line, points[-1])


def smooth(*points: Point) -> Outline:
    """A closed smooth outline through the points (Catmull–Rom)."""
    ring = (points[-1], *points, points[0], points[1])
    return tuple(point for index in range(len(points)) for point in _span(ring[index : index + 4]))


def symmetric(*points: Point) -> Outline:
    """A closed smooth outline: the points run down its right side, their mirror images up its left."""
    return smooth(*points, *((-x, y) for x, y in reversed(points) if x != 0))


def _span(four: Sequence[Point]) -> Iterable[Point]:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = four
    for step in range(_CURVE_STEPS):
        t = step / _CURVE_STEPS
        a, b = t * (-1 + t * (2 - t)) / 2, 1 + t * t * (3 * t - 5) / 2
        c, d = t * (1 + t * (4 - 3 * t)) / 2, t * t * (t - 1) / 2
        yield a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy


def rounded(points: Sequence[Point], radius: float) -> Outline:
    """The polygon with every corner eased over `radius`, at most half of the shorter side."""
    outline: list[Point] = []
    for index, corner in enumerate(points):
        start = _toward(corner, points[index - 1], radius)
        end = _toward(corner, points[(index + 1) % len(points)], radius)
        for step in range(_CORNER_STEPS + 1):
            t = step / _CORNER_STEPS
            first, second = _between(start, corner, t), _between(corner, end, t)
            outline.append(_between(first, second, t))
    return tuple(outline)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Outline:
    """An upright rectangle with corners eased over `radius`."""
    return rounded(((left, top), (right, top), (right, bottom), (left, bottom)), radius)


def band(line: Sequence[Point], width: float, end_width: float | None = None) -> Outline:
    """An open line drawn with a round pen `width` wide, tapering to `end_width`; for gentle bends only."""
    final = width if end_width is None else end_width
    left: list[Point] = []
    right: list[Point] = []
    for index, (x, y) in enumerate(line):
        dx, dy = _direction(line, index)
        half = mix(width, final, index / (len(line) - 1)) / 2
        left.append((x + dy * half, y - dx * half))
        right.append((x - dy * half, y + dx * half))
    return (*left, *_cap(line, -1, final), *reversed(right), *_cap(line, 0, width))


def _cap(line: Sequence[Point], index: int, width: float) -> Outline:
    dx, dy = _direction(line, index % len(line))
    heading = math.degrees(math.atan2(dy, dx)) + (180 if index == 0 else 0)
    return arc(*line[index], width / 2, width / 2, heading - 90, heading + 90)[1:-1]


def _direction(line: Sequence[Point], index: int) -> Point:
    (ax, ay), (bx, by) = line[max(index - 1, 0)], line[min(index + 1, len(line) - 1)]
    length = math.hypot(bx - ax, by - ay)
    return (bx - ax) / length, (by - ay) / length


def turned(points: Iterable[Point], degrees: float, centre: Point = (0.0, 0.0)) -> Outline:
    """The points rotated about `centre`."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy = centre
    return tuple((cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos) for x, y in points)


def moved(points: Iterable[Point], dx: float, dy: float, scale: float = 1.0) -> Outline:
    """The points scaled about the origin, then shifted."""
    return tuple((x * scale + dx, y * scale + dy) for x, y in points)


def flipped(points: Iterable[Point]) -> Outline:
    """The points mirrored left to right about x = 0."""
    return tuple((-x, y) for x, y in points)


def _between(a: Point, b: Point, share: float) -> Point:
    return mix(a[0], b[0], share), mix(a[1], b[1], share)


def _toward(corner: Point, other: Point, reach: float) -> Point:
    return _between(corner, other, min(0.5, reach / max(math.dist(corner, other), 1e-9)))
