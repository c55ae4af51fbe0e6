"""The metric for people who only want the metric."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.devices import choose_device
from training.dreamsim import LORA_FOLDER, is_dreamsim_folder, load_dreamsim
from training.errors import CheckpointError, DataError
from training.metric_inputs import ImageLike, Images, count_images, describe_image, is_single, list_images, prepare
from training.models import PerceptualModel, distance, merge_lora
from training.run_folder import is_run, load_run

BATCH = 32  # images at once: a ViT-B/16 takes about 7 MB for each


class Metric:
    """Perceptual distance between images: 0 for the same embedding, at most 2.

    Images are file names, PIL images, NumPy arrays (uint8, or floats in [0, 1]; (h, w, 3) or (3, h, w)), or
    tensors (the same; (3, h, w) or (n, 3, h, w)), alone or in a list. Files and PIL images are taken as a browser
    shows them (`datafiles.pixels`): upright, in sRGB, on white. Of a PNG that it has decoded, Pillow forgets the cICP
    chunk: give such files by name. Gradients reach the pixels of a tensor that asks for them, so the metric serves as a
    loss. Raises DataError for what is no image.
    """

    def __init__(self, model: PerceptualModel, device: torch.device) -> None:
        self.model = merge_lora(model).eval().requires_grad_(False).to(device)
        self.device = device

    def __call__(self, a: Images, b: Images) -> Tensor:
        """Distances (n,), a scalar for two single images; one image against several is compared with each.

        Raises DataError where both are several, and not as many.
        """
        left, right = list_images(a), list_images(b)
        counts = [sum(map(count_images, images)) for images in (left, right)]
        if counts[0] != counts[1] and 1 not in counts:
            raise DataError(f"{counts[0]} images cannot be compared with {counts[1]}: give as many, or one")
        distances = distance(self.embed(left), self.embed(right))
        return distances.squeeze(0) if is_single(a) and is_single(b) else distances

    def embed(self, images: Images) -> Tensor:
        """Embeddings (n, f) of unit length, so that 1 − their dot product is the distance; in batches.

        Raises DataError naming an image whose embedding is not a number.
        """
        listed, parts = list_images(images), []
        for start in range(0, len(listed), BATCH):
            prepared = [self.preprocess(image).to(self.device) for image in listed[start : start + BATCH]]
            pixels = torch.cat([image if image.ndim == 4 else image.unsqueeze(0) for image in prepared])
            parts += [self.model(batch) for batch in torch.split(pixels, BATCH)]
        embeddings = torch.cat(parts)
        require_numbers(embeddings, [describe_image(image) for image in listed for _ in range(count_images(image))])
        return embeddings

    def preprocess(self, image: ImageLike) -> Tensor:
        """One image as (3, s, s) in [0, 1], squashed to the model's size; a batch as (n, 3, s, s).

        Raises DataError for what is no image.
        """
        return prepare(image, self.model.image_size)


def require_numbers(embeddings: Tensor, names: Sequence[str]) -> None:
    """Raises DataError naming the first image whose embedding is not finite."""
    bad = (~embeddings.isfinite().all(dim=1)).nonzero()
    if len(bad):
        row = int(bad[0])
        raise DataError(f"the metric gives NaN for image {row + 1} of {len(names)} ({names[row]})")


def load_metric(folder: str | Path, device: str = "auto") -> Metric:
    """The metric of a training run, or of a folder in the published DreamSim layout.

    Raises a TrainingError that says what is missing or does not fit.
    """
    return Metric(load_model(Path(folder)), choose_device(device))


def load_model(folder: Path) -> PerceptualModel:
    if is_run(folder):
        return load_run(folder)
    if is_dreamsim_folder(folder):
        return load_dreamsim(folder)
    raise CheckpointError(f"{folder} is neither a run (experiment.json) nor a DreamSim folder ({LORA_FOLDER})")
