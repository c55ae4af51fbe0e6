"""The metric for people who only want the metric."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from datafiles import pixels
from datafiles.errors import BadFile
from training.devices import choose_device
from training.dreamsim import LORA_FOLDER, is_dreamsim_folder, load_dreamsim
from training.errors import CheckpointError, DataError
from training.image_cache import decode, resize
from training.models import PerceptualModel, distance, merge_lora
from training.run_folder import is_run, load_run

ImageLike = str | Path | Image.Image | Tensor
Images = ImageLike | Sequence[ImageLike]


class Metric:
    """Perceptual distance between images: 0 for the same embedding, at most 2.

    Images are file names, PIL images, or tensors in [0, 1] of (3, h, w) or (n, 3, h, w), alone or in a list.
    Files and PIL images are taken as a browser shows them (`datafiles.pixels`): upright, in sRGB, on white. Of a
    PNG's cICP chunk Pillow knows nothing, so give such files by name.
    Gradients reach the pixels of a tensor that asks for them, so the metric serves as a loss.
    """

    def __init__(self, model: PerceptualModel, device: torch.device) -> None:
        self.model = merge_lora(model).eval().requires_grad_(False).to(device)
        self.device = device

    def __call__(self, a: Images, b: Images) -> Tensor:
        """Distances (n,), a scalar for two single images; one image against several is compared with each."""
        distances = distance(self.embed(a), self.embed(b))
        return distances.squeeze(0) if _is_single(a) and _is_single(b) else distances

    def embed(self, images: Images) -> Tensor:
        """Embeddings (n, f) of unit length, so that 1 − their dot product is the distance."""
        listed = [images] if isinstance(images, str | Path | Image.Image | Tensor) else list(images)
        prepared = [self.preprocess(image) for image in listed]
        batches = [image if image.ndim == 4 else image.unsqueeze(0) for image in prepared]
        embeddings: Tensor = self.model(torch.cat(batches).to(self.device))
        return embeddings

    def preprocess(self, image: ImageLike) -> Tensor:
        """One image as (3, s, s) in [0, 1]: squashed to the model's size by an antialiased bicubic filter.

        Tensors come back as they are, or resized where their size differs.
        """
        size = self.model.image_size
        if isinstance(image, Tensor):
            return _resize_tensor(image, size)
        prepared = _prepare_pil(image, size) if isinstance(image, Image.Image) else decode(Path(image), size)[0]
        return torch.from_numpy(prepared.copy()).permute(2, 0, 1).float() / 255


def _is_single(images: Images) -> bool:
    if isinstance(images, Tensor):
        return images.ndim == 3
    return isinstance(images, str | Path | Image.Image)


def _prepare_pil(image: Image.Image, size: int) -> NDArray[np.uint8]:
    try:
        return resize(pixels.of_pillow(image).upright_srgb(), size)
    except BadFile as error:
        name = getattr(image, "filename", "") or "a PIL image"
        raise DataError(f"{name} cannot be used as an image: {error}") from None


def _resize_tensor(image: Tensor, size: int) -> Tensor:
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or not image.is_floating_point():
        raise DataError(f"a tensor of images must be floats of (3, h, w) or (n, 3, h, w), not {tuple(image.shape)}")
    if image.shape[-2:] == (size, size):
        return image
    batch = image if image.ndim == 4 else image.unsqueeze(0)
    batch = torch.nn.functional.interpolate(batch, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return batch if image.ndim == 4 else batch.squeeze(0)


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
