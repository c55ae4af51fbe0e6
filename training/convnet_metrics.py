"""LPIPS and DISTS on convolutional networks, with their published weights."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn

from training.dreamsim import read_plain_state_dict
from training.errors import WeightsError
from training.finite import require_finite

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"  # as served by download.pytorch.org/models
VGG_FILE = "vgg16-397923af.pth"
VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def find_weights(name: str, folders: Sequence[Path]) -> Path:
    """The file in one of `folders` or torch's own cache. Raises WeightsError saying where to put it."""
    searched = [*folders, Path(torch.hub.get_dir()) / "checkpoints"]
    for folder in searched:
        if (folder / name).is_file():
            return folder / name
    places = " or ".join(str(folder) for folder in searched)
    raise WeightsError(f"{name} is not here: put https://download.pytorch.org/models/{name} into {places}")


def _published(package: str, name: str) -> dict[str, Tensor]:
    """The small fitted weights that torchmetrics ships with its own versions of these metrics."""
    with files("torchmetrics.functional.image").joinpath(package, name).open("rb") as file:
        weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def alexnet_stages() -> list[nn.Sequential]:
    """AlexNet's convolutions, divided after the rectifications that LPIPS reads."""
    pool = nn.MaxPool2d(3, 2)
    return [
        nn.Sequential(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU()),
        nn.Sequential(pool, nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        nn.Sequential(pool, nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]


def vgg16_stages(pools: Sequence[nn.Module]) -> list[nn.Sequential]:
    """VGG-16's convolutions, divided after each resolution's last rectification by `pools`."""
    stages, channels = [], 3
    for widths, pool in zip(VGG_WIDTHS, (nn.Identity(), *pools), strict=True):
        layers: list[nn.Module] = [pool]
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        stages.append(nn.Sequential(*layers))
    return stages


class L2Pool(nn.Module):
    """The square root of Hann-weighted squares: DISTS's pooling without aliasing."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        window = torch.hann_window(5, periodic=False)[1:-1]
        kernel = torch.outer(window, window)
        self.register_buffer("kernel", (kernel / kernel.sum()).expand(channels, 1, 3, 3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.conv2d(x.square(), self.kernel, stride=2, padding=1, groups=x.shape[1])
        return (pooled + 1e-12).sqrt()


class ConvFeatures(nn.Module):
    """Activations after every stage of a network that was trained on ImageNet."""

    shift: Tensor
    scale: Tensor

    def __init__(self, stages: list[nn.Sequential], shift: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.register_buffer("shift", torch.tensor(shift).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = (images - self.shift) / self.scale
        activations = []
        for stage in self.stages:
            x = stage(x)
            activations.append(x)
        return activations

    def load_torchvision(self, file: Path) -> None:
        """Takes the convolutions from torchvision's state dict, whose `features.N` are in the same order."""
        weights = read_plain_state_dict(file)
        require_finite(weights, file)
        names = sorted({name.split(".")[1] for name in weights if name.startswith("features.")}, key=int)
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        if len(names) != len(convolutions):
            raise WeightsError(f"{file} has {len(names)} convolutions, not {len(convolutions)}")
        for name, convolution in zip(names, convolutions, strict=True):
            for part in ("weight", "bias"):
                tensor, own = weights[f"features.{name}.{part}"], getattr(convolution, part)
                if tensor.shape != own.shape:
                    shapes = f"{tuple(tensor.shape)}, not {tuple(own.shape)}"
                    raise WeightsError(f"{file}: tensor features.{name}.{part} is {shapes}")
                own.data.copy_(tensor)


class Lpips(nn.Module):
    """LPIPS, version 0.1 (Zhang et al.

    2018, equation 1): fitted weights on squared differences of unit features.
    """

    def __init__(self, features: ConvFeatures, linear: Sequence[Tensor]) -> None:
        """`linear` are the fitted weights, one (1, c, 1, 1) for each stage."""
        super().__init__()
        self.features = features
        self.linear = nn.ParameterList(linear)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Images (n, 3, h, w) in [0, 1] to distances (n,)."""
        total = torch.zeros(len(a), device=a.device)
        for left, right, weight in zip(self.features(a), self.features(b), self.linear, strict=True):
            difference = (_unit(left) - _unit(right)).square()
            total = total + (difference * weight).sum(dim=1).mean(dim=(1, 2))
        return total


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


class Dists(nn.Module):
    """DISTS (Ding et al. 2020, equations 5 to 7): similarity of means and correlations of VGG features."""

    def __init__(self, features: ConvFeatures, alpha: Tensor, beta: Tensor) -> None:
        """`alpha`, `beta` (1, 1475, 1, 1) weigh texture and structure over the image and five stages."""
        super().__init__()
        self.features = features
        self.alpha = nn.Parameter(alpha.flatten())
        self.beta = nn.Parameter(beta.flatten())

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Images (n, 3, h, w) in [0, 1] to distances (n,)."""
        texture, structure = [], []
        for left, right in zip([a, *self.features(a)], [b, *self.features(b)], strict=True):
            mean_l, mean_r = left.mean(dim=(2, 3)), right.mean(dim=(2, 3))
            var_l, var_r = left.var(dim=(2, 3), correction=0), right.var(dim=(2, 3), correction=0)
            covariance = (left * right).mean(dim=(2, 3)) - mean_l * mean_r
            texture.append((2 * mean_l * mean_r + 1e-6) / (mean_l**2 + mean_r**2 + 1e-6))
            structure.append((2 * covariance + 1e-6) / (var_l + var_r + 1e-6))
        weight = self.alpha.sum() + self.beta.sum()
        similarity = torch.cat(texture, 1) @ self.alpha + torch.cat(structure, 1) @ self.beta
        return 1 - similarity / weight


def open_lpips(network: str, folders: Sequence[Path]) -> Lpips:
    """LPIPS on "alex" or "vgg". Raises WeightsError naming the file that is not on this machine."""
    stages = alexnet_stages() if network == "alex" else vgg16_stages([nn.MaxPool2d(2)] * 4)
    # LPIPS's own scaling is for images in [-1, 1]; these are the same numbers for [0, 1]
    features = ConvFeatures(stages, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    features.load_torchvision(find_weights(ALEXNET_FILE if network == "alex" else VGG_FILE, folders))
    linear = _published("lpips_models", f"{network}.pth")
    return Lpips(features, [linear[f"lin{stage}.model.1.weight"] for stage in range(5)]).eval()


def open_dists(folders: Sequence[Path]) -> Dists:
    """Raises WeightsError naming the file that is not on this machine."""
    features = ConvFeatures(
        vgg16_stages([L2Pool(widths[-1]) for widths in VGG_WIDTHS[:-1]]),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )
    features.load_torchvision(find_weights(VGG_FILE, folders))
    fitted = _published("dists_models", "weights.pt")
    return Dists(features, fitted["alpha"], fitted["beta"]).eval()
