"""What a trial's timing record says, read with distrust: a browser wrote it, and anybody may pretend to be one.

A record is a JSON object whose names carry their units: `..._ms` is a time or a duration in milliseconds on the page's
clock (0 when the page was opened), `frames` or `..._frames` counts frames of the display. An object with `on_ms` and
`off_ms` is an interval for which something was shown. `flags` lists what the page itself found wrong, and `hidden` says
that the page was out of sight.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

LONGEST_MS = 24 * 60 * 60 * 1000
"""No sitting's deadline is further away, so a later time lies in the future."""

MOST_FRAMES = 2400
"""Ten seconds at 240 Hz: nothing in a trial lasts longer."""

_FASTEST_DISPLAY_HZ = 500


def flags_of(timing: object) -> frozenset[str]:
    """What the page flagged; empty for a record that cannot be read, which is `is_absurd`'s to say."""
    if not isinstance(timing, Mapping):
        return frozenset()
    listed = timing.get("flags")
    flags = {flag for flag in listed if isinstance(flag, str)} if isinstance(listed, list) else set()
    return frozenset(flags | {"hidden"} if timing.get("hidden") else flags)


def is_absurd(timing: object) -> bool:
    """Whether the record is missing or says what cannot be: a time that is negative, in the future or not a number,
    thousands of frames, more frames than any display has, or an end before its beginning."""
    if not isinstance(timing, Mapping):
        return True
    return any(
        not _is_possible(name, value) or (isinstance(value, Mapping) and _contradicts_itself(value))
        for name, value in _entries(timing)
    )


def is_possible_ms(value: object) -> TypeGuard[float]:
    """A number from 0 to `LONGEST_MS`; the comparison refuses NaN and infinity too."""
    return _is_number(value) and 0 <= value <= LONGEST_MS


def _entries(timing: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Everything in the record, however deeply nested, with its name; the elements of a list have the list's name.

    Not recursive: how deep a record goes is up to whoever sent it.
    """
    waiting: list[tuple[str, Any]] = [("", timing)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend((str(key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            waiting.extend((name, inner) for inner in value)
            continue
        yield name, value


def _is_possible(name: str, value: object) -> bool:
    if isinstance(value, Mapping):
        return True
    if name.endswith("_ms"):
        return is_possible_ms(value)
    if name.endswith("frames"):
        return _is_number(value) and 0 <= value <= MOST_FRAMES
    return not isinstance(value, float) or math.isfinite(value)


def _contradicts_itself(record: Mapping[str, Any]) -> bool:
    on, off, frames = record.get("on_ms"), record.get("off_ms"), record.get("frames", 0)
    if not (is_possible_ms(on) and is_possible_ms(off) and _is_number(frames)):
        return False
    # One frame more than the duration holds: on and off are read at frames, and clocks are coarse.
    return off < on or frames > 1 + (off - on) / 1000 * _FASTEST_DISPLAY_HZ


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
