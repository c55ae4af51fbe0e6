"""Confidence intervals for statistics of votes, whose participants and whose items are both samples of many.

Votes of one person resemble each other, and so do votes on one item. Each replicate therefore draws participants and,
independently, items, with replacement, and a vote counts as often as both were drawn: the pigeonhole bootstrap (Owen
2007, Annals of Applied Statistics 1, 386–411). It errs on the side of wide intervals: up to twice as wide as need be
where people hardly differ, a third too wide where they differ much.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.agreement import FloatArray, Tally

IntArray = npt.NDArray[np.int64]
Statistic = Callable[[Tally], float]


@dataclass(frozen=True)
class Interval:
    """A statistic and the percentile interval around it; nan where it is undefined."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Votes:
    """Single votes, each array of the shape (votes,): the item's index from 0 to items − 1, the participant's index
    from 0 to participants − 1, and the choice, 0 or 1. In JND every pair asked about is an item of its own."""

    item: IntArray
    participant: IntArray
    choice: IntArray
    items: int
    participants: int

    @classmethod
    def of(cls, item: npt.ArrayLike, participant: npt.ArrayLike, choice: npt.ArrayLike, *, items: int) -> "Votes":
        """Votes on the items 0 to items − 1; participants may be any whole numbers, such as their ids.

        Raises:
            ValueError: the arrays differ in length, an item or a choice is out of range, or somebody votes on an item
                twice.
        """
        item, participant, choice = (_whole(values) for values in (item, participant, choice))
        if not item.size == participant.size == choice.size:
            raise ValueError(
                f"{item.size} items, {participant.size} participants and {choice.size} choices do not match"
            )
        if item.size and not (item.min() >= 0 and item.max() < items):
            raise ValueError(f"an item is not from 0 to {items - 1}")
        if not np.isin(choice, (0, 1)).all():
            raise ValueError("a choice is neither 0 nor 1")
        people, index = np.unique(participant, return_inverse=True)
        if np.unique(index * items + item).size < item.size:
            raise ValueError("a participant votes on an item once")
        return cls(item, index.astype(np.int64), choice, items, people.size)

    def tally(self) -> Tally:
        ones = np.bincount(self.item[self.choice == 1], minlength=self.items)
        return Tally.of(np.bincount(self.item, minlength=self.items) - ones, ones)


def cluster_bootstrap(
    votes: Votes,
    statistics: Mapping[str, Statistic],
    *,
    seed: int,
    replicates: int = 1000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Percentile intervals of several statistics, all from the same resamples.

    Args:
        statistics: functions of a tally, those of `agreement` among them; one that takes distances needs them bound:
            `partial(two_afc_score, distance_0=..., distance_1=...)`. Replicates in which one is nan are left out of its
            interval.
        level: the interval's coverage, between 0 and 1.

    Raises:
        ValueError: no votes, no replicates, or no such level.
    """
    if not votes.item.size:
        raise ValueError("there are no votes to resample")
    if replicates < 1 or not 0 < level < 1:
        raise ValueError("an interval needs a replicate at least, and a level between 0 and 1")
    observed = votes.tally()
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(replicates):
        resample = _resample(votes, observed, rng)
        for name, statistic in statistics.items():
            drawn[name].append(statistic(resample))
    return {name: _interval(statistic(observed), drawn[name], level) for name, statistic in statistics.items()}


def _resample(votes: Votes, observed: Tally, rng: np.random.Generator) -> Tally:
    times = _times_drawn(votes.participants, rng)[votes.participant]
    every = _sums(votes.item, times, votes.items)
    ones = _sums(votes.item, times * votes.choice, votes.items)
    voted = np.flatnonzero(observed.received)
    weight = np.zeros_like(observed.received)
    weight[voted] = _times_drawn(voted.size, rng)
    return Tally(every - ones, ones, _sums(votes.item, times**2, votes.items), observed.received, weight)


def _sums(item: IntArray, weights: IntArray, items: int) -> FloatArray:
    return np.bincount(item, weights=weights, minlength=items).astype(np.float64, copy=False)


def _times_drawn(n: int, rng: np.random.Generator) -> IntArray:
    """How often each of n was drawn in n draws with replacement."""
    return np.bincount(rng.integers(n, size=n), minlength=n)


def _interval(estimate: float, drawn: list[float], level: float) -> Interval:
    defined = np.asarray(drawn)[np.isfinite(drawn)]
    if not defined.size:
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def _whole(values: npt.ArrayLike) -> IntArray:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError("items, participants and choices are lists of whole numbers")
    return array.astype(np.int64)
