"""What the metric keeps of an image: pixels optimised until they are close to it under the metric alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn

from training.metric import Metric
from training.models import distance
from training.progress import Progress, silent

COARSEST = 7  # pixels: side of the coarsest layer of the image


@dataclass(frozen=True)
class Inversion:
    target: Tensor  # (3, s, s)
    image: Tensor  # (3, s, s)
    distances: list[float]  # by step


def invert(
    metric: Metric,
    target: Tensor,
    steps: int = 200,
    seed: int = 0,
    progress: Progress = silent,
) -> Inversion:
    """Reconstructs `target` (3, s, s) from noise by Adam on a pyramid of grids.

    An image is the sigmoid of the sum of its layers from 7 pixels up to full size: coarse structure moves as
    easily as detail. The image is shifted by a few pixels at every step, so that it is close to the target as
    seen by the whole network and not by one alignment of its patches.
    """
    generator = torch.Generator().manual_seed(seed)
    size = target.shape[-1]
    sides = [side for side in (COARSEST * 2**level for level in range(12)) if side < size] + [size]
    layers = [0.1 * torch.randn(1, 3, side, side, generator=generator) for side in sides]
    layers = [layer.to(metric.device).requires_grad_() for layer in layers]
    optimizer = torch.optim.Adam(layers, lr=0.05)
    wanted = metric.embed(target).detach()
    distances = []
    for step in range(steps):
        shift = torch.randint(-4, 5, (2,), generator=generator).tolist()
        shifted = _render(layers, size).roll((shift[0], shift[1]), dims=(-2, -1))
        loss = distance(metric.embed(shifted), wanted).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        distances.append(float(loss.detach()))
        progress(step + 1, steps)
    return Inversion(target, _render(layers, size)[0].detach().cpu(), distances)


def _render(layers: Sequence[Tensor], size: int) -> Tensor:
    total = sum(nn.functional.interpolate(layer, size=(size, size), mode="bilinear") for layer in layers)
    return torch.sigmoid(torch.as_tensor(total))


def draw_inversion(path: Path, inversion: Inversion) -> None:
    """The target, its reconstruction, and the distance between them as it fell; under them, what that means."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 3.7), layout="constrained")
    for axis, image, title in (
        (left, inversion.target, "target"),
        (middle, inversion.image, "reconstruction"),
    ):
        axis.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
        axis.set_title(title)
        axis.axis("off")
    right.semilogy(inversion.distances, color="#0969da")
    right.set_xlabel("step")
    right.set_ylabel("distance")
    right.grid(alpha=0.3)
    first, last = inversion.distances[0], inversion.distances[-1]
    figure.supxlabel(
        f"Noise, changed in {len(inversion.distances)} steps until the metric takes it for the target (distance "
        f"{first:.3f} → {last:.3f}): what the reconstruction lacks, the metric does not see.",
        fontsize=9,
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)
