"""Simulated observers: what a person of a certain kind answers in one trial, and how long they say it took."""

import hashlib
import math
import random
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, Protocol, get_args

from app.domain.dealing import Side

Kind = Literal["attentive", "fallible", "left-presser", "random-clicker", "constant-speed", "fast-forward"]
"""The first two are honest: one is right where there is a right answer, one in 95 of 100 trials. The others look at
nothing: one presses left, and of the three that press at random one does so at a constant speed, and one at once."""
KINDS: tuple[Kind, ...] = get_args(Kind)

FALLIBLE_ACCURACY = 0.95
MEDIAN_RT_MS = 2100.0


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
    """The side this person answers."""
    if kind == "left-presser":
        return "left"
    if kind in ("random-clicker", "constant-speed", "fast-forward"):
        return rng.choice(("left", "right"))
    choice = observer.choose(key) if key.answer is None else key.answer
    if kind == "fallible" and rng.random() >= FALLIBLE_ACCURACY:
        choice = 1 - choice
    return "left" if choice == key.left_candidate else "right"


def draw_tempo(rng: random.Random) -> float:
    """A person's own median response time in ms: from 1.5 to 3 s, `MEDIAN_RT_MS` in the middle of people."""
    return MEDIAN_RT_MS * math.exp(rng.uniform(-1, 1) * math.log(3000 / MEDIAN_RT_MS))


def response_time(kind: Kind, tempo: float, rng: random.Random) -> float:
    """In ms: log-normal around the person's tempo, unless it is no person."""
    if kind == "constant-speed":
        return rng.uniform(990, 1010)
    if kind == "fast-forward":
        return rng.uniform(60, 180)
    return rng.lognormvariate(math.log(tempo), 0.4)
