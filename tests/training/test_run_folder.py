import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.training.dreamsim_folder import write_small_folder
from training.cli import app
from training.dreamsim import export_dreamsim, load_dreamsim
from training.errors import WeightsError
from training.metric import load_metric
from training.run_folder import load_run, save_as_run


@pytest.fixture
def project(towers: Path, steady_export: Path, tmp_path: Path) -> Path:
    """A folder with a tower, its experiment and a run of it; all of them can be moved."""
    folder = tmp_path / "project"
    shutil.copytree(towers / "vit", folder / "models/vit")
    experiment = '[[model.towers]]\nsource = "models/vit"\nimage_size = 32\n[train]\nepochs = 1\n'
    (folder / "experiment.toml").write_text(experiment)
    train(folder / "experiment.toml", steady_export, folder / "runs/first")
    return folder


def train(experiment: Path, data: Path, out: Path, *options: str) -> str:
    command = ["train", experiment, "--data", data, "--out", out, "--cache", out.parent / "cache", *options]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_a_run_moves_with_its_tower(project: Path, tmp_path: Path, steady_export: Path) -> None:
    image = steady_export / "ref/000/001.png"
    before = load_metric(project / "runs/first").embed(image)
    moved = project.rename(tmp_path / "another machine")
    assert json.loads((moved / "runs/first/experiment.json").read_text())["model"]["towers"][0]["source"] == (
        "../../models/vit"
    )
    assert (load_metric(moved / "runs/first").embed(image) == before).all()
    assert "The run is in" in train(moved / "experiment.toml", steady_export, moved / "runs/first", "--resume")


def test_a_run_moves_without_its_tower(project: Path, tmp_path: Path) -> None:
    (project / "runs/first").rename(tmp_path / "first")
    load_run(tmp_path / "first")


def test_a_run_without_its_tower_names_the_folder(project: Path, tmp_path: Path) -> None:
    shutil.rmtree(project / "models")
    with pytest.raises(WeightsError, match=rf"needs its tower's folder, and there is none at {project}/models/vit: "):
        load_run(project / "runs/first")
    moved = project.rename(tmp_path / "moved")
    with pytest.raises(WeightsError, match=rf"none at {moved}/models/vit or {project}/models/vit: put it there"):
        load_run(moved / "runs/first")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_modes_of_the_umask(
    umask: int, experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path
) -> None:
    """A run, its caches, an import, an export and an index: safetensors and temporary folders are private by nature."""
    made = tmp_path / "made"
    photos = shutil.copytree(steady_export / "ref", tmp_path / "photos")
    models = write_small_folder(tmp_path / "models", 0)
    before = os.umask(umask)
    try:
        train(experiment_file(head="mlp", epochs=1), steady_export, made / "run")
        save_as_run(load_dreamsim(models), made / "imported")
        export_dreamsim(load_run(made / "imported"), made / "exported")
        command = ["retrieve", made / "run", photos / "000/000.png", photos, "--index", made / "index.safetensors"]
        result = CliRunner().invoke(app, [*map(str, command), "--out", str(made / "n.png")])
        assert result.exit_code == 0, (result.output, result.exception)
    finally:
        os.umask(before)
    names = {path.name for path in made.rglob("*")}
    assert {"adapter.safetensors", "state.pt", "pixels.npy", "model.safetensors", "index.safetensors"} <= names
    for path in made.rglob("*"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
