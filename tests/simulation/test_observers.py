"""Simulated people: what each kind answers, and how long it says that took."""

import random
from collections.abc import Mapping
from statistics import median

import pytest

from app.domain.protocol import Protocol
from app.domain.quality import Answered, signals
from app.domain.quality_rules import FindingName, verdict
from simulation.observers import KINDS, Key, Kind, Probit, answer, draw_tempo, response_time

FOUND: Mapping[Kind, set[FindingName]] = {
    "attentive": set(),
    "fallible": set(),
    "left-presser": {"sentinel_misses", "side_bias"},
    "random-clicker": {"sentinel_misses"},
    "constant-speed": {"sentinel_misses", "constant_times"},
    "fast-forward": {"sentinel_misses", "fast_answers"},
}


def key(rng: random.Random, *, known: int | None) -> Key:
    return Key(
        item_number=1,
        left_candidate=rng.getrandbits(1),
        pairs=None,
        answers=None if known is None else (known, None),
        ordinal=1,
        recorded=None,
        distances=(0.0, 9.0),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_by_what_it_does(kind: Kind) -> None:
    rng = random.Random(3)
    tempo, observer = draw_tempo(rng), Probit(rng, noise=1.0, lapse=0.0)
    answers = []
    for trial in range(100):
        known = trial % 2 if trial < 20 else None
        shown = key(rng, known=known)
        (side,) = answer(kind, observer, shown, rng)
        answers.append(
            Answered(
                "2afc",
                "pool" if known is None else "sentinel",
                choice=shown.left_candidate ^ (side == "right"),
                answer=known,
                left_candidate=shown.left_candidate,
                rt_ms=response_time(kind, tempo, rng),
                timing={"simulated": kind},
                others=(5, 0),
            )
        )
    rules = Protocol().quality_rules
    assert {finding.name for finding in verdict(signals(answers), rules)} - {"no_agreement"} == FOUND[kind]


def test_people_take_from_one_and_a_half_to_three_seconds() -> None:
    rng = random.Random(1)
    tempos = [draw_tempo(rng) for _ in range(500)]
    assert 1450 < min(tempos) < 1600
    assert 2800 < max(tempos) < 3050
    times = [response_time("attentive", 2000, rng) for _ in range(2000)]
    assert 1900 < median(times) < 2100
    assert min(times) > 200


def test_one_in_twenty_is_wrong() -> None:
    rng = random.Random(2)
    observer = Probit(rng, noise=1.0, lapse=0.0)
    wrong = 0
    for _ in range(2000):
        shown = key(rng, known=0)
        wrong += (answer("fallible", observer, shown, rng) == ["left"]) != (shown.left_candidate == 0)
    assert 0.035 < wrong / 2000 < 0.065
