"""Triplets as pictures: the reference in the middle, the candidates beside it, as participants saw them."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from training.evaluate import TwoAfcResult
from training.image_cache import decode
from training.triplets import Triplets

SIDE = 224
LONGEST_CAPTION = 38  # characters that fit over an image
AGREED, DISAGREED = "#1a7f37", "#cf222e"


def most_confusing(result: TwoAfcResult, count: int) -> NDArray[np.intp]:
    """The triplets where the metric is surest and people say otherwise, worst first.

    Sureness is |d₀ − d₁| / (d₀ + d₁), so that pairs of near copies count as much as distant ones.
    """
    zero, one = result.distances.T
    certainty = np.abs(zero - one) / np.maximum(zero + one, np.finfo(float).tiny)
    wrong = np.flatnonzero(result.scores < 0.5)
    return wrong[np.argsort(-(certainty * (0.5 - result.scores))[wrong], kind="stable")][:count]


def draw_contact_sheet(path: Path, result: TwoAfcResult, triplets: Triplets, rows: NDArray[np.intp]) -> None:
    """One row a triplet; over each candidate its distance and votes, green around the one people chose."""
    figure, axes = plt.subplots(len(rows), 3, figsize=(6.6, 2.5 * len(rows) + 0.5), squeeze=False, layout="constrained")
    for line, row in zip(axes, rows, strict=True):
        reference, zero, one = (triplets.images[i] for i in triplets.indices[row])
        share = float(triplets.targets[row])
        title = triplets.ids[row] if triplets.categories is None else triplets.categories[row]
        _show(line[1], reference, f"{title}", None)
        for axis, image, votes, distance in zip(
            (line[0], line[2]), (zero, one), (1 - share, share), result.distances[row], strict=True
        ):
            colour = None if votes == 0.5 else AGREED if votes > 0.5 else DISAGREED
            _show(axis, image, f"distance {distance:.3f} · {votes:.0%} of votes", colour)
    title = f"{result.measure}: sure, and people say otherwise (green: their choice)"
    figure.suptitle(title, fontsize=9, parse_math=False, wrap=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _show(axis: Axes, image: Path, caption: str, colour: str | None) -> None:
    axis.imshow(decode(image, SIDE)[0])
    shortened = caption if len(caption) <= LONGEST_CAPTION else f"{caption[: LONGEST_CAPTION - 1]}…"
    axis.set_title(shortened, fontsize=7, parse_math=False)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(colour is not None)
        spine.set_color(colour or "none")
        spine.set_linewidth(3)
