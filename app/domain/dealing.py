"""Which candidate stands on which side, and in which order an assignment shows its trials.

Sides and draw keys are made in Postgres, for all slots of a round at once (`services/rounds/filter.py`); here
they are said so that people can read them, and a test sees to it that both say the same.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Literal, TypeVar

Side = Literal["left", "right"]
T = TypeVar("T")


def _hash(*parts: int | str) -> bytes:
    """SHA-256 of the parts joined by colons: the one hash that Postgres can compute just the same."""
    return hashlib.sha256(":".join(map(str, parts)).encode()).digest()


def left_candidate(seed: int, number: int, ordinal: int) -> int:
    """The candidate (0 or 1) that a slot shows on the left.

    Slots 2j−1 and 2j of an item are mirror images of each other, and which comes first is drawn from
    (study seed, item number, j): after every even number of votes each candidate has stood on each side equally often.

    Args:
        ordinal: the slot's 1-based place among the item's slots.
    """
    pair, second = divmod(ordinal - 1, 2)
    return (_hash(seed, number, pair + 1, "side")[0] & 1) ^ second


def draw_key(seed: int, number: int, ordinal: int) -> int:
    """A slot's random place in the dealing order: 31 bits from (study seed, item number, ordinal)."""
    return int.from_bytes(_hash(seed, number, ordinal, "draw")[:4]) >> 1


def split_of(seed: int, reference_sha256: str) -> Literal["train", "val", "test"]:
    """About 80/10/10 by reference image, so that no reference is in two splits and growth moves none."""
    share = int.from_bytes(_hash(seed, reference_sha256, "split")[:4]) / 2**32
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


def arrange(practice: Sequence[T], pool: Sequence[T], sentinels: Sequence[T], *, rng: random.Random) -> list[T]:
    """The order of an assignment's trials: practice first, then the pool's with sentinels at random positions."""
    main = [*pool, *sentinels]
    rng.shuffle(main)
    return [*practice, *main]


def assignment_rng(seed: int, assignment_id: int) -> random.Random:
    """The generator behind everything drawn for one assignment, so that its order can be made again."""
    return random.Random(_hash(seed, assignment_id, "assignment"))  # noqa: S311 - reproducible, not secret


def checks_rng(seed: int) -> random.Random:
    """The generator behind a study's practice and sentinel items."""
    return random.Random(_hash(seed, "checks"))  # noqa: S311 - reproducible, not secret
