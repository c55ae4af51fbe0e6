"""Timing records as pages write them, and as nobody's page ever would."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.timing_records import LONGEST_MS, flags_of, is_absurd, is_possible_ms

TWO_AFC = {
    "onset_ms": 1200.5,
    "answerable_ms": 1300.0,
    "answered_ms": 2400.25,
    "hidden": False,
    "viewport": [1280, 720],
    "device_pixel_ratio": 1.5,
}
FLASH = {"requested_ms": 500, "on_ms": 1000.0, "off_ms": 1500.1, "frames": 30, "late_frames": 0}
JND = {"frame_ms": 16.67, "intervals": [FLASH, {**FLASH, "on_ms": 2500.0, "off_ms": 3000.0}], "flags": []}


@pytest.mark.parametrize(
    "record",
    [
        TWO_AFC,
        JND,
        {},
        {"simulated": "attentive"},
        {"intervals": []},
        {"on_ms": 0, "off_ms": 0, "frames": 1},
        {"on_ms": 0, "off_ms": 500, "frames": 251},
        {"on_ms": 0, "off_ms": 24 * 3600 * 1000, "frames": 2400},
    ],
)
def test_what_pages_write_is_possible(record: dict[str, Any]) -> None:
    assert not is_absurd(record)
    assert flags_of(record) == frozenset()


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "500",
        {**TWO_AFC, "onset_ms": -0.1},
        {**TWO_AFC, "answered_ms": LONGEST_MS + 1},
        {**TWO_AFC, "answered_ms": 1.7e12},  # a date, not a time on the page's clock
        {**TWO_AFC, "answered_ms": float("nan")},
        {**TWO_AFC, "answered_ms": 10**400},
        {**TWO_AFC, "answered_ms": None},
        {**TWO_AFC, "answered_ms": "soon"},
        {**TWO_AFC, "answered_ms": True},
        {**TWO_AFC, "device_pixel_ratio": float("inf")},
        {"intervals": [{**FLASH, "frames": 5000}]},
        {"intervals": [{**FLASH, "late_frames": -1}]},
        {"intervals": [{**FLASH, "off_ms": 999.0}]},
        {"intervals": [{**FLASH, "frames": 1000}]},  # 2000 a second
        {"on_ms": 0, "off_ms": 500, "frames": 252},
        {"late_frames": [0, 0, 2401]},
    ],
)
def test_what_cannot_be_is_absurd(record: object) -> None:
    assert is_absurd(record)


def test_flags_are_the_pages_own_and_hiding() -> None:
    assert flags_of({"flags": ["late", "blur", "late"]}) == {"late", "blur"}
    assert flags_of({"flags": ["late"], "hidden": True}) == {"late", "hidden"}
    assert flags_of({"flags": "late"}) == frozenset()
    assert flags_of({"flags": [1, None, {}]}) == frozenset()
    assert flags_of(None) == frozenset()


def test_a_time_may_be_nothing_or_the_longest_sitting() -> None:
    assert is_possible_ms(0)
    assert is_possible_ms(LONGEST_MS)
    assert not is_possible_ms(LONGEST_MS + 0.1)
    assert not is_possible_ms(-0.1)


def test_a_record_may_be_nested_deeper_than_python_recurses() -> None:
    record: dict[str, Any] = {"on_ms": -1}
    for _ in range(5000):
        record = {"in": [record]}
    assert is_absurd(record)


names = st.sampled_from(["onset_ms", "on_ms", "off_ms", "frames", "late_frames", "flags", "hidden", "other"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(record=values)
def test_nothing_that_anybody_sends_crashes_the_reader(record: object) -> None:
    assert isinstance(is_absurd(record), bool)
    assert isinstance(flags_of(record), frozenset)
    assert isinstance(is_possible_ms(record), bool)
