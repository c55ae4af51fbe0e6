"""The order of training, a pure function of (seed, epoch): resuming needs no state of a generator."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.config import TrainConfig
from training.triplets import Triplets


@dataclass(frozen=True)
class Batch:
    """Distinct images and the triplets among them: each image is embedded once, however many triplets share
    it.
    """

    images: NDArray[np.int64]  # (k,) rows of the image cache
    triplets: NDArray[np.int64]  # (b, 3) positions in `images`
    targets: NDArray[np.float32]  # (b,)


def batches_of_epoch(triplets: Triplets, train: TrainConfig, seed: int, epoch: int) -> list[Batch]:
    """Every triplet once in batches of `batch_size`; or, with `images_per_batch`, every image about once.

    Dense judgments over few images learn faster from groups of images: one embedding serves all the triplets
    that were judged among them.
    """
    generator = np.random.default_rng((seed, epoch))
    if train.images_per_batch is None:
        order = generator.permutation(len(triplets))
        chunks = np.split(order, range(train.batch_size, len(order), train.batch_size))
    else:
        chunks = list(_triplets_among_images(triplets, train.images_per_batch, generator))
    return [_pack(triplets, rows) for rows in chunks]


def _triplets_among_images(triplets: Triplets, size: int, generator: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    count = len(triplets.images)
    order = generator.permutation(count)
    for start in range(0, max(count - size, 0) + 1, size):
        group = np.zeros(count, dtype=bool)
        group[order[start : start + size]] = True
        rows = np.flatnonzero(group[triplets.indices].all(axis=1))
        if len(rows):
            yield rows


def _pack(triplets: Triplets, rows: NDArray[np.intp]) -> Batch:
    images, positions = np.unique(triplets.indices[rows], return_inverse=True)
    return Batch(images, positions.reshape(-1, 3), triplets.targets[rows])


def share_of_process(batch: Batch, process: int, processes: int) -> Batch:
    """The part of a batch that one of several processes computes (data parallel training)."""
    if processes == 1:
        return batch
    rows = np.arange(process, len(batch.targets), processes) if process < len(batch.targets) else np.array([0])
    images, positions = np.unique(batch.triplets[rows], return_inverse=True)
    return Batch(batch.images[images], positions.reshape(-1, 3), batch.targets[rows])
