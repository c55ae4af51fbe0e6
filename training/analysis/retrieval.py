"""Nearest neighbours in a folder of images, through an index file."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from datafiles import pixels
from training.checkpoint import replace_file
from training.errors import DataError
from training.image_cache import decode
from training.metric import Metric
from training.progress import Progress, silent

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
BATCH = 32
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
        similarity = torch.cat([self.embeddings[start : start + CHUNK].float() @ wanted for start in starts])
        best = similarity.topk(min(count, len(self.files)))
        distances = (1 - best.values).clamp(min=0)  # half precision leaves a little above 1
        return [(self.files[i], float(one)) for one, i in zip(distances, best.indices, strict=True)]


def fingerprint(metric: Metric) -> str:
    """Tells one metric's embeddings from another's: a hash of what it makes of fixed noise, and of the rules by which
    files become pixels.
    """
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        rounded = (metric.embed(noise).cpu() * 1000).round().to(torch.int32)
    return hashlib.sha256(bytes([pixels.RULES]) + rounded.numpy().tobytes()).hexdigest()[:16]


def list_images(folder: Path) -> list[Path]:
    """All images below `folder`, in order. Raises DataError where there are none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
    return files


def update_index(metric: Metric, folder: Path, file: Path, progress: Progress = silent) -> Index:
    """The index of `folder`, saved at `file`; only files that are new or changed since are embedded."""
    paths = list_images(folder)
    names = tuple(str(path.relative_to(folder)) for path in paths)
    stamps = tuple(f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths)
    identity = fingerprint(metric)
    known = _known(read_index(file), identity) if file.is_file() else {}
    todo = [i for i, key in enumerate(zip(names, stamps, strict=True)) if key not in known]
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        with torch.inference_mode():
            embeddings = metric.embed([paths[i] for i in batch]).half().cpu()
        known |= {(names[i], stamps[i]): embedding for i, embedding in zip(batch, embeddings, strict=True)}
        progress(min(start + BATCH, len(todo)), len(todo))
    index = Index(torch.stack([known[key] for key in zip(names, stamps, strict=True)]), names, stamps, identity)
    write_index(index, file)
    return index


def _known(index: Index, metric: str) -> dict[tuple[str, str], Tensor]:
    if index.metric != metric:
        return {}
    return dict(zip(zip(index.files, index.stamps, strict=True), index.embeddings, strict=True))


def write_index(index: Index, file: Path) -> None:
    described = {"files": json.dumps(index.files), "stamps": json.dumps(index.stamps), "metric": index.metric}
    replace_file(file, lambda draft: save_file({"embeddings": index.embeddings}, draft, metadata=described))


def read_index(file: Path) -> Index:
    """Raises DataError where the file is no index."""
    try:
        with safe_open(file, framework="pt") as opened:
            described = opened.metadata()
            embeddings = opened.get_tensor("embeddings")
        files, stamps = (tuple(json.loads(described[name])) for name in ("files", "stamps"))
        return Index(embeddings, files, stamps, described["metric"])
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
        axis.imshow(decode(file, 224)[0])
        axis.set_title(caption, fontsize=9, fontweight="bold" if file == query else "normal")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
