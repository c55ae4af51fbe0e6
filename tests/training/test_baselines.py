from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.backbones import PRESETS
from training.baselines import baselines
from training.convnet_metrics import (
    ConvFeatures,
    L2Pool,
    alexnet_stages,
    find_weights,
    open_dists,
    open_lpips,
    vgg16_stages,
)
from training.errors import WeightsError
from training.pixel_metrics import histogram_distance, ms_ssim_distance, psnr_distance, ssim_distance

IMAGES = torch.rand(3, 3, 176, 176, generator=torch.Generator().manual_seed(0))


def test_ms_ssim_needs_as_many_pixels_as_it_says() -> None:
    ms_ssim_distance(torch.rand(1, 3, 176, 176), torch.rand(1, 3, 176, 176))
    with pytest.raises(ValueError, match="larger than 160"):  # torchmetrics' own words, short of the truth
        ms_ssim_distance(torch.rand(1, 3, 175, 175), torch.rand(1, 3, 175, 175))


@pytest.mark.parametrize("measure", [psnr_distance, ssim_distance, ms_ssim_distance, histogram_distance])
def test_formulas_are_zero_for_the_same_and_grow_with_noise(measure: object) -> None:
    noise = torch.randn(IMAGES.shape, generator=torch.Generator().manual_seed(1))
    previous = measure(IMAGES, IMAGES)
    assert previous.shape == (3,)
    torch.testing.assert_close(previous, torch.zeros(3), atol=1e-6, rtol=0)
    for strength in (0.02, 0.1, 0.5):
        current = measure(IMAGES, (IMAGES + strength * noise).clamp(0, 1))
        assert (current > previous).all()
        previous = current
    assert measure(IMAGES[:1], IMAGES[1:2]).shape == (1,)


def test_ssim_against_its_definition() -> None:
    """Wang et al. 2004, equation 13, at every pixel, an 11-tap Gaussian of 1.5 pixels, edges reflected."""
    a, b = IMAGES[:1, :1].double(), IMAGES[1:2, :1].double()
    taps = torch.exp(-((torch.arange(11.0, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    kernel = torch.outer(taps, taps)[None, None] / taps.sum() ** 2

    def mean(x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(torch.nn.functional.pad(x, [5] * 4, mode="reflect"), kernel)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    wanted = ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()
    ours = 1 - ssim_distance(a.float().expand(1, 3, -1, -1), b.float().expand(1, 3, -1, -1))
    torch.testing.assert_close(ours[0].double(), wanted, atol=1e-5, rtol=0)


@given(st.permutations(range(16 * 16)))
@settings(max_examples=20, deadline=None)
def test_histograms_do_not_see_where_pixels_are(order: list[int]) -> None:
    image = IMAGES[:1, :, :16, :16]
    shuffled = image.flatten(2)[..., order].view_as(image)
    assert float(histogram_distance(image, shuffled)) == pytest.approx(0, abs=1e-6)


def drawn(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    return module.eval()


def write_torchvision_weights(
    folder: Path, stages: list[torch.nn.Sequential], numbers: list[int], name: str
) -> list[Tensor]:
    """A state dict as torchvision names it, with a classifier that is not asked for."""
    convolutions = [module for stage in stages for module in stage if isinstance(module, torch.nn.Conv2d)]
    weights = {"classifier.1.weight": torch.zeros(2, 2)}
    for number, convolution in zip(numbers, convolutions, strict=True):
        for part in ("weight", "bias"):
            weights[f"features.{number}.{part}"] = getattr(convolution, part).data
    torch.save(weights, folder / name)
    return [convolution.weight.data for convolution in convolutions]


ALEX_NUMBERS = [0, 3, 6, 8, 10]
VGG_NUMBERS = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


@torch.inference_mode()
def test_lpips_with_published_linear_weights_follows_its_equation(tmp_path: Path) -> None:
    stages = [drawn(stage, i) for i, stage in enumerate(alexnet_stages())]
    write_torchvision_weights(tmp_path, stages, ALEX_NUMBERS, "alexnet-owt-7be5be79.pth")
    metric = open_lpips("alex", [tmp_path])
    a, b = IMAGES[:2, :, :64, :64], IMAGES[1:3, :, :64, :64]

    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x, y = (((2 * image - 1) - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1) for image in (a, b))
    wanted = torch.zeros(2)
    for stage, weight in zip(stages, metric.linear, strict=True):
        x, y = stage(x), stage(y)
        unit_x, unit_y = (z / (z.norm(dim=1, keepdim=True) + 1e-10) for z in (x, y))
        wanted += ((unit_x - unit_y) ** 2 * weight).sum(1).mean((1, 2))
    torch.testing.assert_close(metric(a, b), wanted, atol=1e-5, rtol=1e-4)
    assert all((weight >= 0).all() for weight in metric.linear)  # as published: trained non-negative
    torch.testing.assert_close(metric(a, a), torch.zeros(2))


@torch.inference_mode()
def test_dists_is_one_minus_weighted_similarity(tmp_path: Path) -> None:
    pools = [L2Pool(channels) for channels in (64, 128, 256, 512)]
    stages = [drawn(stage, i) for i, stage in enumerate(vgg16_stages(pools))]
    write_torchvision_weights(tmp_path, stages, VGG_NUMBERS, "vgg16-397923af.pth")
    metric = open_dists([tmp_path])
    a, b = IMAGES[:1, :, :48, :48], IMAGES[1:2, :, :48, :48]
    torch.testing.assert_close(metric(a, a), torch.zeros(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(metric(a, b), metric(b, a))
    assert 0 < float(metric(a, b)) < 1

    features = [a, *metric.features(a)], [b, *metric.features(b)]
    alpha, beta = (weights.split([3, 64, 128, 256, 512, 512]) for weights in (metric.alpha, metric.beta))
    total = 0.0
    for i, (x, y) in enumerate(zip(*features, strict=True)):
        for channel in range(x.shape[1]):
            p, q = x[0, channel].double().numpy(), y[0, channel].double().numpy()
            texture = (2 * p.mean() * q.mean() + 1e-6) / (p.mean() ** 2 + q.mean() ** 2 + 1e-6)
            structure = (2 * np.mean((p - p.mean()) * (q - q.mean())) + 1e-6) / (p.var() + q.var() + 1e-6)
            total += float(alpha[i][channel]) * texture + float(beta[i][channel]) * structure
    wanted = 1 - total / float(metric.alpha.sum() + metric.beta.sum())
    assert float(metric(a, b)) == pytest.approx(wanted, abs=1e-4)


def test_vgg_for_lpips_reads_torchvision_in_order(tmp_path: Path) -> None:
    stages = [drawn(stage, i) for i, stage in enumerate(vgg16_stages([torch.nn.MaxPool2d(2)] * 4))]
    wanted = write_torchvision_weights(tmp_path, stages, VGG_NUMBERS, "vgg16-397923af.pth")
    metric = open_lpips("vgg", [tmp_path])
    loaded = [module.weight for module in metric.features.modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(torch.equal(a, b) for a, b in zip(wanted, loaded, strict=True))


def test_l2_pooling_halves_and_is_a_weighted_norm() -> None:
    pooled = L2Pool(2)(torch.full((1, 2, 9, 9), 3.0))
    assert pooled.shape == (1, 2, 5, 5)
    assert float(pooled[0, 0, 2, 2]) == pytest.approx(3.0)


def test_weights_that_are_not_here_or_not_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(WeightsError, match=r"put https://download\.pytorch\.org/models/vgg16-.*\.pth into"):
        find_weights("vgg16-397923af.pth", [tmp_path])
    features = ConvFeatures(alexnet_stages(), (0, 0, 0), (1, 1, 1))
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match=r"wrong\.pth has 1 convolutions, not 5"):
        features.load_torchvision(tmp_path / "wrong.pth")


def test_metrics_of_one_name_are_all_compared() -> None:
    openers = baselines([], ["a/first", "b/first", "runs/dino-vitb16"])
    assert list(openers)[:3] == ["first", "b/first", "runs/dino-vitb16"]
    assert list(openers)[-6:] == list(PRESETS)
