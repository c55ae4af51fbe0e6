"""Features of frozen towers, computed once per image and kept on disk."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datafiles import pixels
from training.checkpoint import replace_file
from training.errors import DataError
from training.image_cache import ImageCache, default_cache_folder, load_array
from training.models import PerceptualModel, evaluating
from training.progress import Progress, silent

EMBED_BATCH = 64


class Inputs(Protocol):
    """What a module is fed, by image: pixels, or features."""

    def __getitem__(self, indices: NDArray[np.int64]) -> Tensor: ...


@dataclass(frozen=True)
class FeatureTable:
    """Features (m, f) of m images, in the order of the image cache that they were computed from."""

    features: NDArray[np.float32]

    def __getitem__(self, indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.asarray(self.features[indices]))


def open_features(
    model: PerceptualModel,
    cache: ImageCache,
    device: torch.device,
    folder: Path | None = None,
    progress: Progress = silent,
) -> FeatureTable:
    """The towers' features of every image in the cache, from disk where these weights saw these images
    before.

    Raises DataError naming, by its sha256, an image whose features are not numbers.
    """
    file = (folder or default_cache_folder()) / f"features-{_key(model, cache)}.npy"
    if not file.is_file():
        features = embed_all(model.features, model, cache, range(len(cache)), device, progress)
        bad = (~features.isfinite().all(dim=1)).nonzero()
        if len(bad):
            raise DataError(f"the towers give NaN for the image with the sha256 {cache.sha256[int(bad[0])]}")
        replace_file(file, lambda draft: _write(draft, features.numpy()))
    return FeatureTable(load_array(file))


def embed_all(
    embed: Callable[[Tensor], Tensor],
    model: nn.Module,
    inputs: Inputs,
    rows: Sequence[int] | NDArray[np.int64],
    device: torch.device,
    progress: Progress = silent,
) -> Tensor:
    """`embed` of the inputs at `rows`, as float32 (n, f) on the CPU, with `model` in evaluation mode."""
    indices = np.asarray(rows, dtype=np.int64)
    parts = []
    with evaluating(model):
        for start in range(0, len(indices), EMBED_BATCH):
            batch = inputs[indices[start : start + EMBED_BATCH]].to(device)
            parts.append(embed(batch).float().cpu())
            progress(min(start + EMBED_BATCH, len(indices)), len(indices))
    return torch.cat(parts)


def _key(model: PerceptualModel, cache: ImageCache) -> str:
    digest = hashlib.sha256("\n".join([str(pixels.RULES), *cache.sha256]).encode())
    for tower in model.iter_towers():
        digest.update(f"{tower.feature} {tower.patches} {tower.image_size} {tower.normalisation}".encode())
        for name, tensor in tower.state_dict().items():
            digest.update(name.encode())
            digest.update(_bytes(tensor))
    return digest.hexdigest()[:32]


def _bytes(tensor: Tensor) -> bytes:
    """The tensor's memory in order, whatever its dtype: NumPy knows no bfloat16."""
    return tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes()


def _write(path: Path, features: NDArray[np.float32]) -> None:
    with path.open("wb") as file:  # np.save would add a second suffix to a path
        np.save(file, features)
