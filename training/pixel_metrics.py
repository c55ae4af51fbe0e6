"""Distances by formula. Two batches of images (n, 3, h, w) in [0, 1] give (n,), larger for less similar."""

import torch
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

HISTOGRAM_BINS = 8  # per channel: 512 colours


def psnr_distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean squared error, which orders pairs as falling PSNR = −10 log₁₀(MSE) does."""
    return (a - b).square().flatten(1).mean(dim=1)


def ssim_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 − SSIM (Wang et al. 2004)."""
    similarity = structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")
    return 1 - _per_image(similarity, len(a))


def ms_ssim_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 − MS-SSIM over five scales (Wang et al. 2003); images of at least 176 pixels."""
    similarity = multiscale_structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")
    return 1 - _per_image(similarity, len(a))


def histogram_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 − intersection of RGB histograms (Swain and Ballard 1991)."""
    return 1 - torch.minimum(_histogram(a), _histogram(b)).sum(dim=1)


def _histogram(images: Tensor) -> Tensor:
    bins = (images * HISTOGRAM_BINS).long().clamp(max=HISTOGRAM_BINS - 1)
    colour = (bins[:, 0] * HISTOGRAM_BINS + bins[:, 1]) * HISTOGRAM_BINS + bins[:, 2]
    counts = torch.zeros(len(images), HISTOGRAM_BINS**3, device=images.device)
    flat = colour.flatten(1)
    return counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype)) / flat.shape[1]


def _per_image(similarity: Tensor | tuple[Tensor, Tensor], n: int) -> Tensor:
    """torchmetrics gives a scalar for a single image."""
    values = similarity[0] if isinstance(similarity, tuple) else similarity
    return values.reshape(n)
