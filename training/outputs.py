"""Whether a result can be written, asked before hours go into it."""

import os
import tempfile
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase

from training.errors import OutputError


def require_picture(path: Path) -> None:
    """Raises OutputError where no picture can be written at `path`, saying why."""
    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.lstrip(".").lower() not in kinds:
        raise OutputError(f"{path}: the name of a picture ends in .png, or in .{', .'.join(kinds)}")
    require_file(path)


def require_file(path: Path) -> None:
    """Raises OutputError where no file can be written at `path`, saying why; nothing is changed there."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path} is there already and cannot be replaced")
    _require_writable(path.parent)


def require_folder(path: Path) -> None:
    """Raises OutputError where a folder cannot be made or written at `path`, saying why; none is made yet."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise OutputError(f"{path} cannot be a folder: {there} is a file")
    _require_writable(there)


def _require_writable(folder: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OutputError(f"nothing can be written in {folder} ({error.strerror})") from None
