"""What people pass to a metric, as one kind of tensor: files, PIL images, arrays, tensors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from datafiles import pixels
from datafiles.errors import BadFile
from training.errors import DataError
from training.image_cache import decode, resize

Array = NDArray[Any]
ImageLike = str | Path | Image.Image | Tensor | Array
Images = ImageLike | Iterable[ImageLike]
ONE_OR_BATCH = (str, Path, Image.Image, Tensor, np.ndarray)

ROUNDING = 1e-3  # beyond [0, 1]: what a filter or half precision leaves
SHAPES = "(3, h, w) or (n, 3, h, w)"
ARRAY_SHAPES = f"(h, w, 3), (n, h, w, 3), {SHAPES}"


def list_images(images: Images) -> list[ImageLike]:
    """One image or several, as a list. Raises DataError where there is none."""
    if isinstance(images, ONE_OR_BATCH):
        listed: list[ImageLike] = [images]
    elif isinstance(images, Iterable) and not isinstance(images, bytes):
        listed = list(images)
    else:
        raise _no_image(images)
    if sum(map(count_images, listed)) == 0:
        raise DataError("no image was given: the list or tensor is empty")
    return listed


def is_single(images: Images) -> bool:
    return isinstance(images, ONE_OR_BATCH) and getattr(images, "ndim", 3) != 4


def count_images(image: ImageLike) -> int:
    return len(image) if isinstance(image, Tensor | np.ndarray) and image.ndim == 4 else 1


def describe_image(image: ImageLike) -> str:
    return str(image) if isinstance(image, str | Path) else type(image).__name__


def prepare(image: ImageLike, size: int) -> Tensor:
    """One image as floats (3, size, size) in [0, 1], or a batch of them as (n, 3, size, size).

    Files, PIL images and uint8 arrays are squashed by PIL's antialiased bicubic filter, everything else by
    torch's, through which gradients pass. Raises DataError for anything that is no image, or not in [0, 1].
    """
    if isinstance(image, np.ndarray):
        return _from_array(image, size)
    if isinstance(image, Tensor):
        return _from_tensor(image, size)
    if isinstance(image, Image.Image):
        return _from_pixels(_from_pil(image, size))
    if isinstance(image, str | Path):
        return _from_pixels(decode(Path(image), size)[0])
    raise _no_image(image)


def _no_image(found: object) -> DataError:
    return DataError(f"an image is a file name, a PIL image, an array or a tensor, not {type(found).__name__}")


def _from_pixels(rgb: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255


def _from_pil(image: Image.Image, size: int) -> NDArray[np.uint8]:
    try:
        return resize(pixels.of_pillow(image).upright_srgb(), size)
    except BadFile as error:
        name = getattr(image, "filename", "") or "a PIL image"
        raise DataError(f"{name} cannot be used as an image: {error}") from None


def _from_array(array: Array, size: int) -> Tensor:
    """NumPy's images have their channels last, as PIL and OpenCV read them; torch's order is taken, too."""
    if array.ndim == 4:
        return torch.stack([_from_array(one, size) for one in array])
    last, first = (array.ndim == 3 and array.shape[axis] == 3 for axis in (-1, 0))
    if last == first or 0 in array.shape:
        raise DataError(f"an array of images must be {ARRAY_SHAPES} of red, green and blue, not {array.shape}")
    channels_last = array if last else array.transpose(1, 2, 0)
    if array.dtype == np.uint8:
        return _from_pixels(resize(Image.fromarray(np.ascontiguousarray(channels_last)), size))
    _require_floats(array.dtype, np.issubdtype(array.dtype, np.floating))
    return _from_tensor(torch.from_numpy(channels_last.transpose(2, 0, 1).astype(np.float32)), size)


def _from_tensor(image: Tensor, size: int) -> Tensor:
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or 0 in image.shape:
        raise DataError(f"a tensor of images must be {SHAPES}, not {tuple(image.shape)}")
    if image.dtype == torch.uint8:
        image = image.float() / 255
    _require_floats(image.dtype, image.is_floating_point())
    image = image.float()
    _require_unit_range(image)
    if image.shape[-2:] == (size, size):
        return image
    batch = image if image.ndim == 4 else image.unsqueeze(0)
    batch = torch.nn.functional.interpolate(batch, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return batch if image.ndim == 4 else batch.squeeze(0)


def _require_floats(dtype: object, floating: bool) -> None:
    if not floating:
        raise DataError(f"pixels must be floats in [0, 1] or uint8 from 0 to 255, not {dtype}")


def _require_unit_range(image: Tensor) -> None:
    low, high = (float(edge.detach()) for edge in image.aminmax())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # NaN is in no range
        raise DataError(
            f"pixels must be in [0, 1], and these are in [{low:g}, {high:g}]: from [-1, 1] take (x + 1) / 2, from "
            "[0, 255] take x / 255, and clamp what leaves [0, 1]"
        )
