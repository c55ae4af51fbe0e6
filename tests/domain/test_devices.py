"""Sittings on devices alike: by hand, against scipy, and what does not stand out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from app.domain.devices import Devices, Sitting, describe, excess_p_value
from app.domain.protocol import Protocol
from app.domain.quality import Count, signals
from app.domain.quality_rules import verdict

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
counts = st.integers(0, 30).flatmap(lambda of: st.builds(Count, st.integers(0, of), st.just(of)))


def sitting(participant: int, *, minute: int = 0, device: str = "phone") -> Sitting:
    start = NOON + timedelta(minutes=minute)
    return Sitting(participant, start, start + timedelta(minutes=10), device)


def findings(mine: Sitting, others: list[Sitting]) -> list[str]:
    found = signals([], same_device=Devices([mine, *others]).compare(mine))
    return [finding.name for finding in verdict(found, Protocol().quality_rules)]


@given(counts, counts)
def test_p_is_fishers(at_once: Count, elsewhere: Count) -> None:
    table = [[at_once.count, at_once.of - at_once.count], [elsewhere.count, elsewhere.of - elsewhere.count]]
    assert excess_p_value(at_once, elsewhere) == pytest.approx(fisher_exact(table, "greater").pvalue, abs=1e-9)


def test_by_hand() -> None:
    mine = sitting(1)
    others = [
        sitting(1, minute=5),  # the same person's other sitting
        sitting(2, minute=-5),
        sitting(3, minute=9),
        sitting(4, minute=5, device="laptop"),
        sitting(5, minute=10),  # begins as mine ends
        sitting(6, minute=-10),  # ends as mine begins
        sitting(7, minute=60, device="laptop"),
    ]
    found = Devices([mine, *others]).compare(mine)
    assert (found.at_once, found.elsewhere) == (Count(2, 3), Count(2, 3))
    assert found.p == pytest.approx((3 * 3 + 1 * 3) / 15)  # C(3,2)·C(3,2) + C(3,3)·C(3,1) of C(6,4)


def test_a_group_at_once_on_a_rare_device_stands_out() -> None:
    crowd = [sitting(100 + i, minute=7 * i, device=f"phone {i % 9}") for i in range(60)]
    farm = [sitting(i, minute=i % 3, device="rack") for i in range(6)]
    assert findings(farm[0], farm[1:] + crowd) == ["same_device"]
    assert findings(crowd[0], crowd[1:] + farm) == []


@pytest.mark.parametrize("pause", [0, 2, 60])
def test_a_room_of_equal_machines_and_a_popular_phone_do_not(pause: int) -> None:
    room = [sitting(i, minute=pause * i) for i in range(30)]
    assert findings(room[3], room[:3] + room[4:]) == []


def test_alone_nothing_can_be_said() -> None:
    assert Devices([sitting(1)]).compare(sitting(1)).p == 1


def test_a_device_is_described_without_its_moment() -> None:
    measured = {"browser": "Chrome desktop", "viewport": [1280, 720], "frame_interval_ms": 16.6, "zoomed": 1}
    assert describe(measured) == describe(measured | {"frame_interval_ms": 16.7, "zoomed": 2})
    assert describe(measured) != describe(measured | {"viewport": [1280, 700]})
    assert describe({"viewport": {"odd": [None]}}) != describe({})


def test_descriptions_are_compared_whole() -> None:
    mine = sitting(1)
    other = replace(mine, participant=2, device="phone 2")
    assert Devices([mine, other]).compare(mine).at_once == Count(0, 1)
