"""Intervals: reproducible, centred on the estimate, covering the truth."""

from functools import partial
from math import isnan
from typing import Any

import numpy as np
import pytest

from app.domain.agreement import Tally, krippendorff_alpha, pairwise_agreement, two_afc_score
from app.domain.bootstrap import Interval, Votes, cluster_bootstrap

AGREEMENT = {"agreement": pairwise_agreement}


def crowd(
    rng: np.random.Generator, *, items: int = 120, people: int = 25, votes: int = 4, carelessness: float = 0.3
) -> Votes:
    """Items with an answer; people who guess instead, each more or less often."""
    truth = rng.integers(0, 2, size=items)
    guesses = rng.beta(1, 1 / carelessness, size=people)
    item = np.repeat(np.arange(items), votes)
    person = np.concatenate([rng.choice(people, votes, replace=False) for _ in range(items)])
    is_guess = rng.random(item.size) < guesses[person]
    return Votes.of(item, person, np.where(is_guess, rng.integers(0, 2, item.size), truth[item]), items=items)


def test_the_same_seed_gives_the_same_interval() -> None:
    votes = crowd(np.random.default_rng(0))
    first, again, other = (cluster_bootstrap(votes, AGREEMENT, seed=seed, replicates=50) for seed in (1, 1, 2))
    assert first == again != other


def test_the_estimate_is_the_statistic_of_the_votes() -> None:
    votes = crowd(np.random.default_rng(0))
    intervals = cluster_bootstrap(votes, {**AGREEMENT, "alpha": krippendorff_alpha}, seed=1, replicates=20)
    assert intervals["agreement"].estimate == pairwise_agreement(votes.tally())
    assert intervals["alpha"].estimate == krippendorff_alpha(votes.tally())


def test_the_interval_is_made_of_the_replicates_percentiles() -> None:
    seen = []

    def noted(tally: Tally) -> float:
        seen.append(pairwise_agreement(tally))
        return seen[-1]

    votes = crowd(np.random.default_rng(0))
    interval = cluster_bootstrap(votes, {"noted": noted}, seed=1, replicates=101, level=0.9)["noted"]
    *replicates, estimate = seen
    assert len(replicates) == 101
    assert interval == Interval(estimate, *np.quantile(replicates, [0.05, 0.95]))


def test_one_replicate_is_an_interval_of_its_own() -> None:
    interval = cluster_bootstrap(crowd(np.random.default_rng(0)), AGREEMENT, seed=1, replicates=1)["agreement"]
    assert interval.low == interval.high


def test_statistics_with_distances() -> None:
    votes = crowd(np.random.default_rng(0))
    tally = votes.tally()
    score = partial(two_afc_score, distance_0=tally.votes_1, distance_1=tally.votes_0)
    interval = cluster_bootstrap(votes, {"score": score}, seed=1, replicates=200)["score"]
    assert interval.low < interval.estimate == score(tally) < interval.high


def test_whoever_is_drawn_twice_does_not_agree_with_herself() -> None:
    """Were that counted, coin flips on two votes an item would agree in far more than half the resampled pairs."""
    rng = np.random.default_rng(4)
    item = np.repeat(np.arange(4000), 2)
    person = np.concatenate([rng.choice(50, 2, replace=False) for _ in range(4000)])
    votes = Votes.of(item, person, rng.integers(0, 2, item.size), items=4000)
    interval = cluster_bootstrap(votes, AGREEMENT, seed=1, replicates=100, level=0.01)["agreement"]
    assert (interval.low + interval.high) / 2 == pytest.approx(interval.estimate, abs=0.01)


def test_items_with_few_votes_keep_their_share_of_the_mean() -> None:
    """Few-vote items are often left with no pair in a resample; where they are the ones that disagree, as behind a
    filter, leaving them out would move the resamples away from the estimate."""
    split = [(i, (2 * i + j) % 60, j) for i in range(300) for j in range(2)]
    unanimous = [(300 + i, (10 * i + j) % 60, 0) for i in range(300) for j in range(10)]
    interval = cluster_bootstrap(_votes(split + unanimous, 600), AGREEMENT, seed=1, replicates=200, level=0.01)[
        "agreement"
    ]
    assert interval.estimate == pytest.approx(0.5)
    assert (interval.low + interval.high) / 2 == pytest.approx(0.5, abs=0.02)


def _votes(rows: list[tuple[int, int, int]], items: int) -> Votes:
    item, person, choice = (np.array(column) for column in zip(*rows, strict=True))
    return Votes.of(item, person, choice, items=items)


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(5)
    truth = np.mean([pairwise_agreement(crowd(rng, items=4000, people=2000).tally()) for _ in range(5)])
    intervals = [cluster_bootstrap(crowd(rng), AGREEMENT, seed=i, replicates=150)["agreement"] for i in range(60)]
    covered = sum(interval.low <= truth <= interval.high for interval in intervals)
    assert covered >= 55  # of a 95 % interval that errs on the wide side


def test_people_count_as_clusters() -> None:
    """Two people who judge everything alike: the interval knows that more items would not help."""
    rows = [(i, person, (i + (person == 1) * (i % 2)) % 2) for i in range(400) for person in range(4)]
    few = cluster_bootstrap(_votes(rows, 400), AGREEMENT, seed=1, replicates=200)["agreement"]
    spread = [(i, 4 * i + person, choice) for i, person, choice in rows]
    many = cluster_bootstrap(_votes(spread, 400), AGREEMENT, seed=1, replicates=200)["agreement"]
    assert few.estimate == many.estimate
    assert few.high - few.low > 2 * (many.high - many.low)


def test_items_without_votes_are_not_drawn() -> None:
    rows = [(i, person, person % 2) for i in range(10) for person in range(3)]
    alone, among_others = (
        cluster_bootstrap(_votes(rows, items), AGREEMENT, seed=3, replicates=30)["agreement"] for items in (10, 1000)
    )
    assert alone.low == pytest.approx(among_others.low)
    assert alone.high == pytest.approx(among_others.high)


def test_a_statistic_that_is_nowhere_defined() -> None:
    alone = _votes([(0, 7, 1), (1, 7, 0)], 2)
    interval = cluster_bootstrap(alone, AGREEMENT, seed=1, replicates=10)["agreement"]
    assert isinstance(interval, Interval)
    assert isnan(interval.estimate)
    assert isnan(interval.low)
    assert isnan(interval.high)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"item": [0, 1, 2]}, "do not match"),
        ({"item": [0, 5]}, "not from 0 to 1"),
        ({"item": [-1, 1]}, "not from 0 to 1"),
        ({"choice": [0, 2]}, "neither 0 nor 1"),
        ({"choice": [0.0, 1.0]}, "whole numbers"),
        ({"item": [1, 1], "participant": [9, 9]}, "once"),
        ({"item": [[0, 1]]}, "lists"),
    ],
)
def test_what_are_no_votes(given: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Votes.of(**{"item": [0, 1], "participant": [9, 9], "choice": [0, 1], **given}, items=2)


@pytest.mark.parametrize(("replicates", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_no_such_interval(replicates: int, level: float) -> None:
    with pytest.raises(ValueError, match="needs a replicate"):
        cluster_bootstrap(_votes([(0, 1, 1)], 1), AGREEMENT, seed=1, replicates=replicates, level=level)


def test_no_votes() -> None:
    with pytest.raises(ValueError, match="no votes to resample"):
        cluster_bootstrap(Votes.of([], [], [], items=3), AGREEMENT, seed=1)
