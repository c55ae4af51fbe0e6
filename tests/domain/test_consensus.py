"""The unanimity filter against a naive oracle, over random histories."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.consensus import ItemState, Rule, item_state, outcome
from tests.support.oracle import NaiveItem, NaiveVote, naive_outcome, naive_state

rules = st.builds(
    Rule,
    rounds=st.integers(1, 10),
    votes_per_round=st.integers(1, 4),
    min_votes=st.integers(1, 12),
    drop=st.sampled_from(["dissent", "round_end", "none"]),
)
# Mostly agreeing votes, as in life: a coin-flip crowd would drop everything in its first round.
choices = st.sampled_from([0, 0, 0, 0, 0, 1])
votes = st.builds(NaiveVote, assignment=st.integers(0, 5), choice=choices, late=st.sampled_from([False] * 5 + [True]))
exclusions = st.sets(st.integers(0, 5), max_size=3)


@settings(max_examples=3000, deadline=None)
@given(history=st.lists(votes, max_size=25), excluded=exclusions, rule=rules, round_number=st.integers(1, 10))
def test_states_and_outcomes_are_the_oracles(
    history: list[NaiveVote], excluded: set[int], rule: Rule, round_number: int
) -> None:
    valid = NaiveItem(history).valid(excluded)
    state = item_state(valid, rule, round_number)
    assert (state.dropped_round, state.need) == naive_state(valid, rule, round_number)
    assert outcome(valid, rule, round_number) == naive_outcome(valid, rule, round_number)


@settings(max_examples=500, deadline=None)
@given(history=st.lists(votes, max_size=25), rule=rules, round_number=st.integers(1, 10))
def test_reinstating_undoes_excluding(history: list[NaiveVote], rule: Rule, round_number: int) -> None:
    item = NaiveItem(history)
    before = item_state(item.valid(set()), rule, round_number)
    without = item_state(item.valid({0}), rule, round_number)
    assert without.need >= 0
    assert item_state(item.valid(set()), rule, round_number) == before


@settings(max_examples=500, deadline=None)
@given(valid=st.lists(choices, max_size=20), rule=rules, round_number=st.integers(1, 10))
def test_meeting_every_need_ends_in_no_need(valid: list[int], rule: Rule, round_number: int) -> None:
    asked = item_state(valid, rule, round_number).need
    filled = [*valid, *[valid[0] if valid else 0] * asked]
    assert item_state(filled, rule, round_number).need == 0


def test_the_papers_filter_on_a_small_example() -> None:
    rule = Rule(rounds=10, votes_per_round=1, min_votes=6, drop="dissent")
    assert item_state([0, 0, 0], rule, 3) == ItemState(dropped_round=None, need=0)
    assert item_state([0, 0, 0], rule, 5) == ItemState(dropped_round=None, need=2)
    assert item_state([0, 0, 1], rule, 3) == ItemState(dropped_round=3, need=0)
    assert outcome([1] * 6, rule, 10) == "kept"
    assert outcome([1] * 5, rule, 10) == "short"


def test_dropping_at_the_end_of_a_round_waits_for_the_round() -> None:
    rule = Rule(rounds=2, votes_per_round=3, min_votes=6, drop="round_end")
    assert item_state([0, 1], rule, 1) == ItemState(dropped_round=None, need=1)
    assert item_state([0, 1, 0], rule, 1) == ItemState(dropped_round=1, need=0)
    assert item_state([0, 0, 0, 0, 1], rule, 2) == ItemState(dropped_round=None, need=1)
