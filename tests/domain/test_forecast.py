"""The forecast against textbook formulas, and against studies simulated vote by vote."""

from dataclasses import dataclass

import numpy as np
import pytest

from app.domain import protocol as protocols
from app.domain.forecast import ClosedRound, Estimate, Pilot, agreement, failing_share, forecast
from app.domain.protocol import Protocol

NIGHTS = protocols.load("nights-2afc")


def test_coin_flips_agree_as_often_as_the_books_say() -> None:
    assert agreement(Pilot(disagreement=0.5), 10)[1:] == pytest.approx([2.0 ** (1 - n) for n in range(1, 11)])
    assert agreement(Pilot(disagreement=0.1, lapse=1.0), 6)[6] == pytest.approx(0.03125)


@pytest.mark.parametrize("p", [1.0, 0.95, 0.8, 0.6])
def test_items_that_are_all_alike_follow_the_binomial(p: float) -> None:
    alike = Pilot(disagreement=0.0, lapse=2 * (1 - p))
    assert agreement(alike, 12)[1:] == pytest.approx([p**n + (1 - p) ** n for n in range(1, 13)])
    if p == 0.8:
        assert agreement(alike, 6)[6] == pytest.approx(0.26, abs=0.005)


@pytest.mark.parametrize(("disagreement", "lapse"), [(0.323, 0.0), (0.2, 0.1)])
def test_the_curve_is_that_of_a_spread_of_items(disagreement: float, lapse: float) -> None:
    a = disagreement / (1 - 2 * disagreement)
    p = (1 - lapse) * np.random.default_rng(5).beta(a, a, 1_000_000) + lapse / 2
    for n in (2, 5, 10):
        assert agreement(Pilot(disagreement, lapse), n)[n] == pytest.approx(
            float(np.mean(p**n + (1 - p) ** n)), abs=2e-3
        )


def test_without_a_pilot_a_fifth_survives_as_in_nights() -> None:
    expected = forecast(NIGHTS, items=100_000)
    assert expected.total.survivors.mean == pytest.approx(20_019, rel=0.005)
    assert expected.rounds[0].votes.mean == 100_000
    assert expected.rounds[0].survivors == Estimate(100_000, 100_000, 100_000)


@pytest.mark.parametrize(
    ("sentinels", "allowed", "miss", "passing"),
    [(15, 1, 0.5, 0.0005), (15, 1, 0.05, 0.83), (15, 1, 0.01, 0.99), (5, 0, 0.5, 0.031)],
)
def test_sentinels_fail_as_often_as_the_books_say(sentinels: int, allowed: int, miss: float, passing: float) -> None:
    sitting = NIGHTS.assignment.model_copy(update={"sentinels": sentinels, "sentinel_misses_allowed": allowed})
    asked = NIGHTS.model_copy(update={"assignment": sitting})
    assert 1 - failing_share(asked, Pilot(sentinel_miss=miss)) == pytest.approx(passing, abs=0.005)


def test_without_a_filter_everything_is_certain_but_the_failing_sittings() -> None:
    bapps = forecast(protocols.load("bapps-2afc"), items=1000, pilot=Pilot(sentinel_miss=0.0))
    assert bapps.total.survivors == Estimate(1000, 1000, 1000)
    assert bapps.total.votes == Estimate(5000, 5000, 5000)
    assert bapps.total.sittings == Estimate(20, 20, 20)
    assert bapps.total.cost.mean == 20 * 240
    assert bapps.one_more is None


def test_one_more_round_asks_every_survivor_once_more() -> None:
    expected = forecast(NIGHTS, items=5000)
    assert expected.one_more is not None
    assert expected.one_more.votes.mean == pytest.approx(expected.total.survivors.mean)
    assert expected.one_more.survivors.mean < expected.total.survivors.mean


@dataclass(frozen=True)
class Simulated:
    survivors: list[int]
    votes: list[int]
    sittings: list[int]


def simulate(protocol: Protocol, pilot: Pilot, items: int, rng: np.random.Generator) -> Simulated:
    """One study, vote by vote and sitting by sitting, as the filter and the dealing would have it."""
    a = pilot.disagreement / (1 - 2 * pilot.disagreement)
    v, rounds, sitting = protocol.votes_per_round, protocol.rounds, protocol.assignment
    latent = rng.beta(a, a, items)[:, None]
    lapses = rng.random((items, rounds * v)) < pilot.lapse
    chosen = rng.random((items, rounds * v)) < np.where(lapses, 0.5, latent)
    differs = chosen != chosen[:, :1]
    dissent = np.where(differs.any(axis=1), differs.argmax(axis=1), rounds * v)  # votes before the first dissent
    survivors, votes, sittings = [], [], []
    for number in range(1, rounds + 1):
        entered = dissent >= (number - 1) * v
        needed = int(np.clip(dissent[entered] + 1 - (number - 1) * v, 0, v).sum())
        if protocol.drop == "round_end":
            needed = int(entered.sum()) * v
        survivors.append(int((dissent >= number * v).sum()))
        votes.append(needed)
        sat = 0
        while needed > 0:
            sat += 1
            misses = rng.binomial(sitting.sentinels, pilot.sentinel_miss)
            if misses <= sitting.sentinel_misses_allowed:
                needed -= sitting.trials
        sittings.append(sat)
    return Simulated(survivors, votes, sittings)


def holds(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


@pytest.mark.parametrize(
    ("changes", "pilot"),
    [
        ({}, Pilot()),
        ({"rounds": 3, "votes_per_round": 2, "min_votes": 6}, Pilot(disagreement=0.2, lapse=0.05, sentinel_miss=0.08)),
        ({"rounds": 3, "votes_per_round": 2, "drop": "round_end"}, Pilot(disagreement=0.25, lapse=0.02)),
    ],
    ids=["nights", "several votes a round", "dropped at the round's end"],
)
def test_the_intervals_hold_what_they_promise(changes: dict[str, object], pilot: Pilot) -> None:
    asked = NIGHTS.model_copy(update=changes)
    items, studies = 8000, 200  # many, as an interval of few whole sittings holds too much
    expected = forecast(asked, items=items, pilot=pilot)
    rng = np.random.default_rng(1)
    seen = [simulate(asked, pilot, items, rng) for _ in range(studies)]
    for what in ("survivors", "votes", "sittings"):
        inside = [
            holds(getattr(part, what), getattr(study, what)[part.number - 1])
            for study in seen
            for part in expected.rounds
            if getattr(part, what).low < getattr(part, what).high  # the first round's votes are no guess
        ]
        assert 0.85 <= np.mean(inside) <= 0.95, (what, np.mean(inside))
    for what, total in (("votes", lambda study: sum(study.votes)), ("sittings", lambda study: sum(study.sittings))):
        assert 0.85 <= np.mean([holds(getattr(expected.total, what), total(study)) for study in seen]) <= 0.95, what
    assert 0.85 <= np.mean([holds(expected.total.survivors, study.survivors[-1]) for study in seen]) <= 0.95


def test_rounds_seen_correct_a_wrong_guess() -> None:
    truth, rng, items = Pilot(disagreement=0.15), np.random.default_rng(3), 1000
    inside = []
    for _ in range(200):
        study = simulate(NIGHTS, truth, items, rng)
        closed = [ClosedRound(items, study.survivors[0])] + [
            ClosedRound(study.survivors[at], study.survivors[at + 1]) for at in range(3)
        ]
        expected = forecast(NIGHTS, items=items, pilot=Pilot(disagreement=0.4), closed=closed)
        assert [part.number for part in expected.rounds] == list(range(5, 11))
        inside.append(holds(expected.total.survivors, study.survivors[-1]))
    assert 0.85 <= np.mean(inside) <= 0.96
