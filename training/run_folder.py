"""What a run leaves behind: enough to load it, to read how it went, and to repeat it."""

import hashlib
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import accelerate  # type: ignore[import-untyped]
import peft
import torch
import transformers

from training.backbones import with_architecture_defaults
from training.checkpoint import ADAPTER_FILE, load_adapter, replace_file, save_adapter
from training.config import Experiment, ModelConfig, load_experiment
from training.errors import CheckpointError
from training.image_cache import ImageCache
from training.models import (
    PerceptualModel,
    build_model,
    load_trainable_state,
    lora_settings,
    trainable_state,
)
from training.triplets import Triplets

CONFIG_FILE = "experiment.json"  # config.json would look like a transformers model
RECORD_FILE = "run.json"
METRICS_FILE = "metrics.jsonl"


def is_run(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file()


def load_run(folder: Path) -> PerceptualModel:
    """The model of a run with its best weights.

    Raises CheckpointError naming the first tensor that does not fit.
    """
    experiment = _stored_experiment(folder)
    model = build_model(experiment.model)
    if experiment.model.head != "none":
        load_trainable_state(model, load_adapter(folder), folder / ADAPTER_FILE)
    return model.eval()


def _stored_experiment(folder: Path) -> Experiment:
    """Runs of earlier versions leave out what their towers' architectures decided."""
    experiment = load_experiment(folder / CONFIG_FILE)
    towers = tuple(with_architecture_defaults(tower) for tower in experiment.model.towers)
    return experiment.model_copy(update={"model": experiment.model.model_copy(update={"towers": towers})})


def save_as_run(model: PerceptualModel, folder: Path) -> None:
    """Writes a LoRA model that was not trained here as a run: its towers beside its adapter.

    Raises CheckpointError where the folder is not empty or cannot be written.
    """
    require_empty(folder)
    towers = []
    for index, tower in enumerate(model.iter_towers()):
        source = Path("towers") / str(index)
        tower.save(folder / source)
        towers.append(tower.config.model_copy(update={"source": str(source)}))
    config = ModelConfig(towers=tuple(towers), head="lora", lora=lora_settings(model))
    save_adapter(folder, trainable_state(model))
    write_json(folder / CONFIG_FILE, Experiment(model=config).model_dump(mode="json"))


def start_run(folder: Path, experiment: Experiment, record: dict[str, Any], resume: bool) -> None:
    """Makes the folder, or checks that an interrupted run in it is this very experiment on this very data."""
    if resume:
        _check_same(folder, experiment, record)
        return
    require_empty(folder)
    write_json(folder / CONFIG_FILE, experiment.model_dump(mode="json"))
    write_json(folder / RECORD_FILE, record)


def require_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise CheckpointError(f"{folder} is not empty: give another folder, or --resume to go on with the run in it")
    folder.mkdir(parents=True, exist_ok=True)


def _check_same(folder: Path, experiment: Experiment, record: dict[str, Any]) -> None:
    if not is_run(folder):
        raise CheckpointError(f"{folder} is no run: there is nothing to resume")
    if _stored_experiment(folder) != experiment:
        raise CheckpointError(f"{folder} was started with another experiment than this one; see its {CONFIG_FILE}")
    before = json.loads((folder / RECORD_FILE).read_text())
    for name in ("data_sha256", "precision", "processes"):
        if before[name] != record[name]:
            raise CheckpointError(f"{folder} was started with {name} {before[name]}, this is {record[name]}")


def describe_run(
    data: Triplets,
    cache: ImageCache,
    train: Triplets,
    val: Triplets,
    device: torch.device,
    precision: torch.dtype,
    processes: int,
) -> dict[str, Any]:
    return {
        "data": data.name,
        "data_sha256": data_hash(data, cache),
        "triplets": {"train": len(train), "val": len(val)},
        "device": device.type,
        "precision": str(precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "code": code_version(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
            "accelerate": accelerate.__version__,
        },
    }


def data_hash(data: Triplets, cache: ImageCache) -> str:
    """One sha256 over the judgments and the bytes of every image, whatever the folder is called."""
    digest = hashlib.sha256("\n".join(cache.sha256).encode())
    for array in (data.indices, data.targets, data.votes):
        digest.update(array.tobytes())
    digest.update("\n".join(data.splits.tolist()).encode())
    return digest.hexdigest()


def code_version() -> str:
    """The commit of this file, "+changes" where it was edited since, or the installed version."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = "+changes" if git("status", "--porcelain", "--", ".") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        from importlib.metadata import version

        return f"lookalike {version('lookalike')}"


def write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=2) + "\n"
    replace_file(path, lambda draft: _write_text(draft, text))


def write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    """The whole history each time, so that the file never holds an epoch twice after an interruption."""
    text = "".join(json.dumps(epoch) + "\n" for epoch in history)
    replace_file(folder / METRICS_FILE, lambda draft: _write_text(draft, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text)
