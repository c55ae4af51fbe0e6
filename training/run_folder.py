"""What a run leaves behind: enough to load it, to read how it went, and to repeat it."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import accelerate  # type: ignore[import-untyped]
import peft
import torch
import transformers

from training.backbones import with_architecture_defaults
from training.checkpoint import ADAPTER_FILE, DRAFT, load_adapter, replace_file, save_adapter
from training.config import Experiment, ModelConfig, TowerConfig, is_path, load_experiment
from training.errors import CheckpointError, WeightsError
from training.image_cache import ImageCache
from training.models import (
    PerceptualModel,
    build_model,
    load_trainable_state,
    lora_settings,
    trainable_state,
)
from training.outputs import require_folder
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
    """A run's experiment, with its towers' folders where they are now.

    They are looked for relative to the run, then where they were when it was made. Raises WeightsError naming a
    folder that is in neither place. Runs of earlier versions leave out what their towers' architectures decided.
    """
    experiment = load_experiment(folder / CONFIG_FILE)
    before = _read_record(folder).get("towers") or [tower.source for tower in experiment.model.towers]
    pairs = zip(experiment.model.towers, before, strict=True)
    return _with_towers(experiment, [with_architecture_defaults(_found(*pair, folder)) for pair in pairs])


def _found(tower: TowerConfig, before: str, run: Path) -> TowerConfig:
    if not is_path(tower.source) or Path(tower.source).is_dir():
        return tower
    if Path(before).is_dir():
        return tower.model_copy(update={"source": before})
    places = " or ".join(dict.fromkeys([tower.source, before]))
    raise WeightsError(f"{run} needs its tower's folder, and there is none at {places}: put it there, as it was")


def _relative_to(folder: Path, source: str) -> str:
    """How a run names a tower's folder, so that both can move together."""
    if not Path(source).is_absolute():
        return source
    try:
        relative = Path(os.path.relpath(source, folder.absolute())).as_posix()
    except ValueError:  # on another drive
        return source
    return relative if relative.startswith("..") else f"./{relative}"


def _with_towers(experiment: Experiment, towers: Iterable[TowerConfig]) -> Experiment:
    return experiment.model_copy(update={"model": experiment.model.model_copy(update={"towers": tuple(towers)})})


def save_as_run(model: PerceptualModel, folder: Path) -> None:
    """Writes a LoRA model that was not trained here as a run: its towers beside its adapter.

    Raises CheckpointError where the folder is not empty or cannot be written.
    """
    check_new(folder)
    towers = []
    for index, tower in enumerate(model.iter_towers()):
        source = Path("towers") / str(index)
        tower.save(folder / source)
        towers.append(tower.config.model_copy(update={"source": f"./{source.as_posix()}"}))
    config = ModelConfig(towers=tuple(towers), head="lora", lora=lora_settings(model))
    save_adapter(folder, trainable_state(model))
    write_json(folder / CONFIG_FILE, Experiment(model=config).model_dump(mode="json"))


def check_new(folder: Path) -> None:
    """Raises a TrainingError where no run can begin in `folder`; nothing is made yet."""
    require_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise CheckpointError(f"{folder} is not empty: give another folder, or --resume to go on with the run in it")


def check_resumable(folder: Path) -> None:
    """Raises a TrainingError where `folder` holds neither a run of `train`, nor nothing, nor what a run left
    that was ended before it began.
    """
    require_folder(folder)
    if has_begun(folder):
        return
    left = {name + suffix for name in (CONFIG_FILE, RECORD_FILE) for suffix in ("", DRAFT)}
    others = sorted(path.name for path in folder.iterdir() if path.name not in left) if folder.is_dir() else []
    if others and is_run(folder):
        raise CheckpointError(f"{folder} has no {RECORD_FILE}: it was not made by train, so there is nothing to resume")
    if others:
        raise CheckpointError(f"{folder} is no run, and holds {others[0]}: there is nothing to resume")


def has_begun(folder: Path) -> bool:
    return is_run(folder) and (folder / RECORD_FILE).is_file()


def start_run(folder: Path, experiment: Experiment, record: dict[str, Any], resume: bool) -> None:
    """Makes the folder, or checks that an interrupted run in it is this very experiment on this very data.

    One that was interrupted before it had begun begins now.
    """
    if resume and has_begun(folder):
        _check_same(folder, experiment, record)
        return
    folder.mkdir(parents=True, exist_ok=True)
    sources = [tower.source for tower in experiment.model.towers]
    towers = [
        tower.model_copy(update={"source": _relative_to(folder, tower.source)}) for tower in experiment.model.towers
    ]
    write_json(folder / CONFIG_FILE, _with_towers(experiment, towers).model_dump(mode="json"))
    write_json(folder / RECORD_FILE, record | {"towers": sources})


def _check_same(folder: Path, experiment: Experiment, record: dict[str, Any]) -> None:
    if _stored_experiment(folder) != experiment:
        raise CheckpointError(f"{folder} was started with another experiment than this one; see its {CONFIG_FILE}")
    before = _read_record(folder)
    for name in ("data_sha256", "precision", "processes"):
        if before.get(name) != record[name]:
            raise CheckpointError(f"{folder} was started with {name} {before.get(name)}, this is {record[name]}")


def _read_record(folder: Path) -> dict[str, Any]:
    """What `train` wrote down when the run began; nothing for a run that was not made by it."""
    file = folder / RECORD_FILE
    try:
        record = json.loads(file.read_text("utf-8-sig")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read as JSON ({error})") from None
    if not isinstance(record, dict):
        raise CheckpointError(f"{file} must be a table")
    return record


def describe_run(
    data: Triplets,
    cache: ImageCache,
    train: Triplets,
    val: Triplets,
    validation: str,
    device: torch.device,
    precision: torch.dtype,
    processes: int,
) -> dict[str, Any]:
    return {
        "data": data.name,
        "data_sha256": data_hash(data, cache),
        "triplets": {"train": len(train), "val": len(val)},
        "validation": validation,
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
    path.write_text(text, encoding="utf-8")
