"""d′ against the models' own definitions, written with scipy's distributions."""

from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import foldnorm, norm

from app.domain.sensitivity import corrected_rate, d_prime, d_prime_same_different

rates = st.floats(0.001, 0.999)


@settings(deadline=None)
@given(hit_rate=rates, false_alarm_rate=rates)
def test_yes_no(hit_rate: float, false_alarm_rate: float) -> None:
    expected = norm.ppf(hit_rate) - norm.ppf(false_alarm_rate)
    assert d_prime(hit_rate, false_alarm_rate) == pytest.approx(expected, abs=1e-9)


def test_yes_no_by_hand() -> None:
    # z(0.84134…) = 1 and z(0.15865…) = −1.
    assert d_prime(0.8413447460685429, 0.15865525393145707) == pytest.approx(2.0, abs=1e-9)
    assert d_prime(0.5, 0.5) == 0


@settings(max_examples=100, deadline=None)
@given(d=st.floats(0.1, 4.0), k=st.floats(0.2, 4.0))
def test_the_differencing_model_is_inverted(d: float, k: float) -> None:
    """The two impressions differ by N(d, √2) or N(0, √2); the size of that is a folded normal."""
    hit_rate = foldnorm(d / sqrt(2), scale=sqrt(2)).sf(k)
    false_alarm_rate = foldnorm(0, scale=sqrt(2)).sf(k)
    assert d_prime_same_different(hit_rate, false_alarm_rate) == pytest.approx(d, abs=1e-9)


def test_the_differencing_model_by_hand() -> None:
    # k = √2: F = 2 Φ(−1). d′ = 2√2: H = Φ(2 − 1) + Φ(−2 − 1).
    false_alarm_rate = 2 * 0.15865525393145707
    hit_rate = 0.8413447460685429 + 0.0013498980316301035
    assert d_prime_same_different(hit_rate, false_alarm_rate) == pytest.approx(2 * sqrt(2), abs=1e-9)


def test_roving_needs_more_sensitivity_than_yes_no_for_the_same_rates() -> None:
    assert d_prime_same_different(0.8, 0.3) > d_prime(0.8, 0.3)


@pytest.mark.parametrize(("hit_rate", "false_alarm_rate"), [(0.3, 0.3), (0.2, 0.6), (1e-6, 0.999)])
def test_no_sensitivity_at_or_below_chance(hit_rate: float, false_alarm_rate: float) -> None:
    assert d_prime_same_different(hit_rate, false_alarm_rate) == 0


@settings(max_examples=100, deadline=None)
@given(hit_rate=st.floats(1e-12, 1 - 1e-12), false_alarm_rate=st.floats(1e-12, 1 - 1e-12))
def test_every_pair_of_rates_has_a_d_prime(hit_rate: float, false_alarm_rate: float) -> None:
    assert d_prime_same_different(hit_rate, false_alarm_rate) >= 0


def test_corrected_rates() -> None:
    assert corrected_rate(0, 10) == 0.5 / 11
    assert corrected_rate(10, 10) == 10.5 / 11
    assert corrected_rate(0, 0) == 0.5
    assert d_prime_same_different(corrected_rate(5, 5), corrected_rate(0, 5)) > 0


@pytest.mark.parametrize(("count", "of"), [(-1, 5), (6, 5)])
def test_impossible_counts(count: int, of: int) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        corrected_rate(count, of)


@pytest.mark.parametrize("hit_rate", [0.0, 1.0, -0.1, float("nan")])
def test_extreme_rates_have_no_d_prime(hit_rate: float) -> None:
    for function in (d_prime, d_prime_same_different):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            function(hit_rate, 0.5)
