"""Training and embedding speed against plain loops on the same tower, data and machine, in one run.

    python -m benchmarks.train_speed [--tower FOLDER] [--data NIGHTS_FOLDER] [--steps 10] [--seeds 3]
    [--device cpu]

The baseline is what the official DreamSim code does: images decoded from their files for every batch, the
reference embedded once for each candidate (four forward passes a triplet), float32, eager attention. Ours is
`training.train` as it stands, in float32 and, where the processor multiplies it natively, in bfloat16, also
with `compile = true`. All loops start from the same adapters and take the same triplets in the same order; no
image is in two triplets, and dropout is off, so that their losses can be compared. A third of the triplets is
for validation. Every loop runs in a process of its own, the loops in turn for each seed. Speeds are those of
each loop's fastest step, which is never the one that compiles: other work on the machine only adds time, on
the wall and in CPU time; with OMP_NUM_THREADS=1 the latter depends little on what else runs. Images/s count
three images a triplet.
"""

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, inject_adapter_in_model
from PIL import Image
from transformers import AutoModel

from benchmarks.shared import SHARED, require
from training.batches import batches_of_epoch
from training.config import Experiment, parse_experiment
from training.devices import choose_device, has_bfloat16
from training.metric import Metric
from training.models import build_model, load_trainable_state, trainable_state
from training.session import open_session, read_experiment_data
from training.train import train, validate

ROOT = Path(__file__).resolve().parents[1]
BATCH = 8
EPOCHS = 1000  # more than any number of steps takes
MEAN, STD = ([[[0.485]], [[0.456]], [[0.406]]], [[[0.229]], [[0.224]], [[0.225]]])


def experiment(tower: str, seed: int, precision: str, compiled: bool = False) -> Experiment:
    table = {
        "seed": seed,
        "model": {"towers": [{"source": tower}], "lora": {"rank": 16, "alpha": 16, "dropout": 0.0}},
        "train": {
            "batch_size": BATCH,
            "learning_rate": 3e-4,
            "precision": precision,
            "compile": compiled,
            "epochs": EPOCHS,
        },
    }
    return parse_experiment(table, ROOT / "experiment.toml")


class EnoughError(Exception):
    """The last step was taken."""


class Clock:
    """Seconds on the wall, and seconds that this process's threads computed, since the last lap."""

    def __init__(self) -> None:
        self.last = (time.perf_counter(), time.process_time())

    def lap(self) -> tuple[float, float]:
        now = (time.perf_counter(), time.process_time())
        before, self.last = self.last, now
        return now[0] - before[0], now[1] - before[1]


class Stopwatch:
    """A watcher that keeps the time of every step and stops after the last."""

    def __init__(self, steps: int) -> None:
        self.steps, self.times, self.clock = steps, [], Clock()

    def batch(self, *_: object) -> None:
        self.times.append(self.clock.lap())
        if len(self.times) == self.steps:
            raise EnoughError

    def epoch(self, _record: dict[str, float]) -> None:
        self.clock.lap()


def ours(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    _, precision, *compiled = arguments.loop.split("-")
    settings = experiment(arguments.tower, arguments.seed, precision, bool(compiled))
    session = open_session(settings, arguments.data, folder / "run", arguments.device, cache_folder=folder.parent)
    watch = Stopwatch(arguments.steps)
    try:
        train(session, watch)
    except EnoughError:
        return {"times": watch.times, "loss": final_loss(arguments, trainable_state(session.model), folder)}
    raise SystemExit("the data has fewer batches than --steps")


def straightforward(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Four forward passes a triplet, float32, no cache, eager attention: plain transformers and peft."""
    settings = experiment(arguments.tower, arguments.seed, "float32")
    device = choose_device(arguments.device)
    triplets = read_experiment_data(settings, arguments.data)
    part = triplets.split("train")
    network = AutoModel.from_pretrained(arguments.tower, dtype=torch.float32, attn_implementation="eager").to(device)
    network.requires_grad_(False)
    lora = LoraConfig(r=16, lora_alpha=16, lora_dropout=0.0, target_modules=["q_proj", "k_proj", "v_proj"])
    inject_adapter_in_model(lora, network)
    start = trainable_state(build_model(settings.model, arguments.seed))
    named = dict(network.named_parameters())
    for name, tensor in start.items():
        own = name.removeprefix("towers.0.backbone.").replace(".weight", ".default.weight")
        named[own].data.copy_(tensor)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=3e-4)
    mean, std = (torch.tensor(values, device=device) for values in (MEAN, STD))

    def load(rows: np.ndarray) -> torch.Tensor:
        images = []
        for row in rows:
            with Image.open(part.images[row]) as image:
                squashed = image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            images.append(torch.from_numpy(np.array(squashed)).permute(2, 0, 1).float() / 255)
        return torch.stack(images).to(device)

    def embed(images: torch.Tensor) -> torch.Tensor:
        features = network((images - mean) / std).last_hidden_state[:, 0]
        features = features - features.mean(dim=1, keepdim=True)
        return torch.nn.functional.normalize(features, dim=1)

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return 1 - torch.nn.functional.cosine_similarity(embed(a), embed(b))

    times, clock = [], Clock()
    epochs = (batches_of_epoch(part, settings.train, arguments.seed, epoch) for epoch in range(1, EPOCHS))
    for batch in islice(chain.from_iterable(epochs), arguments.steps):
        reference, zero, one = (load(batch.images[batch.triplets[:, i]]) for i in range(3))
        difference = distance(reference, zero) - distance(reference, one)
        target = torch.from_numpy(batch.targets).to(device)
        loss = (1 - target) * (0.05 + difference).relu() + target * (0.05 - difference).relu()
        loss.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(clock.lap())
    trained = {
        name: named[name.removeprefix("towers.0.backbone.").replace(".weight", ".default.weight")] for name in start
    }
    return {"times": times, "loss": final_loss(arguments, trained, folder)}


def final_loss(arguments: argparse.Namespace, state: dict[str, torch.Tensor], folder: Path) -> float:
    """The validation loss of trained adapters, in float32 whatever they were trained in."""
    settings = experiment(arguments.tower, arguments.seed, "float32")
    check = folder / "check"
    session = open_session(settings, arguments.data, check, arguments.device, cache_folder=folder.parent)
    plain = {name: tensor.detach().cpu() for name, tensor in state.items()}
    load_trainable_state(session.model, plain, check)
    return validate(session)[0]


def embedding(arguments: argparse.Namespace, _folder: Path) -> dict[str, Any]:
    """Seconds for one batch through `metric.embed`, and through the bare tower, in turn."""
    device = choose_device(arguments.device)
    metric = Metric(build_model(experiment(arguments.tower, 0, "float32").model), device)
    bare = AutoModel.from_pretrained(arguments.tower, dtype=torch.float32, attn_implementation="sdpa").eval().to(device)
    images = torch.rand(32, 3, 224, 224, device=device)
    times: dict[str, list[tuple[float, float]]] = {"bare": [], "embed": []}
    with torch.inference_mode():
        for _ in range(1 + arguments.steps):
            for name, call in (("bare", bare), ("embed", metric.embed)):
                clock = Clock()
                call(images)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                times[name].append(clock.lap())
    return {name: values[1:] for name, values in times.items()}


LOOPS = {
    "straightforward": straightforward,
    "ours-float32": ours,
    "ours-bfloat16": ours,
    "ours-bfloat16-compiled": ours,
    "embedding": embedding,
}


def measure(loop: str, seed: int, arguments: argparse.Namespace, cache: Path) -> dict[str, Any]:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.train_speed",
        "--loop",
        loop,
        "--seed",
        str(seed),
        "--cache",
        str(cache),
    ]
    command += ["--tower", arguments.tower, "--data", str(arguments.data), "--steps", str(arguments.steps)]
    command += ["--device", arguments.device]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def speeds(results: list[dict[str, Any]]) -> tuple[float, float]:
    """Images per second, and per second of computing, each by the fastest step of all seeds."""
    wall, computing = zip(*(step for result in results for step in result["times"]), strict=True)
    return 3 * BATCH / min(wall), 3 * BATCH / min(computing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tower", default=str(SHARED / "models/dinov2-small"))
    parser.add_argument("--data", type=Path, default=SHARED / "data/nights60")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        with tempfile.TemporaryDirectory(dir=arguments.cache) as folder:
            print(json.dumps(LOOPS[arguments.loop](arguments, Path(folder))))
        return
    require(Path(arguments.tower), arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        arguments.data = with_more_validation(arguments.data, Path(folder) / "data")
        report(arguments, Path(folder))


def with_more_validation(data: Path, copy: Path) -> Path:
    """The same triplets with every third for validation; a whole number of batches is left for training."""
    shutil.copytree(data, copy)
    with (data / "data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["split"] = "val" if i % 3 == 0 else "train"
    spare = sum(row["split"] == "train" for row in rows) % BATCH
    for row in [row for row in rows if row["split"] == "train"][:spare]:
        row["split"] = "spare"
    with (copy / "data.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return copy


def report(arguments: argparse.Namespace, cache: Path) -> None:
    device = choose_device(arguments.device)
    loops = [name for name in LOOPS if name != "embedding" and (has_bfloat16(device) or "bfloat16" not in name)]
    results: dict[str, list[dict[str, Any]]] = {loop: [] for loop in loops}
    print(f"{device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}, ", end="")
    print(f"native bfloat16: {'yes' if has_bfloat16(device) else 'no'}")
    for seed in range(arguments.seeds):
        for loop in loops:
            result = measure(loop, seed, arguments, cache)
            results[loop].append(result)
            wall, computing = speeds([result])
            figures = f"{wall:6.2f} images/s {computing:6.2f} images/CPU s   loss {result['loss']:.5f}"
            print(f"seed {seed}  {loop:22s} {figures}", flush=True)
    base = results["straightforward"]
    base_loss = statistics.mean(result["loss"] for result in base)
    for loop in loops[1:]:
        wall, computing = (own / other for own, other in zip(speeds(results[loop]), speeds(base), strict=True))
        change = 100 * (statistics.mean(result["loss"] for result in results[loop]) / base_loss - 1)
        ratio = f"{wall:.2f} times the straightforward loop ({computing:.2f} by CPU time)"
        print(f"{loop}: {ratio}, loss {change:+.2f} %")
    times = measure("embedding", 0, arguments, cache)
    bare, own = ([min(column) for column in zip(*times[name], strict=True)] for name in ("bare", "embed"))
    shares = [100 * b / o for b, o in zip(bare, own, strict=True)]
    print(f"embed: {32 / own[0]:.1f} images/s, {shares[0]:.1f} % of the bare tower ({shares[1]:.1f} % by CPU)")


if __name__ == "__main__":
    main()
