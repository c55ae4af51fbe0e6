import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.training.conftest import ROOT, draw_images
from tests.training.dreamsim_folder import write_small_folder
from training.cli import app
from training.errors import CheckpointError, ConfigError, DataError
from training.metric import Metric, load_metric


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_folder(tmp_path_factory.mktemp("metric") / "models", 0)


@pytest.fixture(scope="module")
def metric(folder: Path) -> Metric:
    return load_metric(folder, device="cpu")


def test_every_kind_of_image_gives_the_same(metric: Metric, tmp_path: Path) -> None:
    pixels = draw_images(0, 2)
    for name, array in zip("ab", pixels, strict=True):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    a, b = (torch.from_numpy(array).permute(2, 0, 1).float() / 255 for array in pixels)
    wanted = metric(a, b)
    assert wanted.shape == ()
    files = (str(tmp_path / "a.png"), tmp_path / "b.png")
    with Image.open(files[0]) as opened:
        for pair in (files, (opened, Image.fromarray(pixels[1]))):
            torch.testing.assert_close(metric(*pair), wanted)
    torch.testing.assert_close(
        metric([a, files[1]], [b, files[1]]), torch.stack([wanted, torch.zeros(())]), atol=1e-6, rtol=1e-4
    )
    torch.testing.assert_close(
        metric(torch.stack([a, a]), torch.stack([b, a])),
        torch.stack([wanted, torch.zeros(())]),
        atol=1e-6,
        rtol=1e-4,
    )
    assert metric(a, [a, b, b]).shape == (3,)
    torch.testing.assert_close(metric.embed([a, b]).norm(dim=1), torch.ones(2))


def test_other_sizes_are_squashed_to_the_model_s(metric: Metric) -> None:
    image = Image.fromarray(draw_images(1, 1, size=64)[0]).resize((80, 50))
    prepared = metric.preprocess(image)
    assert prepared.shape == (3, 32, 32)
    wanted = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC)) / 255
    np.testing.assert_allclose(prepared.permute(1, 2, 0), wanted, atol=1e-6)
    assert metric.preprocess(torch.rand(2, 3, 64, 48)).shape == (2, 3, 32, 32)


def test_a_metric_is_a_loss(metric: Metric) -> None:
    image = torch.rand(3, 32, 32, requires_grad=True)
    metric(image, torch.rand(3, 32, 32)).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_what_is_no_image_is_refused(metric: Metric, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be floats of \(3, h, w\) or \(n, 3, h, w\), not \(32, 32, 3\)"):
        metric.embed(torch.rand(32, 32, 3))
    with pytest.raises(DataError, match="must be floats"):
        metric.embed(torch.zeros(3, 32, 32, dtype=torch.uint8))
    with pytest.raises(DataError, match=r"none\.png cannot be read"):
        metric.embed(tmp_path / "none.png")


def test_what_is_no_metric_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is neither a run"):
        load_metric(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="device 'tpu' is not available here; available are: auto, cpu"):
        load_metric(folder, device="tpu")


def test_three_lines_in_a_fresh_interpreter(
    experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path
) -> None:
    """A run trained by the command line, then used as the project's README, and the run's own, say."""
    images = [
        steady_export / "ref/000/001.png",
        steady_export / "distort/000/001_1.png",
        steady_export / "ref/000/005.png",
    ]
    command = ["train", str(experiment_file()), "--data", str(steady_export), "--out", str(tmp_path / "run")]
    trained = CliRunner().invoke(app, [*command, "--device", "cpu", "--cache", str(tmp_path / "cache")])
    assert "epoch   2   validation loss" in trained.output
    lines, of_run = (
        readme.read_text().split("```python\n")[1].split("```")[0]
        for readme in (ROOT / "README.md", tmp_path / "run/README.md")
    )
    assert lines.replace("runs/first", "run") == of_run
    lines = (
        lines.replace('"runs/first"', repr(str(tmp_path / "run")))
        .replace('"a.png"', repr(str(images[0])))
        .replace('"b.png"', repr(str(images[1])))
    )
    assert len([line for line in lines.splitlines() if line.strip()]) == 3
    used = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "tensor(" in used.stdout
    own = load_metric(tmp_path / "run", device="cpu")
    assert float(own(images[0], images[1])) < float(own(images[0], images[2]))
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files >= {"adapter.safetensors", "curves.png", "experiment.json", "metrics.jsonl", "run.json"}
    assert list((tmp_path / "run/tensorboard").iterdir())
