"""Simulated observers: how a person of a certain kind answers one trial."""

import hashlib
import random
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, Protocol

from app.domain.dealing import Side

Kind = Literal["attentive", "left-presser", "random-clicker"]


@dataclass(frozen=True)
class Key:
    """What the answer key knows of one trial, and participants do not.

    `answer` is the known answer of practice and sentinel trials; `ordinal` the slot's place in its item; `recorded`
    the item's reference answers for candidates 0 and 1; `distances` the latent ones its generator knows.
    """

    item_number: int | None
    left_candidate: int
    answer: int | None
    ordinal: int | None
    recorded: tuple[int, int] | None
    distances: tuple[float, float] | None


class Observer(Protocol):
    def choose(self, key: Key) -> int:
        """The candidate (0 or 1) this observer chooses on a pool trial."""


@dataclass(frozen=True)
class Probit:
    """Chooses candidate 0 with probability Φ((distance_1 − distance_0) / noise), and at random in a share of lapses."""

    rng: random.Random
    noise: float
    lapse: float

    def choose(self, key: Key) -> int:
        assert key.distances is not None
        if self.rng.random() < self.lapse:
            return self.rng.getrandbits(1)
        distance_0, distance_1 = key.distances
        return int(self.rng.random() >= NormalDist(0, self.noise).cdf(distance_1 - distance_0))


@dataclass(frozen=True)
class Recorded:
    """Replays the crowd that judged the items before: see `card`."""

    seed: int

    def choose(self, key: Key) -> int:
        assert key.recorded is not None
        assert key.ordinal is not None
        assert key.item_number is not None
        return card(key.recorded, seed=self.seed, item_number=key.item_number, ordinal=key.ordinal)


def card(recorded: tuple[int, int], *, seed: int, item_number: int, ordinal: int) -> int:
    """The candidate on the card at `ordinal` (1-based) of an item's deck: its recorded votes, shuffled by
    (seed, item). Past the deck the recorded majority answers, a tie by seed."""
    votes_0, votes_1 = recorded
    deck = [0] * votes_0 + [1] * votes_1
    rng = random.Random(hashlib.sha256(f"{seed}:{item_number}:deck".encode()).digest())  # noqa: S311 - reproducible
    rng.shuffle(deck)
    if ordinal <= len(deck):
        return deck[ordinal - 1]
    return rng.getrandbits(1) if votes_0 == votes_1 else int(votes_1 > votes_0)


def answer(kind: Kind, observer: Observer, key: Key, rng: random.Random) -> Side:
    """The side this person answers. Attentive people get practice and sentinels right."""
    if kind == "left-presser":
        return "left"
    if kind == "random-clicker":
        return rng.choice(("left", "right"))
    choice = observer.choose(key) if key.answer is None else key.answer
    return "left" if choice == key.left_candidate else "right"
