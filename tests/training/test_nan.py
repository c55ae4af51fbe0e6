"""NaN is no result: weights that hold it are named when they are read, distances before they become a score."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from tests.support.training.dreamsim_folder import FILES, write_small_folder
from training import scores
from training.analysis.sensitivity import sensitivities
from training.backbones import open_tower
from training.cli import app
from training.config import TowerConfig
from training.convnet_metrics import ConvFeatures, alexnet_stages
from training.data import read_triplets
from training.dreamsim import load_dreamsim
from training.errors import CheckpointError, DataError
from training.evaluate import evaluate_jnd, evaluate_odd_one_out, evaluate_triplets
from training.jnd import JndPairs
from training.measures import PairMeasure
from training.metric import Metric
from training.models import PerceptualModel
from training.run_folder import load_run, save_as_run
from training.things import OddOneOut

CPU = torch.device("cpu")
NAN = float("nan")


def spoil(file: Path, value: float = NAN) -> str:
    """One number of the last tensor becomes `value`; its name."""
    tensors = load_file(file)
    name = sorted(tensors)[-1]
    tensors[name].view(-1)[-1] = value
    save_file(tensors, file, metadata={"format": "pt"})
    return name


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_in_an_adapter(steady_export: Path, tmp_path: Path, value: float) -> None:
    run = tmp_path / "run"
    save_as_run(load_dreamsim(write_small_folder(tmp_path / "models", 0)), run)
    name = spoil(run / "adapter.safetensors", value)
    with pytest.raises(CheckpointError, match=rf"adapter\.safetensors: tensor {name} holds NaN or infinity"):
        load_run(run)
    for command in ("evaluate", run, "--data", steady_export), ("compare", "--data", steady_export, "--metric", run):
        result = CliRunner().invoke(app, [*map(str, command), "--out", str(tmp_path / "out")])
        assert isinstance(result.exception, CheckpointError), result.output
        assert not (tmp_path / "out").exists()


def test_in_a_tower(towers: Path, tmp_path: Path) -> None:
    shutil.copytree(towers / "vit", tmp_path / "vit")
    name = spoil(tmp_path / "vit/model.safetensors")
    with pytest.raises(CheckpointError, match=rf"vit: tensor {name} holds NaN"):
        open_tower(TowerConfig(source=str(tmp_path / "vit"), image_size=32))


@pytest.mark.parametrize("kind", FILES)
def test_in_a_published_tower(tmp_path: Path, kind: str) -> None:
    folder = write_small_folder(tmp_path / "models", 0)
    weights = torch.load(folder / FILES[kind], weights_only=True)
    weights.get("state_dict", weights)["norm.bias"][3] = NAN
    torch.save(weights, folder / FILES[kind])
    with pytest.raises(CheckpointError, match=rf"{FILES[kind]}: tensor norm\.bias holds NaN"):
        load_dreamsim(folder)


def test_in_a_published_adapter(tmp_path: Path) -> None:
    folder = write_small_folder(tmp_path / "models", 0)
    spoil(folder / "ensemble_lora/adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors: tensor .* holds NaN"):
        load_dreamsim(folder)


def test_in_the_weights_of_a_baseline(tmp_path: Path) -> None:
    stages = alexnet_stages()
    weights: dict[str, Tensor] = {}
    for number, module in enumerate(m for stage in stages for m in stage if isinstance(m, torch.nn.Conv2d)):
        weights |= {f"features.{number}.weight": module.weight.data, f"features.{number}.bias": module.bias.data}
    weights["features.4.bias"] = weights["features.4.bias"] * NAN
    torch.save(weights, tmp_path / "alexnet.pth")
    with pytest.raises(CheckpointError, match=r"alexnet\.pth: tensor features\.4\.bias holds NaN"):
        ConvFeatures(stages, (0, 0, 0), (1, 1, 1)).load_torchvision(tmp_path / "alexnet.pth")


def test_in_a_saved_state(experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path) -> None:
    command = ["train", str(experiment_file(epochs=1)), "--data", str(steady_export), "--out", str(tmp_path / "run")]
    command += ["--cache", str(tmp_path / "cache")]
    assert CliRunner().invoke(app, command).exit_code == 0
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    name = next(iter(state["trainable"]))
    state["trainable"][name].fill_(NAN)
    torch.save(state, tmp_path / "run/state.pt")
    resumed = CliRunner().invoke(app, [*command, "--resume"])
    assert isinstance(resumed.exception, CheckpointError)
    assert f"tensor {name} holds NaN" in str(resumed.exception)


def no_number(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(torch.arange(len(a)) == 0, NAN, 0.5)


def test_between_two_images(steady_export: Path, tmp_path: Path) -> None:
    """Every kind of score names the pair that it cannot be made of."""
    triplets = read_triplets(steady_export)
    broken = PairMeasure("broken", 32, no_number)
    complaint = r"broken gives nan as the distance between .*\.png and .*\.png"
    pairs = triplets.indices[:, :2]
    jnd = JndPairs("pairs", triplets.images, pairs, np.ones(len(pairs)), pairs[:, 0].astype(str), triplets.splits)
    with pytest.raises(DataError, match=complaint):
        evaluate_triplets(broken, triplets, CPU, tmp_path)
    with pytest.raises(DataError, match=complaint):
        evaluate_jnd(broken, jnd, CPU, tmp_path)
    with pytest.raises(DataError, match=complaint):
        evaluate_odd_one_out(broken, OddOneOut("things", triplets.images, triplets.indices), CPU, tmp_path)


def test_among_the_numbers_of_a_score() -> None:
    numbers, share = np.array([0.1, NAN, 0.3]), np.array([0.0, 1.0, 0.5])
    for make in (
        lambda: scores.two_afc(numbers, share, share),
        lambda: scores.two_afc(share, numbers, share),
        lambda: scores.jnd_average_precision(numbers, share),
        lambda: scores.odd_one_out(np.stack([share, numbers, share], axis=1)),
        lambda: scores.estimate(numbers),
    ):
        with pytest.raises(DataError, match=r"no score can be made: number 2 of 3 is .*nan"):
            make()


def test_images_that_are_all_the_same_have_no_scale(towers: Path) -> None:
    tower = open_tower(TowerConfig(source=str(towers / "vit"), image_size=32))
    metric = Metric(PerceptualModel([tower]), CPU)
    with pytest.raises(DataError, match="most of these images are the same one"):
        sensitivities(metric, torch.full((3, 3, 32, 32), 0.5), torch.ones(3, 32, 32))
