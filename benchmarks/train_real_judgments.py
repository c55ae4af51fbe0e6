"""What training learns from real judgments with a real network on two cores, as curves.

    python -m benchmarks.train_real_judgments [zappos] [material]

zappos: LoRA on a ViT-S/14 with 98,198 triplets of 60 photographs. A quarter of the images is held out, and
the score is on triplets of held-out images alone; three seeds on the first split, then one on each of two
other splits. material: the residual MLP on frozen features with 22,801 triplets of 100 renders, one triplet
in five held out; the score against the majority, ties left out, before and after.

The settings are those of `training/experiments/dense-judgments-*.toml`; the number of epochs is fixed
beforehand, and the score is that of the last epoch.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.shared import SHARED, require
from training.config import Experiment, load_experiment
from training.session import open_session
from training.train import train

ROOT = Path(__file__).resolve().parents[1]
TOWER = SHARED / "models/dinov2-small"


class Curve:
    """A watcher that keeps agreement by time."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.points: list[tuple[float, int, float]] = []

    def batch(self, *_: object) -> None: ...

    def epoch(self, record: dict[str, float]) -> None:
        seconds = time.perf_counter() - self.start
        self.points.append((seconds, int(record["step"]), 100 * record["val_agreement"]))


def experiment(name: str, seed: int, split: int) -> Experiment:
    """An experiment of the project with the tower at hand instead of DINOv2 ViT-B."""
    loaded = load_experiment(ROOT / f"training/experiments/{name}.toml")
    tower = loaded.model.towers[0].model_copy(update={"source": str(TOWER)})
    model = loaded.model.model_copy(update={"towers": (tower,)})
    holdout = loaded.data.holdout.model_copy(update={"seed": split})
    data = loaded.data.model_copy(update={"holdout": holdout})
    return loaded.model_copy(update={"seed": seed, "model": model, "data": data})


def run(name: str, data: str, seed: int, split: int) -> None:
    require(TOWER, SHARED / "data" / data)
    with tempfile.TemporaryDirectory() as folder:
        curve = Curve()
        session = open_session(
            experiment(name, seed, split), SHARED / "data" / data, Path(folder) / "run", "cpu",
            cache_folder=Path(folder) / "cache",
        )  # fmt: skip
        train(session, curve)
    sizes = f"{len(session.train.triplets)} triplets to learn from, {len(session.val.triplets)} to score"
    print(f"{data}, seed {seed}, split {split}: {sizes}; {str(session.precision).removeprefix('torch.')}")
    print("  steps   " + " ".join(f"{step:5d}" for _, step, _ in curve.points))
    print("  score % " + " ".join(f"{score:5.1f}" for *_, score in curve.points))
    print("  seconds " + " ".join(f"{seconds:5.0f}" for seconds, *_ in curve.points))
    print(
        f"  {curve.points[0][2]:.1f} % → {curve.points[-1][2]:.1f} % in {curve.points[-1][0]:.0f} s",
        flush=True,
    )


def main() -> None:
    wanted = sys.argv[1:] or ["zappos", "material"]
    if "zappos" in wanted:
        for seed, split in ((0, 0), (1, 0), (2, 0), (0, 1), (0, 2)):
            run("dense-judgments-lora", "zappos60", seed, split)
    if "material" in wanted:
        for seed in range(3):
            run("dense-judgments-mlp", "material100", seed, 0)


if __name__ == "__main__":
    main()
