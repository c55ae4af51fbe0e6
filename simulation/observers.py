"""Simulated observers: what a person of a certain kind answers in one trial, and how long they say it took."""

import hashlib
import math
import random
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, Protocol, get_args

from app.domain.presentation import flashes

Kind = Literal["attentive", "fallible", "left-presser", "random-clicker", "constant-speed", "fast-forward"]
"""The first two are honest: one is right where there is a right answer, one in 95 of 100 trials. The others look at
nothing: one presses left, which in JND means "same", and of the three that press at random one does so at a constant
speed, and one at once."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_CLICKERS = ("random-clicker", "constant-speed", "fast-forward")

SAME, DIFFERENT = "same", "different"
CRITERION = 2.33
"""In units of the noise: how far apart two impressions must be to be called different. At 2.33 an identical pair is so
called about one time in ten: 2 Φ(−2.33 / √2)."""
FALLIBLE_ACCURACY = 0.95
MEDIAN_RT_MS = 2100.0


@dataclass(frozen=True)
class Key:
    """What the answer key knows of one trial, and participants do not.

    `pairs` counts those of a JND trial, None in 2AFC; `answers` are the known ones of checks (2AFC: the candidate; JND:
    0 same or 1 different for each candidate's pair); `ordinal` is the slot's place in its item; `recorded` are the
    item's reference answers, 0 and 1; `distances` the latent ones its generator knows.
    """

    item_number: int | None
    left_candidate: int
    pairs: int | None
    answers: tuple[int, int | None] | None
    ordinal: int | None
    recorded: tuple[int, int] | None
    distances: tuple[float, float | None] | None


class Observer(Protocol):
    def choose(self, key: Key) -> int:
        """2AFC: the candidate (0 or 1) this observer chooses on a pool trial."""

    def notices(self, key: Key, candidate: int) -> int:
        """JND: 1 if this observer calls the pair with this candidate different, else 0."""


@dataclass(frozen=True)
class Probit:
    """Sees latent distances through noise, and answers at random in a share of lapses.

    2AFC: chooses candidate 0 with probability Φ((distance_1 − distance_0) / noise). JND: calls a pair different if its
    distance plus noise of SD √2 · noise exceeds the criterion on either side (the differencing model).
    """

    rng: random.Random
    noise: float
    lapse: float

    def choose(self, key: Key) -> int:
        assert key.distances is not None
        distance_0, distance_1 = key.distances
        assert distance_1 is not None
        if self.rng.random() < self.lapse:
            return self.rng.getrandbits(1)
        return int(self.rng.random() >= NormalDist(0, self.noise).cdf(distance_1 - distance_0))

    def notices(self, key: Key, candidate: int) -> int:
        assert key.distances is not None
        distance = key.distances[candidate]
        assert distance is not None
        if self.rng.random() < self.lapse:
            return self.rng.getrandbits(1)
        return int(abs(self.rng.gauss(distance, math.sqrt(2) * self.noise)) > CRITERION * self.noise)


@dataclass(frozen=True)
class Recorded:
    """Replays the crowd that judged the items before: see `card`."""

    seed: int

    def choose(self, key: Key) -> int:
        assert key.recorded is not None
        assert key.ordinal is not None
        assert key.item_number is not None
        return card(key.recorded, seed=self.seed, item_number=key.item_number, ordinal=key.ordinal)

    def notices(self, key: Key, candidate: int) -> int:
        """Only items of one pair come with recorded answers."""
        assert candidate == 0
        return self.choose(key)


def card(recorded: tuple[int, int], *, seed: int, item_number: int, ordinal: int) -> int:
    """The answer (0 or 1) on the card at `ordinal` (1-based) of an item's deck: its recorded votes, shuffled by
    (seed, item). Past the deck the recorded majority answers, a tie by seed."""
    votes_0, votes_1 = recorded
    deck = [0] * votes_0 + [1] * votes_1
    rng = random.Random(hashlib.sha256(f"{seed}:{item_number}:deck".encode()).digest())  # noqa: S311 - reproducible
    rng.shuffle(deck)
    if ordinal <= len(deck):
        return deck[ordinal - 1]
    return rng.getrandbits(1) if votes_0 == votes_1 else int(votes_1 > votes_0)


def answer(kind: Kind, observer: Observer, key: Key, rng: random.Random) -> list[str]:
    """What this person answers, to each question of the trial. Attentive people get practice and sentinels right."""
    if key.pairs is None:
        return [_side(kind, observer, key, rng)]
    # Which candidate a question is about does not depend on how the flashes are interleaved.
    asked = flashes(pairs=key.pairs, first_candidate=key.left_candidate, interleave=True).candidates
    return [_same_or_different(kind, observer, key, candidate, rng) for candidate in asked]


def _side(kind: Kind, observer: Observer, key: Key, rng: random.Random) -> str:
    if kind == "left-presser":
        return "left"
    if kind in _CLICKERS:
        return rng.choice(("left", "right"))
    choice = observer.choose(key) if key.answers is None else key.answers[0]
    choice ^= _errs(kind, rng)
    return "left" if choice == key.left_candidate else "right"


def _same_or_different(kind: Kind, observer: Observer, key: Key, candidate: int, rng: random.Random) -> str:
    if kind == "left-presser":
        return SAME
    if kind in _CLICKERS:
        return rng.choice((SAME, DIFFERENT))
    known = None if key.answers is None else key.answers[candidate]
    is_different = observer.notices(key, candidate) if known is None else known
    return DIFFERENT if is_different ^ _errs(kind, rng) else SAME


def _errs(kind: Kind, rng: random.Random) -> bool:
    return kind == "fallible" and rng.random() >= FALLIBLE_ACCURACY


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
