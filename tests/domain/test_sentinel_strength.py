"""Whom sentinels let through, against every answer that there is."""

from itertools import product

import pytest

from app.domain import protocol as protocols
from app.domain.protocol import Protocol
from app.domain.sentinel_strength import passing_shares, weakness


def protocol(preset: str, sentinels: int, allowed: int, **overrides: str) -> Protocol:
    numbers = {"assignment.sentinels": str(sentinels), "assignment.sentinel_misses_allowed": str(allowed)}
    return protocols.load(
        preset, overrides=numbers | {f"assignment.{name}": value for name, value in overrides.items()}
    )


@pytest.mark.parametrize(("sentinels", "allowed"), [(0, 0), (1, 0), (3, 1), (4, 1), (10, 1), (9, 4)])
def test_of_two_candidates_half_of_all_answers_are_right(sentinels: int, allowed: int) -> None:
    every = list(product((0, 1), repeat=sentinels))
    passing = sum(sum(wrong) <= allowed for wrong in every) / len(every)
    shares = passing_shares(protocol("nights-2afc", sentinels, allowed))
    assert list(shares.values()) == [pytest.approx(passing)]


def test_three_of_which_one_may_be_missed_let_half_through() -> None:
    assert weakness(protocol("nights-2afc", 3, 1)) == (
        "50% of those who answer at random or always press the same side pass 3 sentinels, of which 1 may be missed. "
        "With 8 sentinels it would be 4% at most."
    )
    assert weakness(protocol("nights-2afc", 8, 1)) is None
    assert weakness(protocol("nights-2afc", 200, 150)) is not None


def test_none_are_passed_by_everybody() -> None:
    assert str(weakness(protocol("bapps-2afc", 0, 0))).startswith(
        "100% of those who answer at random or always press the same side pass for want of sentinels. With 5 "
    )


def test_pairs_are_passed_by_who_says_the_same_of_all_where_one_kind_is_missing() -> None:
    """One pair: of three sentinels two are different, and one identical pair may always be called different."""
    one_pair = passing_shares(protocol("bapps-jnd", 3, 1, same_sentinels="1"))
    assert one_pair == {
        "answer at random": pytest.approx(0.75),
        "always say “same”": 0,
        "always say “different”": 1,
    }
    two_pairs = passing_shares(protocol("nights-jnd", 3, 1))
    assert two_pairs["answer at random"] == pytest.approx(0.25)
    assert (two_pairs["always say “same”"], two_pairs["always say “different”"]) == (0, 0)


@pytest.mark.parametrize("preset", protocols.preset_names())
def test_nothing_is_said_against_presets(preset: str) -> None:
    assert weakness(protocols.load(preset)) is None
