"""The images of a folder: which there are, and which can be read."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from training.errors import DataError
from training.metric import Metric

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def list_images(folder: Path) -> list[Path]:
    """All images below `folder`, in order, links followed, without hidden files and folders (`._photo.png`).

    Raises DataError where there are none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder")
    files = sorted(path for path in _walk(folder) if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
    return files


def _walk(folder: Path) -> Iterator[Path]:
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link back to a folder that holds it
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in names if not name.startswith("."))


def read_images(
    metric: Metric, files: Sequence[Path], on_bad: Callable[[str], None]
) -> tuple[list[Path], list[Tensor]]:
    """Those of `files` that can be read, and each as (3, s, s); `on_bad` is told what is wrong with the others."""
    kept, pixels = [], []
    for file in files:
        try:
            pixels.append(metric.preprocess(file))
            kept.append(file)
        except DataError as error:
            on_bad(str(error))
    return kept, pixels
