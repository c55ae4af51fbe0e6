"""Sides, order and splits."""

import random

from hypothesis import given
from hypothesis import strategies as st

from app.domain.dealing import arrange, draw_key, left_candidate, split_of

seeds = st.integers(0, 2**31 - 1)


@given(seed=seeds, number=st.integers(0, 10**6), votes=st.integers(0, 40))
def test_each_candidate_stands_on_each_side_equally_often(seed: int, number: int, votes: int) -> None:
    on_the_left = sum(left_candidate(seed, number, ordinal) for ordinal in range(1, votes + 1))
    assert abs(2 * on_the_left - votes) <= 1


def test_which_side_comes_first_is_a_fair_coin() -> None:
    first = sum(left_candidate(7, number, 1) for number in range(4000))
    assert 1850 < first < 2150  # ± 4.7 standard deviations


@given(seed=seeds, number=st.integers(0, 10**6), ordinal=st.integers(1, 100))
def test_draw_keys_fit_the_column(seed: int, number: int, ordinal: int) -> None:
    assert 0 <= draw_key(seed, number, ordinal) < 2**31


@given(practice=st.integers(0, 8), pool=st.integers(1, 60), sentinels=st.integers(0, 12), seed=st.integers(0, 1000))
def test_practice_comes_first_and_nothing_is_lost(practice: int, pool: int, sentinels: int, seed: int) -> None:
    trials = [("practice", i) for i in range(practice)]
    main = [("pool", i) for i in range(pool)] + [("sentinel", i) for i in range(sentinels)]
    order = arrange(trials, main[:pool], main[pool:], rng=random.Random(seed))
    assert order[:practice] == trials
    assert sorted(order[practice:]) == sorted(main)
    assert order == arrange(trials, main[:pool], main[pool:], rng=random.Random(seed))


def test_sentinels_are_found_everywhere() -> None:
    places = [
        arrange([], ["pool"] * 9, ["sentinel"], rng=random.Random(seed)).index("sentinel") for seed in range(2000)
    ]
    assert all(140 < places.count(place) < 260 for place in range(10))


def test_splits_are_stable_and_about_80_10_10() -> None:
    splits = [split_of(3, f"{number:064x}") for number in range(20_000)]
    assert splits[:100] == [split_of(3, f"{number:064x}") for number in range(100)]
    shares = [splits.count(split) / len(splits) for split in ("train", "val", "test")]
    assert all(abs(share - wanted) < 0.01 for share, wanted in zip(shares, (0.8, 0.1, 0.1), strict=True))
