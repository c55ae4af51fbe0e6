"""Signals of sittings made by hand, against other implementations, and what the rules make of them."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, median_abs_deviation
from statsmodels.stats.inter_rater import cohens_kappa

from app.domain.protocol import Protocol
from app.domain.quality import (
    DIFFERENT,
    FEWEST_COMPARABLE,
    SAME,
    Answered,
    Count,
    Role,
    Signals,
    peer_agreement,
    response_times,
    side_bias_p_value,
    signals,
)
from app.domain.quality_rules import QualityRules, verdict

RULES = Protocol().quality_rules
GOOD_TIMING = {"onset_ms": 1000.0, "answered_ms": 2000.0}


def pool(choice: int = 0, **given: Any) -> Answered:
    return Answered("2afc", "pool", choice, **{"left_candidate": 0, "rt_ms": 900.0, "timing": GOOD_TIMING, **given})


def sentinel(is_right: bool, **given: Any) -> Answered:
    return replace(pool(0 if is_right else 1, **given), role="sentinel", answer=0)


def jnd(choice: int, truth: int | None = None, **given: Any) -> Answered:
    role: Role = "pool" if truth is None else "sentinel"
    return Answered("jnd", role, choice, answer=truth, **{"rt_ms": 900.0, "timing": GOOD_TIMING, **given})


def careful_sitting(trials: int = 50) -> list[Answered]:
    """Somebody with human times, no leaning to a side, nine sentinels of ten, and others who agree."""
    rng = random.Random(7)
    answers = [pool(i % 2, left_candidate=i // 2 % 2, others=(0, 3) if i % 2 else (3, 0)) for i in range(trials)]
    answers += [sentinel(i > 0, left_candidate=i % 2) for i in range(10)]
    return [replace(answer, rt_ms=rng.lognormvariate(7, 0.5)) for answer in answers]


def names(answers: list[Answered], rules: QualityRules = RULES) -> list[str]:
    return [finding.name for finding in verdict(signals(answers), rules)]


def sentence(answers: list[Answered], name: str, rules: QualityRules = RULES) -> str:
    return next(finding.sentence for finding in verdict(signals(answers), rules) if finding.name == name)


class TestAttention:
    def test_misses_of_2afc_sentinels(self) -> None:
        answers = [*(sentinel(True) for _ in range(7)), *(sentinel(False) for _ in range(3)), pool(), pool(1, answer=0)]
        assert signals(answers).sentinel_misses == Count(3, 10)
        assert signals(answers).hits == signals(answers).false_alarms == Count(0, 0)

    def test_as_many_misses_as_are_allowed_and_one_more(self) -> None:
        allowed = [sentinel(True)] * 9 + [sentinel(False)]
        assert "sentinel_misses" not in names(allowed)
        assert sentence([*allowed, sentinel(False)], "sentinel_misses") == (
            "Missed 2 of 11 attention checks; 1 may be missed."
        )

    def test_jnd_sentinels_of_both_kinds_are_scored_apart(self) -> None:
        answers = [
            *(jnd(DIFFERENT, DIFFERENT) for _ in range(6)),
            *(jnd(SAME, DIFFERENT) for _ in range(2)),
            *(jnd(SAME, SAME) for _ in range(29)),
            *(jnd(DIFFERENT, SAME) for _ in range(3)),
            *(jnd(DIFFERENT) for _ in range(5)),
        ]
        found = signals(answers)
        assert (found.hits, found.false_alarms) == (Count(6, 8), Count(3, 32))
        assert found.sentinel_misses == Count(0, 0)
        assert sentence(answers, "sentinel_misses") == (
            'Said "same" of 2 of 8 clearly different pairs; 1 may be missed.'
        )
        assert "false_alarms" not in names(answers)

    def test_always_same_is_found_though_it_is_right_on_most_sentinels(self) -> None:
        answers = [jnd(SAME, SAME)] * 32 + [jnd(SAME, DIFFERENT)] * 8
        assert "sentinel_misses" in names(answers)

    def test_always_different_is_found(self) -> None:
        answers = [jnd(DIFFERENT, SAME)] * 5 + [jnd(DIFFERENT, DIFFERENT)] * 5
        assert sentence(answers, "false_alarms") == 'Said "different" of 5 of 5 identical pairs; 2 are allowed.'
        assert "false_alarms" not in names([jnd(DIFFERENT, SAME)] * 2 + [jnd(SAME, SAME)] * 3)

    @pytest.mark.parametrize(("sentinels", "allowed"), [(0, 1), (1, 1), (2, 1), (5, 2), (10, 4), (32, 12)])
    def test_false_alarms_allowed(self, sentinels: int, allowed: int) -> None:
        assert RULES.false_alarms_allowed(sentinels) == allowed

    def test_an_allowance_is_not_lost_to_rounding(self) -> None:
        assert replace(RULES, false_alarm_share_allowed=0.29).false_alarms_allowed(100) == 29

    def test_an_instruction_not_followed(self) -> None:
        instructed = [replace(pool(choice, answer=0), role="instruction") for choice in (0, 1)]
        assert signals(instructed).instruction_misses == Count(1, 2)
        assert (
            sentence(instructed, "instruction_misses") == "Did not follow 1 of 2 instructed answers; 0 may be missed."
        )
        assert signals(instructed).left == Count(0, 0)

    def test_practice_counts_for_nothing(self) -> None:
        practice = [
            replace(answer, role="practice") for answer in [sentinel(False), pool(rt_ms=-1), jnd(SAME, DIFFERENT)]
        ]
        assert signals(practice) == signals([])


class TestSideBias:
    @pytest.mark.parametrize("of", [1, 2, 3, 10, 37, 60, 250])
    def test_p_is_scipys(self, of: int) -> None:
        for left in range(of + 1):
            assert side_bias_p_value(left, of) == pytest.approx(binomtest(left, of).pvalue, rel=1e-9)

    def test_p_of_nothing_and_of_very_much(self) -> None:
        assert side_bias_p_value(0, 0) == 1
        assert side_bias_p_value(2500, 5000) == 1
        assert side_bias_p_value(0, 5000) == 0.0

    def test_by_hand(self) -> None:
        # Of 2^5 = 32 sequences, one has no left and one is all left.
        assert side_bias_p_value(5, 5) == 2 / 32
        assert side_bias_p_value(1, 5) == 2 * (1 + 5) / 32

    @pytest.mark.parametrize(("left", "of"), [(37, 50), (67, 100), (152, 250)])
    def test_the_smallest_counts_below_one_in_a_thousand(self, left: int, of: int) -> None:
        assert side_bias_p_value(left, of) < 0.001 <= side_bias_p_value(left - 1, of)

    @pytest.mark.parametrize(("left", "of"), [(-1, 5), (6, 5), (1, 0)])
    def test_impossible_counts(self, left: int, of: int) -> None:
        with pytest.raises(ValueError, match="cannot be on the left"):
            side_bias_p_value(left, of)

    def test_the_side_is_the_screens_not_the_candidates(self) -> None:
        answers = [pool(i % 2, left_candidate=i % 2) for i in range(20)]
        assert signals(answers).left == Count(20, 20)
        assert sentence(answers, "side_bias").startswith("Chose the left image in 20 of 20 trials; without")
        assert "1.9e-06" in sentence(answers, "side_bias")

    def test_right_is_a_side_too(self) -> None:
        assert "side_bias" in names([pool(1)] * 20)

    def test_where_the_side_is_unknown_it_does_not_count(self) -> None:
        assert signals([pool(left_candidate=None)] * 50).left == Count(0, 0)

    def test_jnd_has_no_sides(self) -> None:
        found = signals([jnd(SAME, left_candidate=0)] * 50)
        assert (found.left, found.side_bias_p) == (Count(0, 0), None)


class TestResponseTimes:
    def test_by_hand(self) -> None:
        # Median 1000; deviations 900, 850, 500, 0, 0, 500, 31 000: MAD 500; slow above 1000 + 5 · 500.
        times = response_times([100, 150, 500, 1000, 1000, 1500, 32_000])
        assert times is not None
        assert times.median == 1000
        assert times.fast == Count(2, 7)
        assert times.slow == Count(1, 7)
        assert times.repeated == Count(2, 7)
        assert times.variation == pytest.approx(1.4826 * 500 / 1000, abs=1e-12)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40))
    def test_the_middle_and_the_spread_are_scipys(self, values: list[float]) -> None:
        times = response_times(values)
        assert times is not None
        assert times.median == pytest.approx(np.median(values))
        assert times.variation == pytest.approx(1.4826 * median_abs_deviation(values) / np.median(values))

    def test_over_thirty_seconds_is_slow_whatever_the_median(self) -> None:
        times = response_times([29_000, 30_000, 31_000, 10_000, 60_000])
        assert times is not None
        assert times.slow == Count(2, 5)

    @pytest.mark.parametrize(("last", "slow"), [(1500.0, 0), (1501.0, 1)])
    def test_five_deviations_above_the_median_are_not_yet_slow(self, last: float, slow: int) -> None:
        times = response_times([900.0, 900.0, 1000.0, 1100.0, last])
        assert times is not None
        assert times.slow == Count(slow, 5)

    def test_no_time_is_slow_beside_equal_ones(self) -> None:
        times = response_times([700] * 9 + [900])
        assert times is not None
        assert times.slow == Count(0, 10)

    def test_edges(self) -> None:
        assert response_times([]) is None
        nothing = response_times([0.0, 0.0])
        assert nothing is not None
        assert nothing.variation is None
        assert nothing.fast == Count(2, 2)
        one = response_times([640.0])
        assert one is not None
        assert (one.median, one.variation, one.repeated) == (640, 0, Count(1, 1))

    def test_a_trial_with_two_questions_has_one_time(self) -> None:
        found = signals(
            [jnd(SAME, question=question, rt_ms=800.0 + trial) for trial in range(3) for question in (0, 1)]
        )
        assert found.response_times is not None
        assert found.response_times.repeated == Count(1, 3)
        assert found.suspect == Count(0, 3)

    def test_a_time_during_which_the_page_was_hidden_is_none(self) -> None:
        hidden = pool(rt_ms=25_000.0, timing={**GOOD_TIMING, "hidden": True})
        found = signals([pool(), hidden])
        assert found.response_times is not None
        assert found.response_times.slow.of == 1
        assert found.timing_flagged == Count(1, 2)

    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            ([150.0, 900.0, 1400.0, 2100.0] * 10, "fast_answers"),
            ([600.0, 900.0, 1300.0, 31_000.0] * 10, "slow_answers"),
            ([500.0] * 21 + [float(1000 + 37 * i) for i in range(19)], "repeated_times"),
            ([500.0 + i / 2 for i in range(40)], "constant_times"),
        ],
    )
    def test_findings_about_times(self, times: list[float], expected: str) -> None:
        answers = [pool(i % 2, rt_ms=time) for i, time in enumerate(times)]
        assert expected in names(answers)
        assert expected not in names(answers[:19])

    def test_their_sentences(self) -> None:
        answers = [pool(i % 2, rt_ms=150.0 + i % 3) for i in range(30)]
        assert sentence(answers, "fast_answers") == "Answered 30 of 30 trials in under 200 ms."
        assert sentence(answers, "constant_times") == (
            "Response times vary by 1.0 % around their median of 151 ms; people's usually vary by 20 % or more."
        )


class TestPeerAgreement:
    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 4)), min_size=FEWEST_COMPARABLE, max_size=60
        )
    )
    def test_is_cohens_kappa_with_the_others_majority(self, answers: list[tuple[int, int, int]]) -> None:
        found = peer_agreement([jnd(choice, others=(zeros, ones)) for choice, zeros, ones in answers])
        table = np.zeros((2, 2))
        for choice, zeros, ones in answers:
            if zeros != ones:
                table[choice, 0 if zeros > ones else 1] += 1
        if table.sum() < FEWEST_COMPARABLE:
            assert found is None
            return
        assert found is not None
        assert found.agreed == Count(int(table[0, 0] + table[1, 1]), int(table.sum()))
        if found.kappa is None:
            assert max(table[0, 0], table[1, 1]) == table.sum()
        else:
            assert found.kappa == pytest.approx(cohens_kappa(table, return_results=False), abs=1e-9)

    def test_by_hand(self) -> None:
        # Both say 1 in half of 20 cases, so chance gives ½; they agree in 15: (0.75 − 0.5) / (1 − 0.5).
        cases = [(0, (2, 0))] * 7 + [(0, (0, 1))] * 3 + [(1, (0, 3))] * 8 + [(1, (4, 1))] * 2
        found = peer_agreement([jnd(choice, others=others) for choice, others in cases])
        assert found is not None
        theirs_1 = 11 / 20
        assert found.agreed == Count(15, 20)
        assert found.expected == pytest.approx(0.5 * theirs_1 + 0.5 * (1 - theirs_1))
        assert found.kappa == pytest.approx(0.5)

    def test_ties_and_items_nobody_else_judged_do_not_count(self) -> None:
        assert peer_agreement([pool(0, others=(0, 0)), pool(0, others=(2, 2))] * 50) is None

    def test_sentinels_do_not_count(self) -> None:
        assert signals([sentinel(True, others=(5, 0))] * 30).agreement is None

    def test_a_guesser_is_found_and_a_dissenter_more_so(self) -> None:
        guesses = [pool(i % 2, others=(3, 0) if i // 2 % 2 else (0, 3)) for i in range(40)]
        assert sentence(guesses, "no_agreement") == (
            "Agrees with the majority of the others on 20 of 40 items, where chance alone gives 50 % (kappa 0.00)."
        )
        assert "no_agreement" in names([pool(i % 2, others=(3, 0) if i % 2 else (0, 3)) for i in range(40)])
        assert "no_agreement" not in names(guesses[:19])

    def test_in_2afc_chance_is_one_half_however_candidates_are_numbered(self) -> None:
        """Sides are drawn: where everybody prefers candidate 0, a careful person is no less careful."""
        swapped = [pool(i % 2, others=(3, 0) if i % 2 == (i < 4) else (0, 3)) for i in range(40)]
        numbered = [pool(int(i < 4), others=(3, 0)) for i in range(40)]
        for answers in (swapped, numbered):
            found = peer_agreement(answers)
            assert found is not None
            assert (found.expected, found.kappa) == (0.5, pytest.approx(0.8))
        assert "no_agreement" not in names(numbered)

    def test_all_the_same_on_both_sides_says_nothing_in_jnd(self) -> None:
        answers = [jnd(SAME, others=(3, 0)) for i in range(40)]
        agreement = signals(answers).agreement
        assert agreement is not None
        assert agreement.kappa is None
        assert "no_agreement" not in names(answers)


class TestRecords:
    @pytest.mark.parametrize(
        "given",
        [
            {"rt_ms": None},
            {"rt_ms": float("nan")},
            {"rt_ms": -3.0},
            {"rt_ms": 1e300},
            {"rt_ms": float("inf")},
            {"timing": None},
            {"timing": {"onset_ms": -5}},
            {"timing": {"frames": 9000}},
            {"suspect": True},
        ],
    )
    def test_absurd_records_are_suspect_and_crash_nothing(self, given: dict[str, Any]) -> None:
        assert signals([pool(), pool(**given)]).suspect == Count(1, 2)

    def test_absurd_response_times_are_in_no_statistic(self) -> None:
        found = signals([pool(rt_ms=rt) for rt in (500.0, None, float("nan"), -1.0, 1e300)])
        assert found.response_times is not None
        assert found.response_times.fast == Count(0, 1)

    def test_their_findings(self) -> None:
        answers = [pool(i % 2, timing=None if i < 5 else {"flags": ["late"]}) for i in range(24)]
        assert sentence(answers, "timing_flags") == "The page flagged the timing of 19 of 24 trials."
        assert sentence(answers, "suspect_records") == (
            "The timing records of 5 of 24 trials are missing or cannot be true."
        )

    anything = st.builds(
        Answered,
        kind=st.sampled_from(["2afc", "jnd"]),
        role=st.sampled_from(["pool", "practice", "sentinel", "instruction"]),
        choice=st.integers(0, 1),
        answer=st.none() | st.integers(0, 1),
        left_candidate=st.none() | st.integers(0, 1),
        question=st.integers(0, 1),
        rt_ms=st.none() | st.floats(),
        timing=st.none() | st.dictionaries(st.sampled_from(["a_ms", "frames", "flags"]), st.floats() | st.none()),
        suspect=st.booleans(),
        others=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    )

    @settings(max_examples=80, deadline=None)
    @given(st.lists(anything, max_size=50))
    def test_no_answers_crash_it(self, answers: list[Answered]) -> None:
        found = signals(answers)
        verdict(found, replace(RULES, fewest_answers=0))
        assert found.suspect.of == found.timing_flagged.of
        assert all(0 <= count.count <= count.of for count in vars(found).values() if isinstance(count, Count))


class TestVerdict:
    def test_a_careful_sitting_has_no_findings(self) -> None:
        assert names(careful_sitting()) == []

    def test_nothing_was_answered(self) -> None:
        none = Count(0, 0)
        assert signals([]) == Signals(
            sentinel_misses=none,
            hits=none,
            false_alarms=none,
            instruction_misses=none,
            left=none,
            side_bias_p=None,
            response_times=None,
            agreement=None,
            timing_flagged=none,
            suspect=none,
        )
        assert names([]) == []
        assert names([], replace(RULES, fewest_answers=0)) == []

    @pytest.mark.parametrize(
        ("threshold", "times", "timing"),
        [
            ({"fast_share": 0.25}, [150.0, 600.0, 900.0, 1400.0], GOOD_TIMING),
            ({"slow_share": 0.25}, [600.0, 900.0, 1400.0, 40_000.0], GOOD_TIMING),
            ({"repeated_share": 0.25}, [600.0, 900.0, 1400.0, 2000.0], GOOD_TIMING),
            ({"timing_flagged_share": 1.0}, [600.0, 900.0, 1400.0, 2000.0], {"flags": ["late"]}),
            ({"suspect_share": 1.0}, [600.0, 900.0, 1400.0, 2000.0], None),
        ],
    )
    def test_a_share_is_found_only_above_its_threshold(
        self, threshold: dict[str, float], times: list[float], timing: dict[str, Any] | None
    ) -> None:
        answers = [pool(i % 2, rt_ms=times[i // 2 % 4], timing=timing) for i in range(40)]
        tolerant = replace(RULES, timing_flagged_share=1.0, suspect_share=1.0)
        assert names(answers, replace(tolerant, **threshold)) == []
        (name,) = threshold
        if threshold[name] < 1:
            assert len(names(answers, replace(tolerant, **{name: threshold[name] - 0.01}))) == 1
        else:
            assert len(names(answers, replace(tolerant, **{name: 0.99}))) == 1

    def test_thresholds_of_p_variation_and_kappa(self) -> None:
        left = [pool(0, left_candidate=0, rt_ms=500.0 * (1 + i)) for i in range(5)]
        assert names(left, replace(RULES, side_bias_p=2 / 32)) == []
        assert names(left, replace(RULES, side_bias_p=2 / 31)) == ["side_bias"]
        found = response_times([900.0, 1000.0, 1100.0] * 10)
        assert found is not None
        assert found.variation is not None
        answers = [pool(i % 2, rt_ms=(900.0, 1000.0, 1100.0)[i // 2 % 3]) for i in range(30)]
        assert names(answers, replace(RULES, time_variation=found.variation)) == []
        assert names(answers, replace(RULES, time_variation=found.variation + 1e-6)) == ["constant_times"]

    def test_findings_come_one_per_rule_in_a_fixed_order(self) -> None:
        bot = [pool(0, rt_ms=150.0, timing=None, others=(1, 2) if i % 2 else (2, 1)) for i in range(50)]
        assert names([*bot, sentinel(False), sentinel(False)]) == [
            "sentinel_misses",
            "side_bias",
            "fast_answers",
            "repeated_times",
            "constant_times",
            "no_agreement",
            "suspect_records",
        ]

    def test_every_sentence_has_its_numbers(self) -> None:
        bot = [pool(0, rt_ms=150.0, timing=None, others=(1, 2) if i % 2 else (2, 1)) for i in range(50)]
        findings = verdict(signals([*bot, sentinel(False), sentinel(False)]), RULES)
        assert all(any(letter.isdigit() for letter in finding.sentence) for finding in findings)

    def test_several_sittings_may_miss_what_each_may(self) -> None:
        answers = [*careful_sitting(), *careful_sitting()]
        assert names(answers) == ["sentinel_misses"]
        assert names(answers, RULES.for_sittings(2)) == []
