"""Computed detection rates: against scipy's binomial, the reference's numbers, and simulated observers."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy.stats import binom

from app.domain.detection import (
    false_alarms_flag,
    flag_probability_2afc,
    flag_probability_jnd,
    sentinels_flag,
    side_bias_flags,
)
from app.domain.protocol import Protocol
from app.domain.quality import DIFFERENT, SAME, Answered, Role, signals
from app.domain.quality_rules import FindingName, verdict

RULES = Protocol().quality_rules
SITTINGS = 600


@pytest.mark.parametrize("sentinels", [0, 1, 2, 10, 15, 200])
@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_sentinels_by_the_binomial(sentinels: int, accuracy: float, allowed: int) -> None:
    flagged = sentinels_flag(replace(RULES, sentinel_misses_allowed=allowed), sentinels=sentinels, accuracy=accuracy)
    assert flagged == pytest.approx(binom(sentinels, 1 - accuracy).sf(allowed), abs=1e-9)


@pytest.mark.parametrize(
    ("sentinels", "allowed", "accuracy", "passes"),
    [(15, 1, 0.5, 0.0005), (15, 1, 0.95, 0.83), (15, 1, 0.99, 0.99), (5, 0, 0.5, 0.031)],
)
def test_the_references_numbers(sentinels: int, allowed: int, accuracy: float, passes: float) -> None:
    rules = replace(RULES, sentinel_misses_allowed=allowed)
    assert 1 - sentinels_flag(rules, sentinels=sentinels, accuracy=accuracy) == pytest.approx(passes, rel=0.03)


@pytest.mark.parametrize("trials", [1, 8, 11, 50, 60, 251, 1200])
@pytest.mark.parametrize("left", [0.0, 0.5, 0.7, 1.0])
def test_side_bias_by_enumeration(trials: int, left: float) -> None:
    counts = np.arange(trials + 1)
    p_values = 2 * binom.cdf(np.minimum(counts, trials - counts), trials, 0.5)
    flagged = binom.pmf(counts, trials, left)[p_values < RULES.side_bias_p].sum()
    assert side_bias_flags(RULES, trials=trials, left=left) == pytest.approx(flagged, abs=1e-9)


def test_always_left_is_always_found_once_there_are_eleven_trials() -> None:
    assert side_bias_flags(RULES, trials=10, left=1.0) == 0
    assert side_bias_flags(RULES, trials=11, left=1.0) == 1
    assert side_bias_flags(RULES, trials=11) == pytest.approx(2 / 2**11)
    assert flag_probability_2afc(RULES, trials=50, sentinels=10, accuracy=0.5, left=1.0) == 1


def test_false_alarms_by_hand() -> None:
    # Two of five are allowed: a guesser exceeds them with P(3) + P(4) + P(5) = (10 + 5 + 1) / 32.
    assert false_alarms_flag(RULES, sentinels=5, false_alarm_rate=0.5) == pytest.approx(16 / 32)
    assert flag_probability_jnd(RULES, different=5, same=5, hit_rate=0.0, false_alarm_rate=0.0) == 1


def test_without_sentinels_or_trials_nobody_is_flagged() -> None:
    assert flag_probability_2afc(RULES, trials=0, sentinels=0, accuracy=0.5) == 0
    assert flag_probability_jnd(RULES, different=0, same=0, hit_rate=0.5, false_alarm_rate=0.5) == 0


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="not a probability"):
        sentinels_flag(RULES, sentinels=10, accuracy=1.1)
    with pytest.raises(ValueError, match="must not be negative"):
        sentinels_flag(RULES, sentinels=-1, accuracy=0.5)


def sitting_2afc(rng: random.Random, *, accuracy: float, left: float) -> Iterable[Answered]:
    """Fifty pool trials and ten sentinels by somebody who is right so often, or presses left so often."""
    for trial in range(60):
        role: Role = "pool" if trial < 50 else "sentinel"
        left_candidate = rng.randrange(2)
        answer = rng.randrange(2)
        if left == 0.5:
            choice = answer if rng.random() < accuracy else 1 - answer
        else:
            choice = left_candidate if rng.random() < left else 1 - left_candidate
        yield Answered("2afc", role, choice, answer=answer, left_candidate=left_candidate, rt_ms=1000.0, timing={})


def sitting_jnd(rng: random.Random, *, hit_rate: float, false_alarm_rate: float) -> Iterable[Answered]:
    """Five identical and five clearly different pairs."""
    for answer in [SAME, DIFFERENT] * 5:
        says_different = rng.random() < (hit_rate if answer == DIFFERENT else false_alarm_rate)
        choice = DIFFERENT if says_different else SAME
        yield Answered("jnd", "sentinel", choice, answer=answer, rt_ms=1000.0, timing={})


def rate_of(findings: set[FindingName], sitting: Callable[[random.Random], Iterable[Answered]]) -> float:
    rng = random.Random(20_260)
    flagged = 0
    for _ in range(SITTINGS):
        flagged += any(finding.name in findings for finding in verdict(signals(sitting(rng)), RULES))
    return flagged / SITTINGS


def assert_binomial(observed: float, expected: float) -> None:
    """Within four standard errors: once in 16,000 runs by chance, and the seed is fixed."""
    assert abs(observed - expected) <= 4 * sqrt(expected * (1 - expected) / SITTINGS)


@pytest.mark.parametrize(
    ("accuracy", "left"),
    [(0.5, 0.5), (0.95, 0.5), (0.85, 0.5), (0.5, 1.0), (0.5, 0.7)],
    ids=["guesser", "95 %", "85 %", "always left", "mostly left"],
)
def test_simulated_2afc_observers_are_flagged_at_the_computed_rate(accuracy: float, left: float) -> None:
    observed = rate_of({"sentinel_misses", "side_bias"}, lambda rng: sitting_2afc(rng, accuracy=accuracy, left=left))
    expected = flag_probability_2afc(RULES, trials=50, sentinels=10, accuracy=accuracy, left=left)
    assert_binomial(observed, expected)


@pytest.mark.parametrize(
    ("hit_rate", "false_alarm_rate"),
    [(0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.95, 0.05), (0.8, 0.4)],
    ids=["guesser", "always same", "always different", "95 %", "careless"],
)
def test_simulated_jnd_observers_are_flagged_at_the_computed_rate(hit_rate: float, false_alarm_rate: float) -> None:
    observed = rate_of(
        {"sentinel_misses", "false_alarms"},
        lambda rng: sitting_jnd(rng, hit_rate=hit_rate, false_alarm_rate=false_alarm_rate),
    )
    expected = flag_probability_jnd(RULES, different=5, same=5, hit_rate=hit_rate, false_alarm_rate=false_alarm_rate)
    assert_binomial(observed, expected)
