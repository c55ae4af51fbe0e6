import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.support.colour_files import exif
from tests.support.pictures import png16
from tests.support.training.dreamsim_folder import write_small_folder
from tests.training.conftest import ROOT, draw_images
from training.backbones import open_tower
from training.cli import app
from training.config import TowerConfig
from training.errors import CheckpointError, ConfigError, DataError
from training.metric import Metric, load_metric
from training.models import PerceptualModel, distance


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


def test_what_a_file_says_of_its_pixels_is_followed(metric: Metric, tmp_path: Path) -> None:
    one, other = draw_images(4, 2)
    coarse, light = (np.asarray(Image.fromarray(pixels).convert("L")) for pixels in (one, other))
    for name, gray in (("dark", coarse), ("light", light)):
        (tmp_path / f"{name}.png").write_bytes(png16(gray.astype(int) * 257))
        Image.fromarray(gray).save(tmp_path / f"{name}-8.png")
    sixteen, eight = (metric(tmp_path / f"dark{end}.png", tmp_path / f"light{end}.png") for end in ("", "-8"))
    assert float(eight) > 0.01
    torch.testing.assert_close(sixteen, eight)

    upright = Image.fromarray(one)
    sideways = upright.transpose(Image.Transpose.ROTATE_90)
    sideways.save(tmp_path / "turned.png", exif=exif(6))
    hidden = np.dstack([other, np.zeros(other.shape[:2], np.uint8)])
    Image.fromarray(hidden).save(tmp_path / "glass.png")
    for file, seen in (("turned.png", upright), ("glass.png", Image.new("RGB", (32, 32), "white"))):
        with Image.open(tmp_path / file) as opened:
            for given in (tmp_path / file, opened):
                assert float(metric(given, seen)) < 1e-5
    assert float(metric(sideways, upright)) > 1e-3


def test_an_image_of_unknown_range_is_refused_by_name(metric: Metric, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).random((32, 32), dtype=np.float32)).save(tmp_path / "depth.tiff")
    for given in (tmp_path / "depth.tiff", Image.open(tmp_path / "depth.tiff")):
        with pytest.raises(
            DataError, match=r"depth\.tiff cannot be used as an image: its pixels are numbers of a range"
        ):
            metric(given, given)


def test_a_metric_is_a_loss(metric: Metric) -> None:
    image = torch.rand(3, 32, 32, requires_grad=True)
    metric(image, torch.rand(3, 32, 32)).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
OTHER = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_precision_of_pixels_is_taken(metric: Metric, dtype: torch.dtype) -> None:
    wanted = metric(IMAGE, OTHER)
    assert metric(IMAGE.to(dtype), OTHER.to(dtype)).dtype == torch.float32
    torch.testing.assert_close(metric(IMAGE.to(dtype), OTHER.to(dtype)), wanted, atol=1e-3, rtol=0.02)
    pixels = IMAGE.to(dtype).requires_grad_()
    metric(pixels, OTHER).backward()
    assert pixels.grad is not None
    assert pixels.grad.dtype == dtype


def test_a_name_out_of_an_array_is_one_image(metric: Metric, tmp_path: Path) -> None:
    Image.fromarray(draw_images(3, 1)[0]).save(tmp_path / "a.png")
    name = np.array([str(tmp_path / "a.png")])[0]
    assert metric(name, str(tmp_path / "a.png")).shape == ()


def test_arrays_are_taken_in_either_order(metric: Metric) -> None:
    pixels = draw_images(3, 2, size=48)
    wanted = metric(Image.fromarray(pixels[0]), Image.fromarray(pixels[1]))
    assert torch.equal(metric(pixels[0], pixels[1]), wanted)
    assert torch.equal(metric(pixels[0].transpose(2, 0, 1), pixels[1]), wanted)
    assert torch.equal(metric(pixels[:1], pixels[1:]), wanted.unsqueeze(0))
    assert metric(pixels[0], pixels).shape == (2,)
    floats = pixels.astype(np.float64) / 255
    torch.testing.assert_close(metric(floats[0], floats[1]), wanted, atol=1e-4, rtol=1e-2)
    bytes_tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    torch.testing.assert_close(metric(bytes_tensor[0], bytes_tensor[1]), wanted, atol=1e-4, rtol=1e-2)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (torch.rand(32, 32, 3), r"must be \(3, h, w\) or \(n, 3, h, w\), not \(32, 32, 3\)"),
        (torch.rand(3, 0, 0), r"not \(3, 0, 0\)"),
        (torch.zeros(3, 32, 32, dtype=torch.int64), "must be floats in .* or uint8 from 0 to 255, not torch.int64"),
        (np.zeros((32, 32, 3), dtype=bool), "must be floats .*, not bool"),
        (np.zeros((32, 32), dtype=np.uint8), r"of red, green and blue, not \(32, 32\)"),
        (np.zeros((3, 32, 3), dtype=np.uint8), r"not \(3, 32, 3\)"),
        (IMAGE * 2 - 1, r"these are in \[-0\.99\d+, 0\.99\d+\]: from \[-1, 1\] take \(x \+ 1\) / 2"),
        (IMAGE * 255, r"from \[0, 255\] take x / 255"),
        (IMAGE.numpy() * 255, r"from \[0, 255\] take x / 255"),
        (IMAGE.masked_fill(IMAGE > 0.9, math.nan), r"in \[0, 1\], and these are in \[nan, nan\]"),
        ([], "no image was given"),
        (torch.rand(0, 3, 32, 32), "no image was given"),
        ([IMAGE, 3], "a file name, a PIL image, an array or a tensor, not int"),
        (None, "not NoneType"),
        (b"none.png", "not bytes"),
        ("none.png", r"none\.png cannot be read"),
    ],
)
def test_what_is_no_image_is_refused(metric: Metric, images: Any, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        metric.embed(images)
    with pytest.raises(DataError, match=complaint):
        metric(IMAGE, images)


def test_lists_are_of_one_length(metric: Metric) -> None:
    with pytest.raises(DataError, match="2 images cannot be compared with 3: give as many, or one"):
        metric([IMAGE, OTHER], torch.stack([IMAGE] * 3))
    assert metric((image for image in (IMAGE, OTHER)), [IMAGE]).shape == (2,)


def test_an_image_is_at_distance_0_of_itself(metric: Metric) -> None:
    images = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(metric(images, images), torch.zeros(64))
    embedded = metric.embed(images)
    assert distance(embedded.unsqueeze(0), embedded.unsqueeze(1)).min() == 0
    nearly = metric(images, (images + 1e-7 * torch.rand(images.shape)).clamp(0, 1))
    assert not nearly.sqrt().isnan().any()


def test_many_images_are_embedded_in_batches(metric: Metric, tmp_path: Path) -> None:
    for number, pixels in enumerate(draw_images(0, 70)):
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
    files = sorted(tmp_path.iterdir())
    sizes: list[int] = []
    hook = metric.model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    embedded = metric.embed(files)
    assert sizes == [32, 32, 6]
    tensors = torch.stack([metric.preprocess(file) for file in files])
    torch.testing.assert_close(metric.embed(tensors), embedded)
    hook.remove()
    assert sizes == [32, 32, 6] * 2


def test_a_metric_that_gives_nan_names_the_image(towers: Path, tmp_path: Path) -> None:
    """Weights so large that they overflow, though each is a number."""
    tower = open_tower(TowerConfig(source=str(towers / "vit"), image_size=32))
    with torch.no_grad():
        tower.backbone.layernorm.weight.fill_(3e38)
    broken = Metric(PerceptualModel([tower]), torch.device("cpu"))
    Image.fromarray(draw_images(0, 1)[0]).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"gives NaN for image 1 of 1 \(.*a\.png\)"):
        broken.embed(tmp_path / "a.png")


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
