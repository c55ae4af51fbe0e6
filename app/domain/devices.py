"""Whether one machine sits for several people: sittings at the same time, by different people, on devices alike.

What a page reports of its device identifies nobody: thousands of people have the same phone. So two sittings alike mean
nothing by themselves. What is looked at is whether a device turns up *at once* more often than it does at other times:
a room of equal machines does not stand out, nor does a popular phone; five sittings at once on a device that hardly
anybody else has do. Groups are found, not pairs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import comb
from typing import Any

import numpy as np

from app.domain.quality import Count, SameDevice

DESCRIBES = (
    "browser", "screen", "viewport", "device_pixel_ratio", "refresh_rate_hz", "touch", "coarse_pointer",
    "reduced_motion", "dark_theme", "wide_gamut",
)  # fmt: skip
"""What of the page's environment record describes the device and not the moment."""


@dataclass(frozen=True)
class Sitting:
    """When somebody sat, and on what, as `describe` tells it."""

    participant: int
    start: datetime
    end: datetime
    device: str


def describe(environment: Mapping[str, Any]) -> str:
    """The device as far as its page told: equal texts for devices that look alike."""
    return json.dumps([environment.get(name) for name in DESCRIBES])


class Devices:
    """The sittings of a study, to hold each against those of other people."""

    def __init__(self, sittings: Sequence[Sitting]) -> None:
        self._participant = np.array([sitting.participant for sitting in sittings], np.int64)
        self._start = np.array([sitting.start.timestamp() for sitting in sittings])
        self._end = np.array([sitting.end.timestamp() for sitting in sittings])
        self._device = np.array([sitting.device for sitting in sittings], object)

    def compare(self, sitting: Sitting) -> SameDevice:
        is_other = self._participant != sitting.participant
        is_at_once = (self._start < sitting.end.timestamp()) & (self._end > sitting.start.timestamp())
        is_alike = self._device == sitting.device
        at_once, elsewhere = (
            Count(int((is_other & when & is_alike).sum()), int((is_other & when).sum()))
            for when in (is_at_once, ~is_at_once)
        )
        return SameDevice(at_once, elsewhere, excess_p_value(at_once, elsewhere))


def excess_p_value(at_once: Count, elsewhere: Count) -> float:
    """The probability of so many or more at once, were the sittings alike spread at random: Fisher's exact test."""
    alike = at_once.count + elsewhere.count
    as_many = range(at_once.count, min(at_once.of, alike) + 1)
    ways = sum(comb(at_once.of, count) * comb(elsewhere.of, alike - count) for count in as_many)
    return ways / comb(at_once.of + elsewhere.of, alike)
