"""Everything a run needs, in place: data, model, optimizer, and where it stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import nn

from training.checkpoint import Progress, load_state
from training.config import Experiment
from training.data import read_triplets
from training.devices import choose_device, choose_precision, keep_freed_memory
from training.errors import ConfigError
from training.features import Inputs, open_features
from training.image_cache import ImageCache, open_cache
from training.low_precision import prepare_for_bfloat16
from training.models import (
    MlpMetric,
    PerceptualModel,
    ResidualMlp,
    as_built,
    build_model,
    load_trainable_state,
)
from training.progress import Progress as Callback
from training.progress import silent
from training.run_folder import check_new, check_resumable, describe_run, start_run
from training.triplets import Triplets, training_and_validation, validation_in_words


@dataclass(frozen=True)
class Part:
    """The triplets of one split, and where their images are among the inputs."""

    triplets: Triplets
    rows: NDArray[np.int64]  # (images of the split,)


@dataclass
class Session:
    experiment: Experiment
    folder: Path
    train: Part
    val: Part
    validation: str  # what it is validated on, in words
    inputs: Inputs
    accelerator: Accelerator
    model: nn.Module  # holds the tensors that train
    embed: nn.Module  # the same, compiled or wrapped for several processes
    optimizer: torch.optim.Optimizer
    progress: Progress
    precision: torch.dtype

    def autocast(self) -> torch.autocast:
        low = self.precision == torch.bfloat16
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=low)


def open_session(
    experiment: Experiment,
    data: Path,
    folder: Path,
    device_name: str = "auto",
    resume: bool = False,
    cache_folder: Path | None = None,
    on_decode: Callback = silent,
) -> Session:
    """Opens a run in `folder`; nothing is written there before everything else could be read.

    Raises a TrainingError for anything in data, weights or folder that a person must change.
    """
    if experiment.model.head == "none":
        raise ConfigError("head = 'none' has nothing to train; choose 'lora' or 'mlp'")
    (check_resumable if resume else check_new)(folder)
    keep_freed_memory()
    device = choose_device(device_name)
    precision = choose_precision(experiment.train.precision, device)
    accelerator = Accelerator(cpu=device.type == "cpu")

    triplets = read_experiment_data(experiment, data, cache_folder)
    holdout = experiment.data.holdout
    parts = training_and_validation(triplets, holdout.by, holdout.fraction, holdout.seed)
    validation = validation_in_words(triplets, holdout.by, holdout.fraction, holdout.seed)
    model = build_model(experiment.model, experiment.seed).to(accelerator.device)
    experiment = experiment.model_copy(update={"model": as_built(experiment.model, model)})
    if precision == torch.bfloat16:
        prepare_for_bfloat16(model, accelerator.device)
    with accelerator.main_process_first():  # other processes find the caches made
        cache = open_cache(triplets.images, model.image_size, cache_folder, triplets.sha256, on_decode)
        module, inputs = _what_trains(model, cache, accelerator.device, cache_folder)
    record = describe_run(triplets, cache, *parts, validation, device, precision, accelerator.num_processes)
    if accelerator.is_main_process:
        start_run(folder, experiment, record, resume)

    optimizer = _optimizer(experiment, module)
    progress = _restore(folder, module, optimizer) if resume else Progress()
    embed, prepared = accelerator.prepare(_wrapped(experiment, module, model), optimizer)
    train, val = (_locate(part, triplets) for part in parts)
    return Session(
        experiment, folder, train, val, validation, inputs, accelerator, module, embed, prepared, progress, precision
    )


def read_experiment_data(experiment: Experiment, data: Path, cache_folder: Path | None = None) -> Triplets:
    triplets = read_triplets(data, experiment.data.statuses, cache_folder).with_votes(experiment.data.min_votes)
    return triplets.with_majority() if experiment.data.targets == "majority" else triplets


def _what_trains(
    model: PerceptualModel, cache: ImageCache, device: torch.device, cache_folder: Path | None
) -> tuple[nn.Module, Inputs]:
    """The whole model on pixels; or, where the towers are frozen, only the head on their features."""
    if isinstance(model.head, ResidualMlp):
        return MlpMetric(model.head), open_features(model, cache, device, cache_folder)
    return model, cache


def _optimizer(experiment: Experiment, module: nn.Module) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return torch.optim.Adam(parameters, experiment.train.learning_rate, experiment.train.betas)


def _restore(folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Where an interrupted run stood when it last saved; its beginning where it never did."""
    saved = load_state(folder)
    if saved is None:
        return Progress()
    trainable, optimizer_state, progress = saved
    load_trainable_state(module, trainable, folder)
    optimizer.load_state_dict(optimizer_state)
    return progress


def _wrapped(experiment: Experiment, module: nn.Module, model: PerceptualModel) -> nn.Module:
    if experiment.train.gradient_checkpointing:
        for tower in model.iter_towers():
            tower.backbone.activation_checkpointing_enable({"use_reentrant": False})
    return cast(nn.Module, torch.compile(module)) if experiment.train.compile else module


def _locate(part: Triplets, whole: Triplets) -> Part:
    row_of = {path: row for row, path in enumerate(whole.images)}
    return Part(part, np.array([row_of[path] for path in part.images], dtype=np.int64))
