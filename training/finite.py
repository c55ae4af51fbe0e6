"""Weights that are not numbers are found when they are read: what is computed with them is no result."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from training.errors import CheckpointError


def require_finite(tensors: Mapping[str, Tensor], origin: str | Path) -> None:
    """Raises CheckpointError naming the first tensor that holds NaN or infinity."""
    damaged = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if damaged:
        raise CheckpointError(
            f"{origin}: tensor {damaged} holds NaN or infinity: the file is damaged, or the training that wrote it "
            "had diverged"
        )
