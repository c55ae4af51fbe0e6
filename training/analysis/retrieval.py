"""Nearest neighbours in a folder of images, through an index file."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from datafiles import pixels
from training.analysis.image_folder import list_images, read_images
from training.checkpoint import replace_file
from training.errors import DataError
from training.image_cache import decode
from training.metric import Metric, require_numbers
from training.outputs import require_file
from training.progress import Progress, silent

T = TypeVar("T")
Key = tuple[str, str]  # a file's name below the folder, and its size and time
Embeddings = dict[Key, Tensor]
BATCH = 32
SAVE_EVERY = 20  # seconds
SIDE = 224  # pixels of an image in the picture
CHUNK = 16384  # rows searched at once: bounds memory, whatever the folder's size


@dataclass(frozen=True)
class Index:
    """Embeddings (n, f) in half precision, with the file that each is of and that file's size and time."""

    embeddings: Tensor
    files: tuple[str, ...]
    stamps: tuple[str, ...]
    metric: str

    def nearest(self, query: Tensor, count: int) -> list[tuple[str, float]]:
        """The `count` files closest to one embedding (f,), with their distances, closest first."""
        wanted = query.float().cpu()
        starts = range(0, len(self.files), CHUNK)
        chunks = (self.embeddings[start : start + CHUNK].float() for start in starts)
        # of unit length again: half precision changes lengths by more than it turns
        similarity = torch.cat([normalize(chunk, dim=1) @ wanted for chunk in chunks])
        best = similarity.topk(min(count, len(self.files)))
        distances = (1 - best.values).clamp(min=0)
        return [(self.files[i], float(one)) for one, i in zip(distances, best.indices, strict=True)]


def fingerprint(metric: Metric) -> str:
    """Tells one metric's embeddings from another's: a hash of what it makes of fixed noise, and of the rules by which
    files become pixels.
    """
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        rounded = (metric.embed(noise).cpu() * 1000).round().to(torch.int32)
    return hashlib.sha256(bytes([pixels.RULES]) + rounded.numpy().tobytes()).hexdigest()[:16]


def check_index(file: Path) -> None:
    """Raises OutputError where no index can be written at `file`, DataError where something else is there."""
    require_file(file)
    if file.exists():
        _read(file, lambda opened: opened.metadata()["metric"])


def update_index(
    metric: Metric,
    folder: Path,
    file: Path,
    progress: Progress = silent,
    on_bad: Callable[[str], None] = lambda _reason: None,
) -> Index:
    """The index of `folder`, saved at `file`; only images that are new or changed since are embedded.

    It is saved as it grows, and whatever ends the work: the next call goes on from there. `on_bad` is told of every
    file that cannot be read, which is left out. Raises DataError where none can.
    """
    files = {path: (str(path.relative_to(folder)), _stamp(path)) for path in list_images(folder)}
    identity = fingerprint(metric)
    known = _known(read_index(file), identity) if file.is_file() else {}
    todo = [path for path, key in files.items() if key not in known]
    due = time.monotonic() + SAVE_EVERY
    try:
        for start in range(0, len(todo), BATCH):
            read, images = read_images(metric, todo[start : start + BATCH], on_bad)
            known |= zip((files[path] for path in read), _embeddings(metric, read, images), strict=True)
            progress(min(start + BATCH, len(todo)), len(todo))
            if time.monotonic() > due:
                took = write_index(_index(known, files.values(), identity), file)
                due = time.monotonic() + max(SAVE_EVERY, 20 * took)
    finally:
        if not known.keys().isdisjoint(files.values()):
            write_index(_index(known, files.values(), identity), file)
    if known.keys().isdisjoint(files.values()):
        raise DataError(f"{folder} holds no image that can be read")
    return _index(known, files.values(), identity)


def _embeddings(metric: Metric, files: list[Path], images: list[Tensor]) -> list[Tensor]:
    if not files:
        return []
    with torch.inference_mode():
        embeddings = metric.model(torch.stack(images).to(metric.device))
    require_numbers(embeddings, [str(file) for file in files])
    return list(embeddings.half().cpu())


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _known(index: Index, metric: str) -> Embeddings:
    if index.metric != metric:
        return {}
    return dict(zip(zip(index.files, index.stamps, strict=True), index.embeddings, strict=True))


def _index(known: Embeddings, files: Iterable[Key], metric: str) -> Index:
    """Of `files`, in their order, those that are known."""
    keys = [key for key in files if key in known]
    names, stamps = zip(*keys, strict=True)
    return Index(torch.stack([known[key] for key in keys]), names, stamps, metric)


def write_index(index: Index, file: Path) -> float:
    """Replaces the file in one piece; the seconds it took."""
    start = time.monotonic()
    described = {"files": json.dumps(index.files), "stamps": json.dumps(index.stamps), "metric": index.metric}
    replace_file(file, lambda draft: save_file({"embeddings": index.embeddings}, draft, metadata=described))
    return time.monotonic() - start


def read_index(file: Path) -> Index:
    """Raises DataError where the file is no index."""
    index = _read(file, _whole_index)
    if not index.embeddings.isfinite().all():
        raise DataError(f"{file} holds NaN; delete it to make a new one")
    return index


def _whole_index(opened: Any) -> Index:
    described = opened.metadata()
    files, stamps = (tuple(json.loads(described[name])) for name in ("files", "stamps"))
    return Index(opened.get_tensor("embeddings"), files, stamps, described["metric"])


def _read(file: Path, what: Callable[[Any], T]) -> T:
    try:
        with safe_open(file, framework="pt") as opened:
            return what(opened)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} is no index of images ({error}); delete it to make a new one") from None


def draw_neighbours(path: Path, query: Path, folder: Path, found: Sequence[tuple[str, float]]) -> None:
    """The query, then its neighbours with their distances."""
    columns = min(6, len(found) + 1)
    rows = -(-(len(found) + 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.1 * columns, 2.35 * rows), squeeze=False)
    shown = [(query, "query"), *((folder / name, f"{distance:.3f}") for name, distance in found)]
    for axis in axes.flat:
        axis.axis("off")
    for axis, (file, caption) in zip(axes.flat, shown, strict=False):
        axis.imshow(decode(file, SIDE)[0])
        axis.set_title(caption, fontsize=9, fontweight="bold" if caption == "query" else "normal")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
