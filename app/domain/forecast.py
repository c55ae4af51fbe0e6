"""What a study will take: survivors, votes, sittings, hours and money, round by round, with 90 % intervals.

The model. An item's votes are independent; the chance that an attentive person chooses candidate 1 differs from item
to item as Beta(a, a), so that two such people disagree about an item with probability a / (2a + 1) (`disagreement`). A
share of votes (`lapse`) is given at random. An item's first n votes agree with probability S(n); with no spread at all
that is the textbook p^n + (1 − p)^n, and 2^(1 − n) for coin flips. A sitting whose sentinels fail is paid, and its
votes are collected again.

Counts of items and votes are sums over independent items, so their intervals are normal ones. Once a study has closed
rounds, the disagreement is no longer a guess: every value is weighed by the likelihood of the rounds seen, and the
intervals widen by what that leaves open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import comb
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from app.domain.protocol import Protocol

LEVEL = 0.9
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_GRID = np.linspace(0.01, 0.5, 50)
Floats = npt.NDArray[np.float64]
Spread = tuple[float, float]
"""Mean and variance."""


@dataclass(frozen=True)
class Pilot:
    """What is known of the crowd before a study; every value is a probability.

    Without a pilot: a disagreement at which a fifth of the items survives ten votes, as in NIGHTS (20,019 of 100,000),
    and a rate of missed sentinels at which one sitting in twelve fails ten sentinels with one miss allowed.
    """

    disagreement: float = 0.323
    lapse: float = 0.0
    sentinel_miss: float = 0.05


@dataclass(frozen=True)
class Estimate:
    """A number to be expected, and the interval that holds it in nine of ten studies."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class RoundForecast:
    """`survivors` come out of the round; the rest is what the round takes: votes that count, sittings (void ones
    included), hours of participants' time, and cost in minor units of the protocol's currency."""

    number: int
    survivors: Estimate
    votes: Estimate
    sittings: Estimate
    hours: Estimate
    cost: Estimate


@dataclass(frozen=True)
class Forecast:
    """`rounds` are those still to come, `total` their sum (its number is the last round's, its survivors the kept
    items); `one_more` is what a further round would take and leave, None without a filter."""

    items: int
    rounds: list[RoundForecast]
    total: RoundForecast
    one_more: RoundForecast | None
    failing: float
    disagreement: float


@dataclass(frozen=True)
class ClosedRound:
    """A round as it went: how many items entered it and how many survived it."""

    entered: int
    survivors: int


def agreement(pilot: Pilot, most: int) -> Floats:
    """S(0), …, S(most): the probability that an item's first n votes all agree."""
    return _agreement(pilot.disagreement, pilot.lapse, most)


@lru_cache(maxsize=256)
def _agreement(disagreement: float, lapse: float, most: int) -> Floats:
    moments = _moments(disagreement, most)
    if lapse == 0:
        curve = 2 * moments
    else:
        # E[((1 − λ)p + λ/2)^n], expanded; the logarithms keep large binomial coefficients finite.
        log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, most + 1)))))
        log_attentive = np.log(max(1 - lapse, 1e-300))
        log_random, log_moments = np.log(lapse / 2), np.log(moments)
        curve = np.empty(most + 1)
        for n in range(most + 1):
            k = np.arange(n + 1)
            ways = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
            curve[n] = 2 * np.exp(ways + k * log_attentive + (n - k) * log_random + log_moments[k]).sum()
    curve[0] = 1.0
    return curve


def _moments(disagreement: float, most: int) -> Floats:
    """E[p^k] for k up to `most`: a product of (a + k) / (2a + k), written so that a may be nothing or endless."""
    k, spread = np.arange(1.0, max(most, 1)), 1 - 2 * disagreement
    ratios = (disagreement + k * spread) / (2 * disagreement + k * spread)
    return np.cumprod(np.concatenate((np.array([1.0, 0.5]), ratios)))[: most + 1]


def failing_share(protocol: Protocol, pilot: Pilot) -> float:
    """The probability that a sitting misses more sentinels than allowed, and so that its votes are void."""
    sentinels, allowed = protocol.assignment.sentinels, protocol.assignment.sentinel_misses_allowed
    if protocol.quality.failed_sentinels != "exclude":
        return 0.0
    miss = pilot.sentinel_miss
    return 1 - sum(
        comb(sentinels, missed) * miss**missed * (1 - miss) ** (sentinels - missed)
        for missed in range(min(allowed, sentinels) + 1)
    )


def forecast(
    protocol: Protocol, *, items: int, pilot: Pilot | None = None, closed: Sequence[ClosedRound] = ()
) -> Forecast:
    """What the protocol's rounds that are not `closed` will take with a pool of `items`.

    Args:
        closed: the rounds that the study has behind it, from the first on.
    """
    pilot = pilot or Pilot()
    failing = failing_share(protocol, pilot)
    weights = _weights(protocol, pilot, closed)
    mean = sum(weight * value for value, weight in weights.items())
    start, entering = len(closed), closed[-1].survivors if closed else items

    def over(first: int, last: int, protocol: Protocol) -> RoundForecast:
        pilots = [replace(pilot, disagreement=value) for value in weights]
        parts = [_counts(protocol, each, entering, start=start, first=first, last=last) for each in pilots]
        survivors, votes = (_mixed(of_all, list(weights.values())) for of_all in zip(*parts, strict=True))
        return _priced(protocol, last, survivors, votes, rounds=last - first + 1, failing=failing)

    coming = range(start + 1, protocol.rounds + 1)
    longer = protocol.model_copy(update={"rounds": protocol.rounds + 1})
    return Forecast(
        items=items,
        rounds=[over(number, number, protocol) for number in coming],
        total=over(start + 1, protocol.rounds, protocol),
        one_more=None if not protocol.has_filter else over(longer.rounds, longer.rounds, longer),
        failing=failing,
        disagreement=mean,
    )


def _weights(protocol: Protocol, pilot: Pilot, closed: Sequence[ClosedRound]) -> dict[float, float]:
    """How likely each disagreement is after the closed rounds; without any, the pilot's for certain."""
    v = protocol.votes_per_round
    telling = [(number, seen) for number, seen in enumerate(closed, start=1) if seen.entered and number * v > 1]
    if not protocol.has_filter or not telling:
        return {pilot.disagreement: 1.0}
    log_likelihood = np.zeros(len(_GRID))
    for at, value in enumerate(_GRID):
        curve = _agreement(float(value), pilot.lapse, len(closed) * v)
        for number, seen in telling:
            stays = np.clip(curve[number * v] / curve[(number - 1) * v], 1e-12, 1 - 1e-12)
            log_likelihood[at] += seen.survivors * np.log(stays) + (seen.entered - seen.survivors) * np.log1p(-stays)
    weights = np.exp(log_likelihood - log_likelihood.max())
    weights /= weights.sum()
    return {float(value): float(weight) for value, weight in zip(_GRID, weights, strict=True) if weight > 1e-4}


def _counts(
    protocol: Protocol, pilot: Pilot, entering: int, *, start: int, first: int, last: int
) -> tuple[Spread, Spread]:
    """The survivors of round `last`, and the votes in rounds `first` to `last`, of `entering` items that have survived
    `start` rounds."""
    v = protocol.votes_per_round
    if not protocol.has_filter:
        return (float(entering), 0.0), (float(entering * v * (last - first + 1)), 0.0)
    curve = agreement(pilot, last * v) / agreement(pilot, start * v)[-1]
    stays = min(1.0, float(curve[last * v]))  # rounding may leave a hair more
    if protocol.drop == "dissent":  # the n-th vote is cast if the n − 1 before it agree
        cast, each = curve[(first - 1) * v : last * v], 1
    else:  # a whole round is cast if everything before it agrees
        cast, each = curve[(first - 1) * v : last * v : v], v
    votes = each * cast.sum()
    squared = each**2 * ((2 * np.arange(1, len(cast) + 1) - 1) * cast).sum()
    variance = max(0.0, squared - votes**2)
    return (entering * stays, entering * stays * (1 - stays)), (entering * votes, entering * variance)


def _mixed(parts: Sequence[Spread], weights: Sequence[float]) -> Spread:
    """Over values of the disagreement: what each leaves to chance, and how far they are apart."""
    means, variances = np.array([part[0] for part in parts]), np.array([part[1] for part in parts])
    share = np.array(weights) / np.sum(weights)
    mean = float(share @ means)
    return mean, float(share @ variances + share @ (means - mean) ** 2)


def _priced(
    protocol: Protocol,
    number: int,
    survivors: Spread,
    votes: Spread,
    *,
    rounds: int,
    failing: float,
) -> RoundForecast:
    """The last sitting of every round is a short one; after a failing one somebody else sits again."""
    trials = protocol.assignment.trials
    good, spread = _sittings(votes, trials, rounds)
    mean = good / (1 - failing)
    variance = spread / (1 - failing) ** 2 + good * failing / (1 - failing) ** 2
    sittings = _estimate(mean, variance)
    return RoundForecast(
        number=number,
        survivors=_estimate(*survivors),
        votes=_estimate(*votes),
        sittings=sittings,
        hours=_scaled(sittings, protocol.assignment.minutes / 60),
        cost=_scaled(sittings, protocol.pay.reward),
    )


def _sittings(votes: Spread, trials: int, rounds: int) -> Spread:
    """The sittings that fill these votes: one round's ⌈votes / trials⌉, summed over the rounds."""
    mean, variance = votes
    if mean == 0:
        return 0.0, 0.0
    if rounds > 1:  # what is left over at a round's end is anything from one trial to a whole sitting
        return mean / trials + rounds * (trials - 1) / (2 * trials), variance / trials**2 + rounds / 12
    if variance < 1e-9:
        return float(np.ceil(mean / trials - 1e-9)), 0.0
    # P(more than k sittings) = P(more than k · trials votes).
    spread = NormalDist(mean, variance**0.5)
    most = int((mean + 8 * variance**0.5) / trials) + 1
    least = max(0, int((mean - 8 * variance**0.5) / trials) - 1)
    beyond = np.array([1 - spread.cdf(k * trials + 0.5) for k in range(least, most + 1)])
    k = np.arange(least, most + 1)
    expected = least + beyond.sum()
    squared = least**2 + ((2 * k + 1) * beyond).sum()
    return float(expected), float(max(0.0, squared - expected**2))


def _estimate(mean: float, variance: float) -> Estimate:
    """Counts are whole: the interval ends on the nearest ones."""
    reach = _Z * variance**0.5
    return Estimate(mean, max(0.0, float(np.floor(mean - reach + 0.5))), float(np.floor(mean + reach + 0.5)))


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(estimate.mean * factor, estimate.low * factor, estimate.high * factor)
