"""A tower's pixels are shifted and scaled as it was trained: by its own files, or by the experiment."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ViTImageProcessorPil, ViTModel
from typer.testing import CliRunner

from tests.support.training.dreamsim_folder import write_small_folder
from tests.training.conftest import draw_images
from training.backbones import Tower, open_tower
from training.cli import app
from training.config import TowerConfig, load_experiment
from training.dreamsim import export_dreamsim, load_dreamsim
from training.errors import CheckpointError, ConfigError, WeightsError
from training.metric import load_metric
from training.normalisation import NAMED

HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


@pytest.fixture
def vit(towers: Path, tmp_path: Path) -> Path:
    """A folder as `save_pretrained` of model and processor leave it; transformers' default for ViT is 0.5."""
    folder = Path(shutil.copytree(towers / "vit", tmp_path / "own-vit"))
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def rewrite(folder: Path, **settings: object) -> None:
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def trained(experiment: Path, data: Path, folder: Path, *options: str) -> None:
    command = ["train", str(experiment), "--data", str(data), "--out", str(folder / "run"), "--device", "cpu"]
    done = CliRunner().invoke(app, [*command, "--cache", str(folder / "cache"), *options])
    assert done.exit_code == 0, done.output


def tower(folder: Path, **settings: object) -> Tower:
    return open_tower(TowerConfig(source=str(folder), image_size=32, **settings)).eval()


@torch.inference_mode()
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 2.5]},
        {"do_normalize": False},
        {"rescale_factor": 1 / 127.5},
        {"do_rescale": False, "image_mean": [120, 110, 100], "image_std": [60, 50, 40]},
    ],
)
def test_features_are_those_of_the_folder_s_own_processor(vit: Path, settings: dict[str, object]) -> None:
    rewrite(vit, **settings)
    images = draw_images(0, 2)
    pixels = ViTImageProcessorPil.from_pretrained(vit)(list(images), return_tensors="pt")["pixel_values"]
    theirs = ViTModel.from_pretrained(vit, add_pooling_layer=False).eval()(pixels).last_hidden_state[:, 0]
    ours = tower(vit)(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_processor_that_is_saved_beside_a_tokenizer_counts_too(vit: Path) -> None:
    own = json.loads((vit / "preprocessor_config.json").read_text())
    (vit / "preprocessor_config.json").unlink()
    assert tower(vit).normalisation == NAMED["imagenet"]
    (vit / "processor_config.json").write_text(json.dumps({"image_processor": own}))
    assert tower(vit).normalisation.model_dump(mode="json") == HALF


def test_the_experiment_has_the_last_word(vit: Path, tmp_path: Path) -> None:
    for setting, wanted in (
        ('"clip"', NAMED["clip"].model_dump(mode="json")),
        ("{mean = [0.1, 0.2, 0.3], std = [1, 2, 3]}", {"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0]}),
    ):
        file = tmp_path / "experiment.toml"
        file.write_text(f'[[model.towers]]\nsource = "{vit}"\nimage_size = 32\nnormalisation = {setting}\n')
        opened = open_tower(load_experiment(file).model.towers[0])
        assert opened.normalisation.model_dump(mode="json") == wanted


@pytest.mark.parametrize("setting", ['"inception"', "{mean = [0, 0, 0]}", "{mean = [0, 0, 0], std = [1, 1, 0]}", "0.5"])
def test_a_normalisation_that_cannot_be_is_refused(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(f'[[model.towers]]\nsource = "vit"\nnormalisation = {setting}\n')
    with pytest.raises(ConfigError, match=r"model\.towers\.0\.normalisation"):
        load_experiment(file)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"image_mean": [0.5]}, "image_mean"),
        ({"image_std": [0.5, 0.5, 0]}, "image_std"),
        ({"image_mean": None}, "image_mean"),
        ({"rescale_factor": 0}, "rescale_factor must be a number above 0"),
        ({"rescale_factor": "1/255"}, "rescale_factor must be a number above 0"),
    ],
)
def test_files_that_contradict_themselves_are_named(vit: Path, settings: dict[str, object], complaint: str) -> None:
    rewrite(vit, **settings)
    with pytest.raises(WeightsError, match=f"own-vit: .*preprocessor_config.json: {complaint}.*in the experiment"):
        tower(vit)


@pytest.mark.parametrize("content", ["{", "[]", "7", '{"image_std": [1, 1, 1]}'])
def test_files_that_are_no_settings_are_named(vit: Path, content: str) -> None:
    (vit / "preprocessor_config.json").write_text(content)
    with pytest.raises(WeightsError, match="own-vit: how it wants its pixels is unclear"):
        tower(vit)


def test_a_run_says_what_it_was_trained_with(
    vit: Path, experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path
) -> None:
    trained(experiment_file(str(vit), epochs=1), steady_export, tmp_path)
    stored = json.loads((tmp_path / "run/experiment.json").read_text())["model"]["towers"][0]
    assert stored["normalisation"] == HALF
    images = list(draw_images(3, 2))
    pair = [torch.from_numpy(np.moveaxis(image, 2, 0) / 255).float() for image in images]
    before = load_metric(tmp_path / "run", device="cpu")(*pair)
    (vit / "preprocessor_config.json").unlink()
    torch.testing.assert_close(load_metric(tmp_path / "run", device="cpu")(*pair), before)
    trained(tmp_path / "run/experiment.json", steady_export, tmp_path, "--resume")


def test_a_run_of_an_earlier_version_keeps_its_architecture_s(
    vit: Path, experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path
) -> None:
    trained(experiment_file(str(vit), epochs=1), steady_export, tmp_path)
    stored = tmp_path / "run/experiment.json"
    table = json.loads(stored.read_text())
    table["model"]["towers"][0]["normalisation"] = None
    stored.write_text(json.dumps(table))
    assert next(load_metric(tmp_path / "run", device="cpu").model.iter_towers()).normalisation == NAMED["imagenet"]


def test_the_dreamsim_layout_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    model = load_dreamsim(write_small_folder(tmp_path / "models", 0))
    next(model.iter_towers()).normalisation = NAMED["clip"]
    with pytest.raises(CheckpointError, match="has a normalisation of its own"):
        export_dreamsim(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
