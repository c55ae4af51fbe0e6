"""Decoded, resized images on disk, so that an epoch does not touch JPEG or PNG again."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from datafiles import pixels
from datafiles.errors import BadFile
from training.errors import DataError
from training.manifest import check_hash
from training.progress import Progress, silent


@dataclass(frozen=True)
class ImageCache:
    """m images as one memory-mapped uint8 array (m, size, size, 3), in the order they were asked for."""

    pixels: NDArray[np.uint8]
    sha256: tuple[str, ...]  # of the files' bytes, in the same order

    def __getitem__(self, indices: NDArray[np.int64]) -> torch.Tensor:
        """The images as uint8 (n, 3, size, size)."""
        return torch.from_numpy(self.pixels[indices]).permute(0, 3, 1, 2)

    def __len__(self) -> int:
        return len(self.pixels)


def default_cache_folder() -> Path:
    return Path(os.environ.get("LOOKALIKE_HOME", ".lookalike")) / "training-cache"


def open_cache(
    images: Sequence[Path],
    size: int,
    folder: Path | None = None,
    expected: dict[Path, str] | None = None,
    progress: Progress = silent,
) -> ImageCache:
    """The cache of `images` at `size` × `size` pixels, made now where there is none.

    A file that was changed, by size or modification time, makes another cache. `expected` are hashes from an
    export's manifest. Raises DataError for images that cannot be decoded, hashes that differ, or a full disk;
    a cache is complete or absent.
    """
    folder = (folder or default_cache_folder()) / _key(images, size)
    if not folder.is_dir():
        _build(folder, images, size, progress)
    hashes = tuple(json.loads((folder / "sha256.json").read_text()))
    for path, digest in zip(images, hashes, strict=True):
        if expected and expected.get(path.resolve(), digest) != digest:
            check_hash(path, path.read_bytes(), expected[path.resolve()])
    return ImageCache(load_array(folder / "pixels.npy"), hashes)


def load_array(file: Path) -> NDArray[Any]:
    """A cached array, mapped into memory. Raises DataError for a damaged one."""
    try:
        return cast(NDArray[Any], np.load(file, mmap_mode="r"))
    except (ValueError, EOFError):
        raise DataError(f"{file} is damaged; delete {file.parent} to make what is cached there anew") from None


def _key(images: Sequence[Path], size: int) -> str:
    digest = hashlib.sha256(f"{pixels.RULES} {size}".encode())
    for path in images:
        stat = path.stat()
        digest.update(f"\n{path.resolve()}\t{stat.st_size}\t{stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _build(folder: Path, images: Sequence[Path], size: int, progress: Progress) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f"{folder.name}.{uuid4().hex}")
        draft.mkdir()  # with the umask's mode: colleagues share a cache
    except OSError as error:
        raise DataError(f"{folder.parent}: the image cache cannot be made there ({error.strerror})") from None
    try:
        _fill(draft, images, size, progress)
        if not folder.is_dir():  # another process may have been as quick
            draft.rename(folder)
    except OSError as error:
        needed = len(images) * size * size * 3 / 2**20
        raise DataError(f"{folder.parent}: the image cache ({needed:.0f} MB) failed: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(draft: Path, images: Sequence[Path], size: int, progress: Progress) -> None:
    # Written with write(), not through a fresh memory map: a full disk is then an error, not a SIGBUS.
    hashes = []
    with (draft / "pixels.npy").open("wb") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(images), size, size, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(images), 256):  # map() submits all at once; this bounds what waits in memory
            for decoded, digest in pool.map(lambda path: decode(path, size), images[start : start + 256]):
                file.write(decoded.tobytes())
                hashes.append(digest)
            progress(len(hashes), len(images))
    (draft / "sha256.json").write_text(json.dumps(hashes))


def decode(path: Path, size: int) -> tuple[NDArray[np.uint8], str]:
    """One file as uint8 (size, size, 3) and its sha256. Raises DataError as `read_image` does."""
    image, digest = read_image(path)
    return resize(image, size), digest


def read_image(path: Path) -> tuple[Image.Image, str]:
    """One file in RGB, as a browser shows it on white, and its sha256.

    Raises DataError where it is not a whole image, or one of colours that programs do not agree on.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    try:
        image = pixels.read(content).upright_srgb()
    except BadFile as error:
        raise DataError(f"{path} cannot be used as an image: {error}") from None
    return image, hashlib.sha256(content).hexdigest()


def resize(rgb: Image.Image, size: int) -> NDArray[np.uint8]:
    """An RGB image as uint8, squashed to `size` × `size` by PIL's antialiased bicubic filter, as DreamSim does."""
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(rgb, dtype=np.uint8)
