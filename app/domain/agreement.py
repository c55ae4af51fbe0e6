"""Agreement between votes, what it allows a metric to reach, and how well a metric does.

Everything is computed from a `Tally`: how many votes each item has for choice 0 and for choice 1. A statistic that no
item allows, such as agreement where no item has two votes, is nan.

The number of votes must not depend on what they say. A filter that drops items at their first dissent breaks this: the
votes of an item that people answer like a coin then agree in 23 % of its pairs (ten rounds) instead of 50 %. Give these
functions each item's first two votes there (every item gets two, whatever they are), or the first round's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tally:
    """The votes of each item; every array has the shape (items,).

    In a resample (`bootstrap.py`) an item counts `weight` times and a vote as often as its participant was drawn:
    votes_0 and votes_1 are then sums of these weights, squares the sum of their squares over both choices' votes, and
    `received` remains the number of votes that there really are. A participant drawn twice does not agree with herself:
    pairs are of different people, and that is what the squares are for.
    """

    votes_0: FloatArray
    votes_1: FloatArray
    squares: FloatArray
    received: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, votes_0: npt.ArrayLike, votes_1: npt.ArrayLike) -> "Tally":
        """The tally of counts as they are.

        Args:
            votes_0, votes_1: shape (items,), whole numbers from 0 on.

        Raises:
            ValueError: another shape, or no such numbers.
        """
        zeros, ones = _counts(votes_0), _counts(votes_1)
        if zeros.shape != ones.shape:
            raise ValueError(f"votes_0 has {zeros.size} items and votes_1 {ones.size}")
        received = zeros + ones
        return cls(zeros, ones, received, received, np.ones_like(received))

    @property
    def votes(self) -> FloatArray:
        return self.votes_0 + self.votes_1

    @property
    def pairs(self) -> FloatArray:
        """Ordered pairs of votes by different participants."""
        return self.votes**2 - self.squares

    @property
    def disagreeing_pairs(self) -> FloatArray:
        return 2 * self.votes_0 * self.votes_1


def pairwise_agreement(tally: Tally) -> float:
    """The probability that two people agree on an item, unbiased; the mean over the items with two votes or more.

    k(k−1) + (n−k)(n−k−1) over n(n−1) for k of n votes: Fleiss' (1971) P_i. It is also the unbiased human ceiling of the
    2AFC score: how well one person's votes predict another's.
    """
    weight = _divide(tally.weight, tally.received * (tally.received - 1))
    return 1 - _ratio(weight * tally.disagreeing_pairs, weight * tally.pairs)


def plug_in_agreement(tally: Tally) -> float:
    """p² + (1−p)², the mean over the items with votes; p is an item's share of votes for 1.

    The human ceiling as published with LPIPS (Zhang et al. 2018, appendix A), to compare with theirs. It counts every
    vote as agreeing with itself, so it is too high by 2p(1−p)/n with n votes.
    """
    weight = _divide(tally.weight, tally.received**2)
    # A vote and itself are one pair, however often its participant was drawn.
    pairs = tally.pairs + tally.votes
    return 1 - _ratio(weight * tally.disagreeing_pairs, weight * pairs)


def oracle_ceiling(tally: Tally) -> float:
    """max(p, 1−p), the mean over the items with votes: the 2AFC score of whoever knows every item's majority.

    Nothing scores higher on these very votes; with few votes per item no metric can come near it on others.
    """
    weight = _divide(tally.weight, tally.received)
    return _ratio(weight * np.maximum(tally.votes_0, tally.votes_1), weight * tally.votes)


def krippendorff_alpha(tally: Tally) -> float:
    """Krippendorff's α for binary votes, any number per item: 1 − observed / expected disagreement.

    observed = Σ 2 r(m−r)/(m−1) / n over the items with m ≥ 2 votes, r of them for 1; expected = 2 n₀n₁ / (n(n−1)) over
    these votes (Krippendorff, Content Analysis, 4th ed., chapter 12). nan if all votes are the same.

    In 2AFC the candidates' numbers are labels, and α depends on them: where candidate 0 is the favourite of every item,
    α is about 0 however well people agree. Numbered at random, α is about 2 · `pairwise_agreement` − 1; quote that too.
    """
    weight = _divide(tally.weight, tally.received - 1)
    observed = _ratio(weight * tally.disagreeing_pairs, weight * tally.pairs)
    pairable = tally.weight * (tally.received > 1)
    n0, n1 = float((pairable * tally.votes_0).sum()), float((pairable * tally.votes_1).sum())
    pairs = (n0 + n1) ** 2 - float((pairable**2 * tally.squares).sum())
    return 1 - observed * pairs / (2 * n0 * n1) if n0 and n1 else float("nan")


def fleiss_kappa(tally: Tally) -> float:
    """Fleiss' (1971) κ = (P̄ − P_e) / (1 − P_e) with P_e = p₀² + p₁². nan if all votes are the same.

    Raises:
        ValueError: the items do not all have the same number of votes, at least two.
    """
    numbers = np.unique(tally.received)
    if len(numbers) != 1 or numbers[0] < 2:
        raise ValueError(
            "Fleiss' kappa needs the same number of votes, at least two, on every item; "
            f"there are items with {_spelled(numbers)} votes. Krippendorff's alpha allows any number."
        )
    p1 = _ratio(tally.weight * tally.votes_1, tally.weight * tally.votes)
    expected = p1**2 + (1 - p1) ** 2
    return (pairwise_agreement(tally) - expected) / (1 - expected) if expected < 1 else float("nan")


def two_afc_score(tally: Tally, distance_0: npt.ArrayLike, distance_1: npt.ArrayLike) -> float:
    """The share of votes that a metric predicts, the mean over the items with votes (Zhang et al. 2018).

    Per item 1−p if candidate 0 is nearer, p if candidate 1 is, ½ if both are equally near.

    Args:
        distance_0, distance_1: shape (items,), the metric's distance of each candidate to the reference.

    Raises:
        ValueError: another shape, or a distance that is not finite.
    """
    d0, d1 = _distances(distance_0, tally), _distances(distance_1, tally)
    predicted = np.where(d0 < d1, tally.votes_0, np.where(d1 < d0, tally.votes_1, tally.votes / 2))
    weight = _divide(tally.weight, tally.received)
    return _ratio(weight * predicted, weight * tally.votes)


def average_precision(tally: Tally, distance: npt.ArrayLike) -> float:
    """How well a metric's distance finds the pairs that look the same; choice 0 is "same", 1 "different".

    Pairs in the order of their distance, s their share of "same": TP = Σs, FP = Σ(1−s), precision TP/(TP+FP), recall
    TP/Σs over all; the sum of each step in recall times the highest precision from there on (VOC; the "mAP" of Zhang et
    al. 2018). Pairs at the same distance enter together, so their order in the file does not matter; without ties this
    is the published number. nan if nobody said "same".

    Args:
        distance: shape (items,), the metric's distance between the two images of each pair.

    Raises:
        ValueError: another shape, or a distance that is not finite.
    """
    d = _distances(distance, tally)
    weight = _divide(tally.weight, tally.received)
    order = np.argsort(d, kind="stable")
    is_last_of_its_distance = np.append(np.diff(d[order]) > 0, True)[: d.size]
    true_positives = np.cumsum((weight * tally.votes_0)[order])[is_last_of_its_distance]
    positives = np.cumsum((weight * tally.votes)[order])[is_last_of_its_distance]
    if not true_positives.size or true_positives[-1] == 0:
        return float("nan")
    envelope = np.maximum.accumulate(_divide(true_positives, positives)[::-1])[::-1]
    steps = np.diff(true_positives / true_positives[-1], prepend=0.0)
    return float((steps * envelope).sum())


def expected_false_survivors(items: int, votes: int) -> float:
    """How many of so many items would survive so many unanimous votes if every vote were a coin's: M · 2^(1−n).

    Raises:
        ValueError: fewer than 0 items or 1 vote.
    """
    if items < 0 or votes < 1:
        raise ValueError("false survivors are of 0 items or more after 1 vote or more")
    return items * 2.0 ** (1 - votes)


def _counts(values: npt.ArrayLike) -> FloatArray:
    counts = np.asarray(values, dtype=np.float64)
    if counts.ndim != 1:
        raise ValueError(f"votes must have the shape (items,), not {counts.shape}")
    if not np.all((counts >= 0) & (counts == np.floor(counts)) & np.isfinite(counts)):
        raise ValueError("votes must be whole numbers from 0 on")
    return counts


def _distances(values: npt.ArrayLike, tally: Tally) -> FloatArray:
    distances = np.asarray(values, dtype=np.float64)
    if distances.shape != tally.received.shape:
        raise ValueError(f"there are {tally.received.size} items, but distances of the shape {distances.shape}")
    if not np.all(np.isfinite(distances)):
        raise ValueError("distances must be finite numbers")
    return distances


def _divide(weight: FloatArray, by: FloatArray) -> FloatArray:
    """Elementwise, 0 where there is nothing to divide by: such items do not count."""
    return np.divide(weight, by, out=np.zeros_like(weight), where=by > 0)


def _ratio(part: FloatArray, whole: FloatArray) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total > 0 else float("nan")


def _spelled(numbers: npt.NDArray[Any]) -> str:
    shown = ", ".join(f"{number:.0f}" for number in numbers[:5])
    return (shown or "no") + (", …" if len(numbers) > 5 else "")
