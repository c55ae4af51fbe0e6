"""What is drawn for generated triplets: the seed of every image, and the category of every number."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

GENERATORS: Final = ("diffusers", "procedural")
DTYPES: Final = ("float32", "float16", "bfloat16")
ROLES: Final = ("reference", "candidate_0", "candidate_1")
Role = Literal["reference", "candidate_0", "candidate_1"]

SEEDS_PER_IMAGE: Final = 8
"""How often an image is made, each time from another seed, before its item is set aside."""


@dataclass(frozen=True)
class Options:
    """How a text-to-image model is run; what is None is left to the preset of the model's kind.

    `width` and `height` are pixels, `scheduler` the name of a diffusers class, `dtype` that of a torch type.
    """

    steps: int | None = None
    guidance: float | None = None
    width: int | None = None
    height: int | None = None
    dtype: str | None = None
    scheduler: str | None = None
    compile: bool = False
    attention_slicing: bool = False


def image_seed(study_seed: int, number: int, role: Role, attempt: int) -> int:
    """The seed of one image, from (study seed, item number, role, attempt): 32 bits, all that torch's generator uses
    on a CPU. Counted up from a start that the study seed draws, so that no two images of a study share one."""
    start = int.from_bytes(hashlib.sha256(f"{study_seed}:images".encode()).digest()[:4])
    return (start + (number * len(ROLES) + ROLES.index(role)) * SEEDS_PER_IMAGE + attempt) % 2**32


def category_of(categories: Sequence[str], first_number: int, number: int) -> str:
    """Categories take turns, so that a plan that is cut short has about as many items of each."""
    return categories[(number - first_number) % len(categories)]
