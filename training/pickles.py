"""Files that torch.save wrote, read without running anything in them."""

from pathlib import Path
from typing import Any
from warnings import catch_warnings
from zipfile import is_zipfile

import torch


class DamagedPickleError(Exception):
    """A file that is cut, empty, of another kind, or that holds more than tensors and plain values."""


def load_plain(file: Path) -> Any:
    """Tensors and plain values, on the CPU. Raises DamagedPickleError in words, OSError where it cannot be read."""
    file.open("rb").close()
    try:
        with catch_warnings(action="ignore"):  # torch's, of pickles that it then refuses
            # older files, torchvision's VGG-16 among them, are not in the ZIP format that can be mapped
            return torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
    except Exception:  # torch lets out whatever its reader stumbles over: EOFError, KeyError, struct.error and more
        raise DamagedPickleError(
            f"its {file.stat().st_size:,} bytes are cut, damaged, of another kind, or hold more than tensors"
        ) from None
