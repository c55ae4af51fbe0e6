"""Agreement, ceilings and scores against statsmodels, the krippendorff package, naive loops and sums by hand."""

import csv
from itertools import product
from math import isnan
from pathlib import Path
from time import perf_counter

import krippendorff
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss_kappa

from app.domain.agreement import (
    Tally,
    average_precision,
    expected_false_survivors,
    fleiss_kappa,
    krippendorff_alpha,
    oracle_ceiling,
    pairwise_agreement,
    plug_in_agreement,
    two_afc_score,
)

counts = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)
NIGHTS_LIKE = Tally.of([6, 0, 5, 2, 1, 0, 3], [0, 6, 1, 2, 1, 1, 4])


def tally(votes: list[tuple[int, int]]) -> Tally:
    return Tally.of([zeros for zeros, _ in votes], [ones for _, ones in votes])


def same(ours: float, theirs: float) -> bool:
    return ours == pytest.approx(theirs, abs=1e-9, nan_ok=True)


class TestPairwiseAgreement:
    def test_by_hand(self) -> None:
        # 3 of 4 agree in 3·2 + 1·0 = 6 of 12 ordered pairs; 2 of 2 in both; one vote has no pair.
        votes = Tally.of([3, 2, 1], [1, 0, 0])
        assert pairwise_agreement(votes) == pytest.approx((6 / 12 + 1) / 2, abs=1e-12)
        # With itself: (0.75² + 0.25² + 1 + 1) / 3.
        assert plug_in_agreement(votes) == pytest.approx((0.625 + 1 + 1) / 3, abs=1e-12)
        assert oracle_ceiling(votes) == pytest.approx((0.75 + 1 + 1) / 3, abs=1e-12)

    @settings(deadline=None)
    @given(counts)
    def test_over_every_pair_of_votes(self, votes: list[tuple[int, int]]) -> None:
        shares = []
        for zeros, ones in votes:
            each = [0] * zeros + [1] * ones
            pairs = [(a, b) for a, b in product(range(len(each)), repeat=2) if a != b]
            if pairs:
                shares.append(np.mean([each[a] == each[b] for a, b in pairs]))
        assert same(pairwise_agreement(tally(votes)), float(np.mean(shares)) if shares else np.nan)

    @settings(deadline=None)
    @given(counts)
    def test_ceilings_from_shares(self, votes: list[tuple[int, int]]) -> None:
        shares = np.array([ones / (zeros + ones) for zeros, ones in votes if zeros + ones])
        plug_in, oracle = shares**2 + (1 - shares) ** 2, np.maximum(shares, 1 - shares)
        assert same(plug_in_agreement(tally(votes)), plug_in.mean() if shares.size else np.nan)
        assert same(oracle_ceiling(tally(votes)), oracle.mean() if shares.size else np.nan)

    def test_the_plug_in_is_too_high_by_its_known_bias(self) -> None:
        rng = np.random.default_rng(1)
        n, p = 5, 0.5
        ones = rng.binomial(n, p, size=200_000)
        votes = Tally.of(n - ones, ones)
        assert pairwise_agreement(votes) == pytest.approx(p**2 + (1 - p) ** 2, abs=0.004)
        assert plug_in_agreement(votes) - 0.5 == pytest.approx(2 * p * (1 - p) / n, abs=0.004)

    def test_stopping_at_the_first_dissent_biases_it_and_two_votes_each_do_not(self) -> None:
        rng = np.random.default_rng(2)
        votes = rng.integers(0, 2, size=(50_000, 10))
        has_dissent = (votes != votes[:, :1]).any(axis=1)
        received = np.where(has_dissent, (votes != votes[:, :1]).argmax(axis=1) + 1, 10)
        ones = np.where(np.arange(10) < received[:, None], votes, 0).sum(axis=1)
        first_two = votes[:, :2].sum(axis=1)
        assert pairwise_agreement(Tally.of(received - ones, ones)) == pytest.approx(0.228, abs=0.01)
        assert pairwise_agreement(Tally.of(2 - first_two, first_two)) == pytest.approx(0.5, abs=0.01)


class TestKrippendorff:
    @pytest.mark.parametrize("seed", range(8))
    def test_on_a_matrix_with_missing_votes(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        matrix = (rng.random((9, 30)) < rng.beta(1, 1, size=30)).astype(float)
        matrix[rng.random(matrix.shape) < 0.5] = np.nan
        votes = Tally.of((matrix == 0).sum(axis=0), (matrix == 1).sum(axis=0))
        theirs = krippendorff.alpha(reliability_data=matrix, level_of_measurement="nominal")
        assert same(krippendorff_alpha(votes), float(theirs))

    @settings(deadline=None)
    @given(counts)
    def test_on_counts(self, votes: list[tuple[int, int]]) -> None:
        pairable = np.array([item for item in votes if sum(item) > 1]).reshape(-1, 2)
        ours = krippendorff_alpha(tally(votes))
        if pairable[:, 0].sum() == 0 or pairable[:, 1].sum() == 0:
            assert isnan(ours)
        else:
            assert same(ours, float(krippendorff.alpha(value_counts=pairable, level_of_measurement="nominal")))

    def test_on_a_real_crowds_votes(self, shared: Path) -> None:
        with (shared / "data/material100/triplets.csv").open() as file:
            votes = np.array([(int(row["votes_0"]), int(row["votes_1"])) for row in csv.DictReader(file)])
        pairable = votes[votes.sum(axis=1) > 1]
        theirs = krippendorff.alpha(value_counts=pairable, level_of_measurement="nominal")
        assert same(krippendorff_alpha(Tally.of(votes[:, 0], votes[:, 1])), float(theirs))

    def test_by_hand(self) -> None:
        # Two people, four items: 00, 11, 11, 01. o01 = 1; n0 = 3, n1 = 5, n = 8: α = 1 − 7 · 1 / 15.
        assert krippendorff_alpha(Tally.of([2, 0, 0, 1], [0, 2, 2, 1])) == pytest.approx(1 - 7 / 15, abs=1e-12)

    def test_it_depends_on_how_candidates_are_numbered(self) -> None:
        rng = np.random.default_rng(9)
        favourite = rng.binomial(3, 0.8, size=20_000)
        is_swapped = rng.random(favourite.size) < 0.5
        ones = np.where(is_swapped, favourite, 3 - favourite)
        by_favour, at_random = Tally.of(favourite, 3 - favourite), Tally.of(3 - ones, ones)
        assert pairwise_agreement(by_favour) == pairwise_agreement(at_random)
        assert krippendorff_alpha(by_favour) == pytest.approx(0, abs=0.02)
        assert krippendorff_alpha(at_random) == pytest.approx(2 * pairwise_agreement(at_random) - 1, abs=0.02)

    def test_single_votes_change_nothing(self) -> None:
        assert krippendorff_alpha(Tally.of([2, 1, 1], [1, 2, 0])) == krippendorff_alpha(Tally.of([2, 1], [1, 2]))


class TestFleiss:
    @pytest.mark.parametrize("m", [2, 3, 10])
    def test_is_statsmodels(self, m: int) -> None:
        rng = np.random.default_rng(m)
        ones = rng.binomial(m, rng.beta(1, 2, size=60))
        theirs = statsmodels_fleiss_kappa(np.stack([m - ones, ones], axis=1), method="fleiss")
        assert same(fleiss_kappa(Tally.of(m - ones, ones)), float(theirs))

    def test_by_hand(self) -> None:
        # Items 3:0, 0:3, 2:1. P̄ = (1 + 1 + 1/3) / 3 = 7/9; p₀ = 5/9: P_e = (25 + 16) / 81.
        p_e = 41 / 81
        assert fleiss_kappa(Tally.of([3, 0, 2], [0, 3, 1])) == pytest.approx((7 / 9 - p_e) / (1 - p_e), abs=1e-12)

    @pytest.mark.parametrize(
        ("votes_0", "votes_1", "listed"),
        [([2, 3], [1, 1], "3, 4"), ([1, 0], [0, 1], "1"), ([], [], "no"), (range(9), [1] * 9, "1, 2, 3, 4, 5, …")],
    )
    def test_needs_equal_numbers(self, votes_0: npt.ArrayLike, votes_1: npt.ArrayLike, listed: str) -> None:
        votes = Tally.of(list(votes_0), list(votes_1))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=f"there are items with {listed} votes"):
            fleiss_kappa(votes)


class TestTwoAfcScore:
    def test_by_hand(self) -> None:
        votes = Tally.of([3, 1, 2, 0], [1, 3, 2, 0])
        # Right with 3/4, right with 3/4, equally near: ½; the last has no votes.
        assert two_afc_score(votes, [0.1, 0.9, 0.4, 0.1], [0.2, 0.3, 0.4, 0.2]) == pytest.approx(2 / 3, abs=1e-12)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), *[st.integers(0, 3)] * 2), min_size=1, max_size=12))
    def test_the_references_formula(self, items: list[tuple[int, int, int, int]]) -> None:
        terms = []
        for zeros, ones, d0, d1 in items:
            if zeros + ones:
                p = ones / (zeros + ones)
                terms.append((d0 < d1) * (1 - p) + (d1 < d0) * p + 0.5 * (d0 == d1))
        votes = tally([item[:2] for item in items])
        ours = two_afc_score(votes, [item[2] for item in items], [item[3] for item in items])
        assert same(ours, float(np.mean(terms)) if terms else np.nan)

    def test_an_oracle_reaches_its_ceiling(self) -> None:
        d0, d1 = NIGHTS_LIKE.votes_1, NIGHTS_LIKE.votes_0
        assert same(two_afc_score(NIGHTS_LIKE, d0, d1), oracle_ceiling(NIGHTS_LIKE))

    @pytest.mark.parametrize(
        ("distance", "match"),
        [([0.1], "7 items"), ([[0.1] * 7], "shape"), ([np.nan] * 7, "finite"), ([np.inf] * 7, "finite")],
    )
    def test_bad_distances(self, distance: npt.ArrayLike, match: str) -> None:
        with pytest.raises(ValueError, match=match):
            two_afc_score(NIGHTS_LIKE, distance, [0.5] * 7)
        with pytest.raises(ValueError, match=match):
            average_precision(NIGHTS_LIKE, distance)


def published_average_precision(distance: npt.NDArray[np.float64], share_same: npt.NDArray[np.float64]) -> float:
    """AP = Σ ΔR_k · max_{j≥k} P_j over single pairs in order of distance: loops, ties in the order given."""
    order = sorted(range(len(distance)), key=lambda pair: distance[pair])
    true, false, precisions, recalls = 0.0, 0.0, [], [0.0]
    for pair in order:
        true += share_same[pair]
        false += 1 - share_same[pair]
        precisions.append(true / (true + false))
        recalls.append(true / share_same.sum())
    return float(sum((recalls[k + 1] - recalls[k]) * max(precisions[k:]) for k in range(len(order))))


class TestAveragePrecision:
    @pytest.mark.parametrize("seed", range(6))
    def test_without_ties_it_is_the_published_number(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = rng.integers(1, 6, size=50)
        different = rng.binomial(n, rng.random(50))
        distance = rng.permutation(50) / 50
        ours = average_precision(Tally.of(n - different, different), distance)
        assert ours == pytest.approx(published_average_precision(distance, 1 - different / n), abs=1e-9)

    def test_by_hand(self) -> None:
        # Shares of "same" 1, 0, ½ at distances 1, 2, 3: precision 1, ½, ½; recall ⅔, ⅔, 1. AP = ⅔ · 1 + ⅓ · ½.
        votes = Tally.of([2, 0, 1], [0, 2, 1])
        assert average_precision(votes, [1, 2, 3]) == pytest.approx(2 / 3 + 1 / 6, abs=1e-12)

    def test_a_tie_by_hand(self) -> None:
        # The first two enter together: precision ½ and recall ⅔, then ½ and 1.
        votes = Tally.of([2, 0, 1], [0, 2, 1])
        assert average_precision(votes, [1, 1, 3]) == pytest.approx(1 / 2, abs=1e-12)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=10))
    def test_the_order_of_the_file_does_not_matter(self, items: list[tuple[int, int, int]]) -> None:
        def score(items: list[tuple[int, int, int]]) -> float:
            return average_precision(tally([item[:2] for item in items]), [item[2] for item in items])

        assert same(score(items), score(items[::-1]))
        assert same(score(items), score(sorted(items)))

    def test_one_tie_of_everything_is_the_share_of_same(self) -> None:
        votes = Tally.of([3, 0, 2], [1, 4, 2])
        assert average_precision(votes, [7, 7, 7]) == pytest.approx((0.75 + 0 + 0.5) / 3, abs=1e-12)

    def test_edges(self) -> None:
        assert isnan(average_precision(Tally.of([0, 0], [3, 2]), [1, 2]))
        assert isnan(average_precision(Tally.of([], []), []))
        # Pairs without votes are not there, the nearest and the furthest included.
        with_gaps = average_precision(Tally.of([0, 2, 0, 1, 0], [0, 0, 2, 1, 0]), [0, 1, 2, 3, 4])
        assert with_gaps == pytest.approx(2 / 3 + 1 / 6, abs=1e-12)


class TestWeights:
    """A resample's tally against loops over single votes with their participants' and items' weights."""

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 10**6))
    def test_pairs_are_of_different_people(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        items, people = 6, 5
        given = rng.random((items, people)) < 0.7
        choice = rng.integers(0, 2, size=(items, people))
        times, weight = rng.integers(0, 3, size=people), rng.integers(0, 3, size=items)
        sums = [np.where(given & (choice == c), times, 0).sum(axis=1).astype(float) for c in (0, 1)]
        squares = np.where(given, times**2, 0).sum(axis=1).astype(float)
        received = given.sum(axis=1).astype(float)
        resample = Tally(sums[0], sums[1], squares, received, weight.astype(float))

        agree = total = disagree_alpha = total_alpha = 0.0
        values: list[tuple[int, float, tuple[int, int]]] = []
        for i in range(items):
            voters = np.flatnonzero(given[i])
            if len(voters) < 2:
                continue
            values += [(choice[i, a], float(weight[i] * times[a]), (i, int(a))) for a in voters]
            for a, b in product(voters, repeat=2):
                if a != b:
                    mass = weight[i] * times[a] * times[b]
                    agree += mass * (choice[i, a] == choice[i, b]) / (len(voters) * (len(voters) - 1))
                    total += mass / (len(voters) * (len(voters) - 1))
                    disagree_alpha += mass * (choice[i, a] != choice[i, b]) / (len(voters) - 1)
                    total_alpha += mass / (len(voters) - 1)
        assert same(pairwise_agreement(resample), agree / total if total else np.nan)

        by_chance = [(u * v, c != d) for (c, u, one), (d, v, other) in product(values, repeat=2) if one != other]
        expected_disagreement = sum(mass for mass, differ in by_chance if differ)
        if expected_disagreement and total_alpha:
            expected_disagreement /= sum(mass for mass, _ in by_chance)
            alpha = 1 - disagree_alpha / total_alpha / expected_disagreement
            assert same(krippendorff_alpha(resample), alpha)


class TestTally:
    @pytest.mark.parametrize(
        ("votes_0", "votes_1", "match"),
        [
            ([1, 2], [1], "2 items and votes_1 1"),
            ([-1], [1], "whole numbers"),
            ([0.5], [1], "whole numbers"),
            ([np.nan], [1], "whole numbers"),
            ([np.inf], [1], "whole numbers"),
            ([[1]], [[1]], "shape"),
        ],
    )
    def test_what_are_no_counts(self, votes_0: npt.ArrayLike, votes_1: npt.ArrayLike, match: str) -> None:
        with pytest.raises(ValueError, match=match):
            Tally.of(votes_0, votes_1)

    @pytest.mark.parametrize("votes", [Tally.of([], []), Tally.of([0, 0], [0, 0])])
    def test_no_votes(self, votes: Tally) -> None:
        zeros = np.zeros_like(votes.received)
        assert isnan(pairwise_agreement(votes))
        assert isnan(plug_in_agreement(votes))
        assert isnan(oracle_ceiling(votes))
        assert isnan(krippendorff_alpha(votes))
        assert isnan(two_afc_score(votes, zeros, zeros))
        assert isnan(average_precision(votes, zeros))

    def test_one_vote_each(self) -> None:
        votes = Tally.of([1, 0], [0, 1])
        assert isnan(pairwise_agreement(votes))
        assert isnan(krippendorff_alpha(votes))
        assert plug_in_agreement(votes) == oracle_ceiling(votes) == 1

    def test_all_votes_the_same(self) -> None:
        votes = Tally.of([4, 4], [0, 0])
        assert pairwise_agreement(votes) == 1
        assert isnan(krippendorff_alpha(votes))
        assert isnan(fleiss_kappa(votes))

    def test_a_hundred_thousand_items_take_no_time(self) -> None:
        rng = np.random.default_rng(3)
        ones = rng.binomial(5, 0.6, size=100_000)
        votes = Tally.of(5 - ones, ones)
        d0, d1 = rng.random((2, ones.size))
        started = perf_counter()
        for statistic in (pairwise_agreement, plug_in_agreement, oracle_ceiling, krippendorff_alpha, fleiss_kappa):
            statistic(votes)
        two_afc_score(votes, d0, d1)
        average_precision(votes, d0)
        assert perf_counter() - started < 2


def test_expected_false_survivors() -> None:
    assert expected_false_survivors(100_000, 6) == 3125
    assert expected_false_survivors(100_000, 1) == 100_000
    assert expected_false_survivors(0, 10) == 0
    for items, votes in ((-1, 3), (10, 0)):
        with pytest.raises(ValueError, match="false survivors"):
            expected_false_survivors(items, votes)
