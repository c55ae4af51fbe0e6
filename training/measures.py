"""Anything that gives distances between images: a trained metric, a bare tower, or a formula."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.errors import DataError
from training.features import Inputs, embed_all
from training.models import PerceptualModel, distance
from training.progress import Progress, silent

PAIR_BATCH = 16  # images compared at once
PAIR_CHUNK = 65536  # embeddings compared at once


class Measure(Protocol):
    """A distance between images of one size."""

    @property
    def name(self) -> str: ...

    @property
    def image_size(self) -> int: ...

    def distances(
        self, images: Inputs, pairs: NDArray[np.int64], device: torch.device, progress: Progress = silent
    ) -> NDArray[np.float64]:
        """Distances (n,) of the pairs (n, 2) of rows in `images`."""
        ...


@dataclass(frozen=True)
class EmbeddingMeasure:
    """Embeds every image once; distances are 1 − cosine of embeddings of unit length."""

    name: str
    image_size: int
    module: nn.Module
    embed: Callable[[Tensor], Tensor]  # uint8 (n, 3, s, s) -> (n, f) of unit length

    def distances(
        self, images: Inputs, pairs: NDArray[np.int64], device: torch.device, progress: Progress = silent
    ) -> NDArray[np.float64]:
        used, packed = np.unique(pairs, return_inverse=True)
        self.module.to(device)
        embeddings = embed_all(self.embed, self.module, images, used, device, progress).double()
        chunks = np.array_split(packed.reshape(-1, 2), 1 + len(pairs) // PAIR_CHUNK)
        return np.concatenate([distance(embeddings[a], embeddings[b]).numpy() for a, b in (c.T for c in chunks)])


@dataclass(frozen=True)
class PairMeasure:
    """Compares images two by two."""

    name: str
    image_size: int
    compare: Callable[[Tensor, Tensor], Tensor]  # two batches (n, 3, s, s) in [0, 1] -> (n,)

    def distances(
        self, images: Inputs, pairs: NDArray[np.int64], device: torch.device, progress: Progress = silent
    ) -> NDArray[np.float64]:
        parts = []
        with torch.inference_mode():
            for start in range(0, len(pairs), PAIR_BATCH):
                left, right = (images[rows].to(device).float() / 255 for rows in pairs[start : start + PAIR_BATCH].T)
                parts.append(self.compare(left, right).clamp(min=0).double().cpu())
                progress(min(start + PAIR_BATCH, len(pairs)), len(pairs))
        return torch.cat(parts).numpy()


def measure_of(model: PerceptualModel, name: str) -> EmbeddingMeasure:
    return EmbeddingMeasure(name, model.image_size, model, model)


def distinct_pair_distances(
    measure: Measure,
    images: Inputs,
    files: Sequence[Path],
    pairs: NDArray[np.int64],
    device: torch.device,
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """`measure` of pairs (n, 2), each distinct pair computed once.

    Raises DataError naming the two of `files` whose distance is not a number.
    """
    distinct, position = np.unique(pairs, axis=0, return_inverse=True)
    distances = measure.distances(images, distinct, device, progress)
    bad = np.flatnonzero(~np.isfinite(distances))
    if len(bad):
        one, other = (files[row] for row in distinct[bad[0]])
        raise DataError(f"{measure.name} gives {distances[bad[0]]} as the distance between {one} and {other}")
    return distances[position.reshape(-1)]
