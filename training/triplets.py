"""Triplets as arrays: which images, which judgments, which part is for training."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError


@dataclass(frozen=True)
class Triplets:
    """n judgments of "is candidate 0 or candidate 1 more similar to the reference?" over m distinct images.

    `indices` (n, 3) points into `images`: reference, candidate 0, candidate 1. `targets` (n,) is the share of
    votes for candidate 1, in [0, 1]. `votes` (n,) is 0 where the source does not say. `splits` (n,) is ""
    where the source has none. `is_imagenet` and `categories` are None where the source does not know them.
    """

    name: str
    images: tuple[Path, ...]
    indices: NDArray[np.int64]
    targets: NDArray[np.float32]
    votes: NDArray[np.int64]
    ids: NDArray[np.str_]
    splits: NDArray[np.str_]
    is_imagenet: NDArray[np.bool_] | None = None
    categories: NDArray[np.str_] | None = None
    sha256: dict[Path, str] | None = None  # what the source's own manifest says of its images

    def __len__(self) -> int:
        return len(self.targets)

    def rows(self, keep: NDArray[np.bool_]) -> "Triplets":
        """The triplets where `keep` (n,) is true, over the images that they still use."""
        used, packed = np.unique(self.indices[keep], return_inverse=True)
        return replace(
            self,
            images=tuple(self.images[i] for i in used),
            indices=packed.reshape(-1, 3).astype(np.int64),
            targets=self.targets[keep],
            votes=self.votes[keep],
            ids=self.ids[keep],
            splits=self.splits[keep],
            is_imagenet=None if self.is_imagenet is None else self.is_imagenet[keep],
            categories=None if self.categories is None else self.categories[keep],
        )

    def with_votes(self, minimum: int) -> "Triplets":
        """Those with at least `minimum` votes. Raises DataError where none are left or votes are unknown."""
        if minimum == 0:
            return self
        if not self.votes.any():
            raise DataError(f"{self.name} does not say how many votes a triplet has, so min_votes must be 0")
        return _non_empty(self.rows(self.votes >= minimum), f"{self.name} has no triplet with {minimum} votes or more")

    def split(self, name: str) -> "Triplets":
        """One split; NIGHTS knows `train`, `val`, `test`, and `test_imagenet`, `test_no_imagenet` within
        test.
        """
        base, _, part = name.partition("_")
        keep = self.splits == base
        if part in ("imagenet", "no_imagenet"):
            if self.is_imagenet is None:
                raise DataError(f"{self.name} does not say which triplets are from ImageNet categories")
            keep &= self.is_imagenet == (part == "imagenet")
        elif part:
            keep = self.splits == name
        known = ", ".join(sorted(set(self.splits.tolist()) - {""})) or "none"
        return _non_empty(self.rows(keep), f"{self.name} has no triplet in split {name!r}; its splits are: {known}")

    def with_majority(self) -> "Triplets":
        """Targets rounded to the majority; ties, which have none, are left out."""
        decided = self.rows(self.targets != 0.5)
        return replace(decided, targets=(decided.targets > 0.5).astype(np.float32))


def _non_empty(triplets: Triplets, complaint: str) -> Triplets:
    if len(triplets) == 0:
        raise DataError(complaint)
    return triplets


def hold_out(triplets: Triplets, by: str, fraction: float, seed: int) -> tuple[Triplets, Triplets]:
    """Divides into (training, validation) where the source has no splits.

    `by` "triplets" draws triplets; "references" draws reference images with all their triplets; "images"
    draws images, keeps the triplets wholly inside either part, and leaves out those that straddle them.
    """
    generator = np.random.default_rng(seed)
    if by == "triplets":
        held = generator.random(len(triplets)) < fraction
        kept = ~held
    else:
        pool = np.unique(triplets.indices[:, 0] if by == "references" else triplets.indices)
        drawn = generator.permutation(pool)[: max(1, round(fraction * len(pool)))]
        inside = np.isin(triplets.indices, drawn)
        column = slice(0, 1) if by == "references" else slice(0, 3)
        held = np.logical_and.reduce(inside[:, column], axis=1)
        kept = ~np.logical_or.reduce(inside[:, column], axis=1)
    complaint = f"holding out {fraction:.0%} of the {by} of {triplets.name} leaves no triplet for "
    return (
        _non_empty(triplets.rows(kept), complaint + "training"),
        _non_empty(triplets.rows(held), complaint + "validation"),
    )


def training_and_validation(triplets: Triplets, by: str, fraction: float, seed: int) -> tuple[Triplets, Triplets]:
    """The source's own `train` and `val` splits; or a part held out of `train` where it has no `val`, as a small export
    may, or out of all where it has no splits."""
    if not has_validation(triplets):
        return hold_out(triplets.split("train") if (triplets.splits != "").any() else triplets, by, fraction, seed)
    return triplets.split("train"), triplets.split("val")


def has_validation(triplets: Triplets) -> bool:
    """Whether the source itself says what to validate on."""
    return bool((triplets.splits == "val").any())


def validation_in_words(triplets: Triplets, by: str, fraction: float, seed: int) -> str:
    """What `training_and_validation` validates on."""
    if has_validation(triplets):
        return "the data's own split val"
    source = "split train" if (triplets.splits != "").any() else "all triplets"
    return f"{fraction:.0%} of the {by} of {source}, held out with seed {seed}: the data have no split val"
