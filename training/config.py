"""An experiment as a validated value: what a TOML file under `experiments/` may say, and nothing else."""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datafiles.encoding import decode_text
from datafiles.errors import BadFile
from training.errors import ConfigError

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
Feature = Literal["cls", "cls_before_norm", "projection"]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Deviation = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Normalisation(Section):
    """(pixel − mean) / std for every channel of pixels in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[Deviation, Deviation, Deviation]


class TowerConfig(Section):
    """One vision transformer of the ensemble; what is left out comes from the preset or the weights' own
    files.
    """

    source: str  # a preset's name, a local folder in transformers format, or a hub id
    feature: Feature | None = None
    normalisation: Literal["imagenet", "clip"] | Normalisation | None = None
    image_size: Annotated[int, Field(ge=8)] = 224
    patches: bool = False  # append the mean of the patch tokens to the feature


class LoraSettings(Section):
    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 8.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


class MlpSettings(Section):
    hidden: Annotated[int, Field(ge=1)] = 512


class ModelConfig(Section):
    towers: Annotated[tuple[TowerConfig, ...], Field(min_length=1)]
    head: Literal["lora", "mlp", "none"] = "lora"
    lora: LoraSettings = LoraSettings()
    mlp: MlpSettings = MlpSettings()


class HoldoutConfig(Section):
    """How to hold out a validation set where the data brings no splits of its own."""

    by: Literal["triplets", "references", "images"] = "references"
    fraction: Fraction = 0.2
    seed: Annotated[int, Field(ge=0)] = 0  # apart from the experiment's, so that several seeds share one holdout


class DataConfig(Section):
    min_votes: Annotated[int, Field(ge=0)] = 0
    statuses: tuple[Literal["kept", "dropped", "short"], ...] = ()  # non-empty: read unfiltered.csv of an export
    targets: Literal["shares", "majority"] = "shares"
    holdout: HoldoutConfig = HoldoutConfig()


class TrainConfig(Section):
    epochs: Annotated[int, Field(ge=1)] = 8
    batch_size: Annotated[int, Field(ge=1)] = 32  # triplets
    images_per_batch: Annotated[int, Field(ge=3)] | None = None  # instead: all triplets among this many images
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    margin: Annotated[float, Field(gt=0)] = 0.05
    patience: Annotated[int, Field(ge=1)] | None = None  # epochs without a better validation loss
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    compile: bool = False
    checkpoint_every: Annotated[int, Field(ge=1)] = 100  # steps


class Experiment(Section):
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelConfig
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def options_have_an_effect(self) -> Self:
        if self.model.head == "mlp" and (self.train.gradient_checkpointing or self.train.compile):
            raise ValueError("gradient_checkpointing and compile need head = 'lora': an MLP trains on cached features")
        return self


def load_experiment(path: Path) -> Experiment:
    """Reads an experiment from TOML, or from the `experiment.json` of a run.

    Raises ConfigError naming every field that is unknown or out of range.
    """
    return parse_experiment(_read_table(path), path)


def parse_experiment(table: dict[str, Any], path: Path) -> Experiment:
    """Validates a table; local tower folders become absolute, looked up beside `path` first.

    Links stay links, so that a run and its towers can move together, whatever the links lead to.
    """
    try:
        experiment = Experiment.model_validate(table)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigError(f"{path}: {problems}") from None
    towers = tuple(
        tower.model_copy(update={"source": _locate(tower.source, path.parent)}) for tower in experiment.model.towers
    )
    return experiment.model_copy(update={"model": experiment.model.model_copy(update={"towers": towers})})


def _read_table(path: Path) -> dict[str, Any]:
    try:
        text = decode_text(path.read_bytes())
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text.replace("\r\n", "\n"))
    except (OSError, ValueError, BadFile) as error:
        raise ConfigError(f"{path}: cannot be read as {path.suffix.lstrip('.') or 'TOML'} ({error})") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: must be a table of settings")
    return table


def _describe(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"]) or "experiment"
    if problem["type"] == "extra_forbidden":
        return f"{field} is not a known setting"
    return f"{field} = {problem['input']!r}: {problem['msg']}"


def is_path(source: str) -> bool:
    """Whether a tower's source can only be a folder: no preset and no hub id (`name` or `owner/name`) looks so."""
    return HUB_ID.fullmatch(source) is None


def _locate(source: str, beside: Path) -> str:
    for candidate in (beside / source, Path(source)):
        if candidate.is_dir():
            return os.path.abspath(candidate)
    return os.path.abspath(beside / source) if is_path(source) else source
