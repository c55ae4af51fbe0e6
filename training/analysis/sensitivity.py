"""Which attributes of an image move the metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn

from training import scores
from training.analysis.attention import attention_maps
from training.errors import DataError
from training.image_cache import decode
from training.metric import Metric
from training.models import distance
from training.scores import Estimate

Change = Callable[[Tensor], Tensor]
GREY = torch.tensor([0.299, 0.587, 0.114])  # luma of ITU-R BT.601
SALIENT_SHARE = 0.35  # of the pixels count as foreground where there is no mask


def _grey(images: Tensor) -> Tensor:
    return torch.einsum("nchw,c->nhw", images, GREY).unsqueeze(1).expand_as(images)


def _shift(images: Tensor, share: float) -> Tensor:
    """The scene moved to the right; what leaves on one side enters on the other."""
    return images.roll(round(share * images.shape[-1]), dims=-1)


def _crop(images: Tensor, share: float) -> Tensor:
    size = images.shape[-1]
    margin = round(size * (1 - share) / 2)
    inner = images[..., margin : size - margin, margin : size - margin]
    return nn.functional.interpolate(inner, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)


def _swap_quarters(images: Tensor) -> Tensor:
    """The layout undone, its parts kept: diagonally opposite quarters change places."""
    half = images.shape[-1] // 2
    return images.roll((half, half), dims=(-2, -1))


def _blur(images: Tensor, share: float) -> Tensor:
    size = images.shape[-1]
    small = nn.functional.interpolate(images, size=round(size * share), mode="bicubic", antialias=True)
    return nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 1)


CHANGES: dict[str, Change] = {
    "grey-scale": _grey,
    "colours rotated (RGB → GBR)": lambda images: images[:, [1, 2, 0]],
    "warmer (red +20 %, blue −20 %)": lambda images: (images * torch.tensor([1.2, 1.0, 0.8]).view(1, 3, 1, 1)).clamp(
        0, 1
    ),
    "darker (−40 %)": lambda images: images * 0.6,
    "half the contrast": lambda images: images.mean(dim=(1, 2, 3), keepdim=True) * 0.5 + images * 0.5,
    "flip left–right": lambda images: images.flip(-1),
    "flip top–bottom": lambda images: images.flip(-2),
    "crop to 80 %": lambda images: _crop(images, 0.8),
    "crop to 50 %": lambda images: _crop(images, 0.5),
    "moved by a quarter": lambda images: _shift(images, 0.25),
    "quarters swapped": _swap_quarters,
    "blurred to 28 px": lambda images: _blur(images, 0.125),
}


@dataclass(frozen=True)
class Sensitivity:
    """Mean distance that a change makes, as a share of the median distance between different images."""

    change: str
    effect: Estimate


def sensitivities(metric: Metric, images: Tensor, foreground: Tensor) -> list[Sensitivity]:
    """Every change's effect on `images` (n, 3, s, s), largest first; n at least 2.

    `foreground` (n, s, s) is 1 on the thing, 0 on what is behind. In the swaps, the pixels of the next image
    take the place of background or foreground. Raises DataError where the metric sees no difference between the
    images, so that there is no scale.
    """
    with torch.inference_mode():
        before = metric.embed(images)
        unit = nn.functional.pdist(before).square().median() / 2  # `distance` of every two
        if unit == 0:
            raise DataError("to this metric most of these images are the same one, so its changes have no scale")
        changed = {name: change(images) for name, change in CHANGES.items()} | _swaps(images, foreground)
        effects = {name: distance(before, metric.embed(new)) / unit for name, new in changed.items()}
    measured = [Sensitivity(name, scores.estimate(effect.double().cpu().numpy())) for name, effect in effects.items()]
    return sorted(measured, key=lambda one: -one.effect.value)


def _swaps(images: Tensor, foreground: Tensor) -> dict[str, Tensor]:
    mask, other = foreground.unsqueeze(1), images.roll(1, dims=0)
    return {
        "another background": images * mask + other * (1 - mask),
        "another foreground": other * mask + images * (1 - mask),
    }


def salient_foreground(metric: Metric, images: Tensor) -> Tensor:
    """A mask (n, s, s) of the pixels that the towers attend to most, for images without a mask of their own.

    It follows the metric's own attention, so a swap by it says less than one by a real mask.
    """
    maps = torch.stack(attention_maps(metric, images)).mean(dim=0)
    threshold = torch.quantile(maps.flatten(1), 1 - SALIENT_SHARE, dim=1)
    return (maps >= threshold.view(-1, 1, 1)).float()


def read_masks(folder: Path, files: Sequence[Path], size: int) -> Tensor:
    """Masks (n, s, s) named as the images, PNG, white for the foreground.

    Raises DataError for one not there.
    """
    masks = [decode(folder / f"{file.stem}.png", size)[0] for file in files]
    return torch.from_numpy(np.stack(masks)).float().mean(dim=-1).div(255).round()


def draw_sensitivities(path: Path, measured: Sequence[Sensitivity], title: str) -> None:
    shown = list(measured)[::-1]
    values = np.array([100 * one.effect.value for one in shown])
    errors = [
        values - [100 * one.effect.low for one in shown],
        np.array([100 * one.effect.high for one in shown]) - values,
    ]
    figure, axis = plt.subplots(figsize=(7.5, 0.38 * len(shown) + 1.4))
    axis.barh([one.change for one in shown], values, xerr=errors, color="#54aeff", ecolor="#57606a", capsize=2)
    axis.axvline(100, color="#8c959f", linestyle=":")
    axis.set_xlabel("distance from the original (100 %: median of different images)")
    axis.set_title(title, fontsize=9, parse_math=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
