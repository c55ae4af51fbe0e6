"""What the towers look at: the CLS token's attention over patches in the last block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn

from training.backbones import Tower
from training.errors import DataError
from training.metric import BATCH, Metric


def attention_maps(metric: Metric, images: Tensor) -> list[Tensor]:
    """For each tower, attention (n, s, s) over the pixels of `images` (n, 3, s, s), averaged over heads.

    Each map is divided by its maximum. The CLS token's attention in the last block is what its feature is
    made of (Caron et al. 2021, figure 1). Raises DataError where it is not a number.
    """
    return [
        torch.cat([_tower_attention(tower, batch.to(metric.device)) for batch in torch.split(images, BATCH)])
        for tower in metric.model.iter_towers()
    ]


def _tower_attention(tower: Tower, images: Tensor) -> Tensor:
    with _recorded_attention(tower) as recorded, torch.inference_mode():
        tower.tokens(images)
    weights = recorded[0].mean(dim=1)[:, 0, 1:]  # (n, heads, t, t) -> CLS to patches
    side = tower.image_size // int(tower.backbone.config.patch_size)
    maps = weights.reshape(-1, 1, side, side).float()
    maps = maps / maps.amax(dim=(2, 3), keepdim=True)
    if not maps.isfinite().all():
        raise DataError(f"{tower.config.source} gives NaN, so there is no attention to show")
    return nn.functional.interpolate(maps, size=images.shape[-2:], mode="bilinear").squeeze(1).cpu()


@contextmanager
def _recorded_attention(tower: Tower) -> Iterator[list[Tensor]]:
    """The last block's attention weights; only the eager implementation computes them as a matrix."""
    recorded: list[Tensor] = []
    last = tower.layers[-1]
    attention = cast(nn.Module, last.self_attn if hasattr(last, "self_attn") else last.attention)
    before = tower.backbone.config._attn_implementation
    hook = attention.register_forward_hook(lambda _module, _inputs, output: recorded.append(output[1]))
    tower.backbone.set_attn_implementation("eager")
    try:
        yield recorded
    finally:
        tower.backbone.set_attn_implementation(before)
        hook.remove()


def draw_attention(path: Path, metric: Metric, files: Sequence[Path], names: Sequence[str]) -> None:
    """One row an image: the image, then an overlay for every tower."""
    images = torch.stack([metric.preprocess(file) for file in files])
    maps = attention_maps(metric, images)
    figure, axes = plt.subplots(
        len(files), 1 + len(maps), figsize=(2.6 * (1 + len(maps)), 2.7 * len(files)), squeeze=False
    )
    for row, (image, line) in enumerate(zip(images, axes, strict=True)):
        pixels = image.permute(1, 2, 0).numpy()
        for axis in line:
            axis.imshow(pixels)
            axis.axis("off")
        for axis, tower_maps, name in zip(line[1:], maps, names, strict=True):
            axis.imshow(tower_maps[row].numpy(), cmap="inferno", alpha=0.6)
            axis.set_title(name if row == 0 else "", fontsize=8)
        line[0].set_title(files[row].stem, fontsize=8, parse_math=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
