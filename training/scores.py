"""Agreement of a metric with people, and of people with each other. Plain arrays in, numbers out."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval, over n triplets or pairs."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def _require_numbers(*arrays: Floats) -> None:
    for array in arrays:
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if len(bad):
            raise DataError(f"no score can be made: number {bad[0] + 1} of {len(array)} is {array[bad[0]]}")


def two_afc(distance_0: Floats, distance_1: Floats, share_1: Floats) -> Floats:
    """Each triplet's score (n,): the share of votes on the metric's side, a half where its distances are
    equal.

    Zhang et al. 2018 (LPIPS), section 3: s = [d₀ < d₁](1 − p) + [d₁ < d₀]p + ½[d₀ = d₁]. Raises DataError for
    NaN, which is no tie.
    """
    _require_numbers(distance_0, distance_1)
    return np.where(distance_0 < distance_1, 1 - share_1, np.where(distance_1 < distance_0, share_1, 0.5))


def plug_in_ceiling(share_1: Floats) -> Floats:
    """p² + (1 − p)² (n,): how a person drawn by the votes agrees with the votes (LPIPS, appendix A).

    Too high by 2p(1 − p)/votes, since the person's own vote is among them.
    """
    ceiling: Floats = share_1**2 + (1 - share_1) ** 2
    return ceiling


def unbiased_ceiling(share_1: Floats, votes: NDArray[np.int64]) -> Floats:
    """How two different people agree (m,), for items of n ≥ 2 votes: [k(k−1) + (n−k)(n−k−1)] / [n(n−1)]."""
    several = votes >= 2
    n, k = votes[several].astype(np.float64), np.rint(share_1[several] * votes[several])
    agreeing: Floats = (k * (k - 1) + (n - k) * (n - k - 1)) / (n * (n - 1))
    return agreeing


def oracle_ceiling(share_1: Floats) -> Floats:
    """max(p, 1 − p) (n,): the highest score any metric can reach."""
    return np.maximum(share_1, 1 - share_1)


def estimate(scores: Floats, clusters: NDArray[np.int64] | None = None, draws: int = 2000, seed: int = 0) -> Estimate:
    """Mean of `scores` (n,) with a percentile bootstrap that resamples whole clusters.

    `clusters` (n,) names what is not independent, such as triplets of one reference; None resamples scores. Where all
    clusters have the same mean, or there is one, resampling knows of nothing else, and the interval is one for so many
    trials: Clopper and Pearson's (1934) where all scores are 0 or all are 1, else Hoeffding's (1963), which holds for
    scores in [0, 1]. Raises DataError for NaN.
    """
    _require_numbers(scores)
    sums, counts = _cluster_sums(scores, clusters)
    value = float(scores.mean())
    if np.ptp(sums / counts) == 0 and scores.min() >= 0 and scores.max() <= 1:
        return Estimate(value, *_interval_of_trials(value, len(sums)), len(scores))
    picks = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(scores))


def _interval_of_trials(mean: float, trials: int) -> tuple[float, float]:
    if mean in (0, 1):
        beyond = 0.025 ** (1 / trials)
        return (beyond, 1.0) if mean == 1 else (0.0, 1 - beyond)
    reach = math.sqrt(math.log(2 / 0.05) / (2 * trials))
    return max(0.0, mean - reach), min(1.0, mean + reach)


def _cluster_sums(scores: Floats, clusters: NDArray[np.int64] | None) -> tuple[Floats, Floats]:
    if clusters is None:
        return scores, np.ones_like(scores)
    _, labels = np.unique(clusters, return_inverse=True)
    return np.bincount(labels, scores).astype(np.float64), np.bincount(labels).astype(np.float64)


def resolution(scores: Floats, clusters: NDArray[np.int64] | None = None) -> float:
    """The difference from another metric below which nothing can be said: half the width of the 95 %
    interval.
    """
    interval = estimate(scores, clusters)
    return (interval.high - interval.low) / 2


def jnd_average_precision(distances: Floats, same: Floats) -> float:
    """Area under interpolated precision and recall of "people say same", by ascending distance (LPIPS, "JND
    mAP").

    `distances` (n,), `same` (n,) the share of people who said same. Pairs of equal distance enter together,
    so that the result does not depend on their order; LPIPS's own code takes them in the order of its sort.
    Raises DataError for NaN.
    """
    _require_numbers(distances)
    _, group = np.unique(distances, return_inverse=True)
    true_positives = np.cumsum(np.bincount(group, same))
    retrieved = np.cumsum(np.bincount(group))
    precision = true_positives / retrieved
    recall = true_positives / max(true_positives[-1], np.finfo(float).tiny)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best_from_here))


def jnd_estimate(distances: Floats, same: Floats, draws: int = 1000, seed: int = 0) -> Estimate:
    """Average precision with an interval that resamples pairs."""
    picks = np.random.default_rng(seed).integers(0, len(same), (draws, len(same)))
    values = [jnd_average_precision(distances[pick], same[pick]) for pick in picks]
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(jnd_average_precision(distances, same), float(low), float(high), len(same))


def odd_one_out(distances: Floats) -> Floats:
    """Score (n,) of odd-one-out choices from `distances` (n, 3) of the pairs (1, 2), (1, 3), (2, 3).

    1 where the pair that people left together, (1, 2), is the closest; equally close pairs share the point.
    Raises DataError for NaN.
    """
    _require_numbers(distances)
    closest = distances == distances.min(axis=1, keepdims=True)
    points: Floats = closest[:, 0] / closest.sum(axis=1)
    return points


def by_group(scores: Floats, groups: NDArray[np.str_], summarise: Callable[[Floats], Estimate]) -> dict[str, Estimate]:
    return {str(group): summarise(scores[groups == group]) for group in np.unique(groups)}
