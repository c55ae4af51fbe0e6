"""A run as it goes by: a progress bar, TensorBoard, and at the end a picture of the curves."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from training.batches import Batch
from training.checkpoint import Progress as Standing
from training.console import say
from training.validation import agreement_text

CURVES_FILE = "curves.png"
SMOOTHING = 0.9


class RunWatcher:
    """Shows loss, agreement, images/s and time left; writes the same to TensorBoard in the run's folder."""

    def __init__(self, folder: Path, epochs: int, standing: Standing, console: Console, enabled: bool) -> None:
        """Of several processes only the first is `enabled`; the others see nothing."""
        self.epochs = epochs
        self.console = console
        self.loss: float | None = None
        self.speed: float | None = None
        self.last = time.perf_counter()
        # what an interrupted run wrote beyond its saved state is written again
        purge = standing.step + 1
        self.writer = SummaryWriter(folder / "tensorboard", purge_step=purge) if enabled else None
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not enabled,
        )
        self.task = self.bar.add_task("training", total=None, state="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        if self.writer:
            self.writer.close()

    def batch(self, progress: Standing, batch: Batch, loss: float, agreed: float, batches: int) -> None:
        now = time.perf_counter()
        self.loss = _smooth(self.loss, loss)
        self.speed = _smooth(self.speed, len(batch.images) / (now - self.last))
        self.last = now
        self._curve("train", progress.step, loss, agreed)
        self.bar.update(
            self.task,
            description=f"epoch {progress.epoch}/{self.epochs}",
            total=self.epochs * batches,
            completed=(progress.epoch - 1) * batches + progress.batch,
            state=f"loss {self.loss:.4f} · agreement {100 * agreed:.0f} % · {self.speed:.1f} images/s",
        )

    def epoch(self, record: dict[str, float]) -> None:
        self._curve("val", int(record["step"]), record["val_loss"], record["val_agreement"])
        self.last = time.perf_counter()
        say(
            self.console,
            f"epoch {int(record['epoch']):3d}   validation loss {record['val_loss']:.4f}   "
            f"agreement {agreement_text(record)}",
        )

    def _curve(self, part: str, step: int, loss: float, agreed: float) -> None:
        if self.writer:
            self.writer.add_scalar(f"{part}/loss", loss, step)
            self.writer.add_scalar(f"{part}/agreement", agreed, step)


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else SMOOTHING * before + (1 - SMOOTHING) * now


def draw_curves(folder: Path, history: list[dict[str, float]]) -> None:
    """Loss and agreement by epoch, as `curves.png` in the run's folder."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for axis, name, label, scale in zip(
        axes, ("loss", "agreement"), ("hinge loss", "agreement, %"), (1, 100), strict=True
    ):
        for part, colour in (("train", "#8c959f"), ("val", "#0969da")):
            points = [
                (record["epoch"], scale * record[f"{part}_{name}"]) for record in history if f"{part}_{name}" in record
            ]
            axis.plot(*zip(*points, strict=True), "o-", markersize=3, color=colour, label=part) if points else None
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.legend()
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / CURVES_FILE, dpi=130)
    plt.close(figure)


@contextmanager
def counting(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that reports (done, total)."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
