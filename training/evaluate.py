"""How well a measure agrees with people: on triplets, on odd-one-out choices, on same-or-different pairs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import scores
from training.image_cache import open_cache
from training.jnd import JndPairs
from training.measures import Measure, distinct_pair_distances
from training.progress import Progress, silent
from training.scores import Estimate, Floats
from training.things import OddOneOut
from training.triplets import Triplets


@dataclass(frozen=True)
class TwoAfcResult:
    """Agreement on triplets, and what is needed to judge it."""

    measure: str
    data: str
    shares: Estimate  # score against the vote shares
    majority: Estimate | None  # score against the majority, ties left out; None where all are ties
    ties: int
    ceilings: dict[str, float]
    resolution: float
    groups: dict[str, Estimate]  # `is_imagenet`
    categories: dict[str, Estimate]
    distances: NDArray[np.float64]  # (n, 2)
    scores: Floats  # (n,) against shares
    triplets_sha256: str | None = None  # what tells these triplets, images and vote shares, from any others


@dataclass(frozen=True)
class JndResult:
    measure: str
    data: str
    all_pairs: Estimate
    altered_pairs: Estimate | None  # without pairs of identical files, which every metric gets right
    identical: int
    tied: int  # pairs that share their distance with another


def evaluate_triplets(
    measure: Measure,
    triplets: Triplets,
    device: torch.device,
    cache_folder: Path | None = None,
    progress: Progress = silent,
) -> TwoAfcResult:
    """Scores `measure` on `triplets`; intervals resample references, whose triplets are not independent."""
    cache = open_cache(triplets.images, measure.image_size, cache_folder, triplets.sha256)
    pairs = np.concatenate([triplets.indices[:, [0, 1]], triplets.indices[:, [0, 2]]])
    distances = distinct_pair_distances(measure, cache, triplets.images, pairs, device, progress).reshape(2, -1).T
    return replace(summarise(measure.name, triplets, distances), triplets_sha256=fingerprint(triplets, cache.sha256))


def fingerprint(triplets: Triplets, images: Sequence[str]) -> str:
    """A sha256 of the triplets as a set, wherever they lie: the hash of each image (`images` has them by index), and
    the share of votes."""
    lines = [
        " ".join([*(images[index] for index in indices), f"{target:.6f}"])
        for indices, target in zip(triplets.indices, triplets.targets, strict=True)
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def summarise(measure: str, triplets: Triplets, distances: NDArray[np.float64]) -> TwoAfcResult:
    share = triplets.targets.astype(np.float64)
    reference = triplets.indices[:, 0]
    per_triplet = scores.two_afc(distances[:, 0], distances[:, 1], share)
    decided = share != 0.5
    hard = scores.two_afc(distances[decided, 0], distances[decided, 1], np.rint(share[decided]))
    return TwoAfcResult(
        measure=measure,
        data=triplets.name,
        shares=scores.estimate(per_triplet, reference),
        majority=scores.estimate(hard, reference[decided]) if decided.any() else None,
        ties=int((~decided).sum()),
        ceilings=_ceilings(share, triplets.votes),
        resolution=scores.resolution(per_triplet, reference),
        groups=_imagenet_groups(per_triplet, triplets),
        categories=_categories(per_triplet, triplets),
        distances=distances,
        scores=per_triplet,
    )


def _ceilings(share: Floats, votes: NDArray[np.int64]) -> dict[str, float]:
    ceilings = {
        "a person drawn by the votes (plug-in)": float(scores.plug_in_ceiling(share).mean()),
        "the best possible metric (oracle)": float(scores.oracle_ceiling(share).mean()),
    }
    if (votes >= 2).any():
        unbiased = scores.unbiased_ceiling(share, votes)
        ceilings["two different people (unbiased)"] = float(unbiased.mean())
    return ceilings


def _imagenet_groups(per_triplet: Floats, triplets: Triplets) -> dict[str, Estimate]:
    if triplets.is_imagenet is None:
        return {}
    names = np.where(triplets.is_imagenet, "ImageNet categories", "other categories")
    return scores.by_group(per_triplet, names, scores.estimate)


def _categories(per_triplet: Floats, triplets: Triplets) -> dict[str, Estimate]:
    if triplets.categories is None:
        return {}
    named = triplets.categories != ""
    return scores.by_group(per_triplet[named], triplets.categories[named], scores.estimate)


def evaluate_odd_one_out(
    measure: Measure,
    choices: OddOneOut,
    device: torch.device,
    cache_folder: Path | None = None,
    progress: Progress = silent,
) -> Estimate:
    """The share of odd-one-out choices (THINGS) where the pair that people kept is the closest."""
    cache = open_cache(choices.images, measure.image_size, cache_folder)
    pairs = np.concatenate([choices.indices[:, columns] for columns in ([0, 1], [0, 2], [1, 2])])
    distances = distinct_pair_distances(measure, cache, choices.images, pairs, device, progress).reshape(3, -1).T
    return scores.estimate(scores.odd_one_out(distances))


def evaluate_jnd(
    measure: Measure,
    pairs: JndPairs,
    device: torch.device,
    cache_folder: Path | None = None,
    progress: Progress = silent,
) -> JndResult:
    """Average precision of "people cannot tell them apart" by ascending distance."""
    cache = open_cache(pairs.images, measure.image_size, cache_folder, pairs.sha256)
    distances = distinct_pair_distances(measure, cache, pairs.images, pairs.indices, device, progress)
    hashes = np.array(cache.sha256)
    altered = hashes[pairs.indices[:, 0]] != hashes[pairs.indices[:, 1]]
    _, sizes = np.unique(distances, return_counts=True)
    return JndResult(
        measure=measure.name,
        data=pairs.name,
        all_pairs=scores.jnd_estimate(distances, pairs.same),
        altered_pairs=scores.jnd_estimate(distances[altered], pairs.same[altered]) if altered.any() else None,
        identical=int((~altered).sum()),
        tied=int(sizes[sizes > 1].sum()),
    )
