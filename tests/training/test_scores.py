import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from training import scores


def reference_average_precision(distances: np.ndarray, same: np.ndarray) -> float:
    """The published procedure, step by step, for distances without ties."""
    order = np.argsort(distances)
    tp, fp = np.cumsum(same[order]), np.cumsum(1 - same[order])
    precision, recall = tp / (tp + fp), tp / tp[-1]
    total, previous = 0.0, 0.0
    for k in range(len(order)):
        total += (recall[k] - previous) * precision[k:].max()
        previous = recall[k]
    return float(total)


@given(st.integers(2, 40), st.integers(0, 10_000))
@settings(deadline=None)
def test_jnd_precision_matches_the_reference_without_ties(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    distances, same = generator.permutation(n).astype(float), generator.random(n) * 0.9 + 0.05
    ours = scores.jnd_average_precision(distances, same)
    assert abs(ours - reference_average_precision(distances, same)) < 1e-9


@given(st.integers(2, 30), st.integers(0, 10_000))
@settings(deadline=None)
def test_jnd_precision_does_not_depend_on_the_order_of_ties(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    distances, same = generator.integers(0, 4, n).astype(float), generator.random(n)
    shuffled = generator.permutation(n)
    ours = scores.jnd_average_precision(distances, same)
    assert abs(scores.jnd_average_precision(distances[shuffled], same[shuffled]) - ours) < 1e-12


def test_jnd_precision_by_hand() -> None:
    # two pairs tie at 0: together 1.5 of 2 said same; then 0 of 1
    assert scores.jnd_average_precision(np.array([0, 0, 1.0]), np.array([1, 0.5, 0])) == pytest.approx(0.75)
    assert scores.jnd_average_precision(np.array([0.1, 0.2]), np.array([1.0, 0])) == 1.0
    # a constant metric gets the mean share of same
    assert scores.jnd_average_precision(np.zeros(4), np.array([1, 0, 0, 0.2])) == pytest.approx(0.3)


def test_two_afc_by_hand() -> None:
    zero, one = np.array([0.1, 0.3, 0.2]), np.array([0.2, 0.1, 0.2])
    np.testing.assert_allclose(scores.two_afc(zero, one, np.array([0.2, 0.9, 0.7])), [0.8, 0.9, 0.5])


@given(st.integers(2, 12), st.data())
@settings(deadline=None)
def test_unbiased_ceiling_is_the_agreement_of_two_different_people(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    votes = [1] * k + [0] * (n - k)
    pairs = [votes[i] == votes[j] for i in range(n) for j in range(n) if i != j]
    ours = scores.unbiased_ceiling(np.array([k / n]), np.array([n]))
    assert abs(float(ours[0]) - np.mean(pairs)) < 1e-9
    plug_in = float(scores.plug_in_ceiling(np.array([k / n]))[0])
    assert float(ours[0]) <= plug_in + 1e-12 <= float(scores.oracle_ceiling(np.array([k / n]))[0]) + 2e-12


def test_single_votes_have_no_pairs() -> None:
    assert len(scores.unbiased_ceiling(np.array([1.0, 0.5]), np.array([1, 2]))) == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_interval_of_independent_scores_has_the_textbook_width(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sample = (generator.random(400) < 0.7).astype(float)
    interval = scores.estimate(sample)
    width = 2 * 1.96 * sample.std() / 20
    assert interval.low < interval.value < interval.high
    assert abs((interval.high - interval.low) - width) < 0.25 * width


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_few_that_all_agree_prove_little(score: float) -> None:
    """Clopper and Pearson's interval of 4 of 4, as statsmodels has it."""
    interval = scores.estimate(np.full(4, score))
    low, high = proportion_confint(4 * score, 4, method="beta")
    assert (interval.low, interval.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("sample", "clusters"), [(np.array([0.75]), [0]), (np.array([1.0, 0.5, 0.75]), [5, 5, 5]), (np.full(3, 0.75), None)]
)
def test_what_resampling_cannot_vary_is_not_certain(sample: np.ndarray, clusters: list[int] | None) -> None:
    """One reference, or equal scores: the half width is √(ln 40 / 2n), Hoeffding's, within [0, 1]."""
    interval = scores.estimate(sample, None if clusters is None else np.array(clusters))
    trials = 1 if clusters else 3
    assert interval.value == 0.75
    assert interval.low == pytest.approx(max(0, 0.75 - math.sqrt(math.log(40) / (2 * trials))))
    assert interval.high == 1


def test_clusters_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    per_reference = (generator.random(40) < 0.6).astype(float)
    repeated, clusters = np.repeat(per_reference, 25), np.repeat(np.arange(40), 25)
    naive, clustered = scores.estimate(repeated), scores.estimate(repeated, clusters)
    assert naive.value == clustered.value
    assert (clustered.high - clustered.low) > 4 * (naive.high - naive.low)
    alone = scores.estimate(per_reference)
    assert (clustered.low, clustered.high) == (alone.low, alone.high)


def test_sixty_triplets_resolve_about_ten_points() -> None:
    sample = np.repeat([1.0, 0.0], [46, 14])
    assert 0.09 < scores.resolution(sample) < 0.12


def test_odd_one_out_shares_the_point_between_ties() -> None:
    distances = np.array([[0.1, 0.2, 0.3], [0.2, 0.1, 0.3], [0.1, 0.1, 0.3], [1, 1, 1]])
    np.testing.assert_allclose(scores.odd_one_out(distances), [1, 0, 0.5, 1 / 3])
