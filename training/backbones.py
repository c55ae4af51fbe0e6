"""Vision transformers as towers: which weights, which feature, which normalisation."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from socket import create_connection
from typing import Any, cast
from urllib.parse import urlsplit

import torch
from huggingface_hub import constants
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    CLIPVisionModelWithProjection,
    Dinov2Model,
    PreTrainedModel,
    ViTModel,
)
from transformers.utils import logging as transformers_logging

from training.config import Feature, TowerConfig, is_path
from training.errors import ConfigError, WeightsError
from training.finite import require_finite
from training.last_block import clip_cls, dinov2_cls, vit_cls
from training.normalisation import NAMED, read_normalisation


@dataclass(frozen=True)
class Preset:
    hub_id: str
    feature: Feature


# The towers of the paper (its section 4 and appendix), each with the feature that DreamSim takes from it.
PRESETS = {
    "dino-vitb16": Preset("facebook/dino-vitb16", "cls_before_norm"),
    "dinov2-vitb14": Preset("facebook/dinov2-base", "cls"),
    "clip-vitb16": Preset("openai/clip-vit-base-patch16", "projection"),
    "clip-vitb32": Preset("openai/clip-vit-base-patch32", "projection"),
    "open-clip-vitb16": Preset("laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "projection"),
    "open-clip-vitb32": Preset("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "projection"),
}


@dataclass(frozen=True)
class Architecture:
    """How one transformers class computes tokens: its parts by name, so that a feature can be taken in
    between.
    """

    model: type[PreTrainedModel]
    embed: Callable[[Any, Tensor], Tensor]  # pixels (n, 3, h, w) -> tokens (n, t, d), the CLS token first
    layers: Callable[[Any], nn.ModuleList]
    last_cls: Callable[[nn.Module, Tensor], Tensor]  # the last layer, for the CLS token alone
    norm: Callable[[Any], nn.Module]
    features: tuple[Feature, ...]
    normalisation: str  # of weights that come without a preprocessor_config.json
    arguments: dict[str, Any]


ARCHITECTURES = {
    "vit": Architecture(
        ViTModel,
        lambda model, pixels: model.embeddings(pixels, interpolate_pos_encoding=True),
        lambda model: model.layers,
        vit_cls,
        lambda model: model.layernorm,
        ("cls", "cls_before_norm"),
        "imagenet",
        {"add_pooling_layer": False},
    ),
    "dinov2": Architecture(
        Dinov2Model,
        lambda model, pixels: model.embeddings(pixels),
        lambda model: model.encoder.layer,
        dinov2_cls,
        lambda model: model.layernorm,
        ("cls", "cls_before_norm"),
        "imagenet",
        {},
    ),
    "clip_vision_model": Architecture(
        CLIPVisionModelWithProjection,
        lambda model, pixels: model.vision_model.pre_layrnorm(
            model.vision_model.embeddings(pixels, interpolate_pos_encoding=True)
        ),
        lambda model: model.vision_model.encoder.layers,
        clip_cls,
        lambda model: model.vision_model.post_layernorm,
        ("projection", "cls", "cls_before_norm"),
        "clip",
        {},
    ),
}


class Tower(nn.Module):
    """One vision transformer that turns images into one feature vector each."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: PreTrainedModel, config: TowerConfig) -> None:
        """Raises ConfigError for a feature the backbone does not have, or a size its patches do not fit."""
        super().__init__()
        self.architecture = _architecture(backbone.config.model_type, config.source)
        self.feature = config.feature or self.architecture.features[0]
        if self.feature not in self.architecture.features:
            allowed = ", ".join(self.architecture.features)
            kind = backbone.config.model_type
            raise ConfigError(f"{config.source} ({kind}) has no feature {self.feature!r}; it has: {allowed}")
        patch = backbone.config.patch_size
        if config.image_size % patch:
            raise ConfigError(
                f"{config.source}: image_size {config.image_size} is no multiple of its patches of {patch}"
            )
        self.backbone = backbone
        wanted = config.normalisation or self.architecture.normalisation
        self.normalisation = NAMED[wanted] if isinstance(wanted, str) else wanted
        self.config = config.model_copy(update={"feature": self.feature, "normalisation": self.normalisation})
        self.image_size = config.image_size
        self.patches = config.patches
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.normalisation, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    @property
    def width(self) -> int:
        config = self.backbone.config
        one = config.projection_dim if self.feature == "projection" else config.hidden_size
        return int(one) * (2 if self.patches else 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) in [0, 1] to features (n, width)."""
        if not self.patches:
            tokens = self._tokens_after(images, len(self.layers) - 1)
            return self._read_out(self.architecture.last_cls(self.layers[-1], tokens)[:, 0])
        tokens = self.tokens(images)
        return torch.cat([self._read_out(tokens[:, 0]), self._read_out(tokens[:, 1:]).mean(dim=1)], dim=-1)

    def tokens(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) in [0, 1] to the last block's tokens (n, 1 + patches, d), before the norm."""
        return self._tokens_after(images, len(self.layers))

    def _tokens_after(self, images: Tensor, blocks: int) -> Tensor:
        if images.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            images = nn.functional.interpolate(images, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        tokens = self.architecture.embed(self.backbone, (images - self.mean) / self.std)
        for layer in self.layers[:blocks]:
            tokens = layer(tokens, None)
        return tokens

    def save(self, folder: Path) -> None:
        """Writes the pretrained weights, without adapters, so that `open_tower` reads them back."""
        weights = {name.replace(".base_layer.", "."): tensor for name, tensor in self.backbone.state_dict().items()}
        kept = {name: tensor for name, tensor in weights.items() if ".lora_" not in name}
        with _silent_transformers():
            self.backbone.save_pretrained(folder, state_dict=kept)
        for file in folder.iterdir():  # safetensors makes its files private, whatever the umask
            file.chmod((folder / "config.json").stat().st_mode)

    @property
    def layers(self) -> nn.ModuleList:
        return self.architecture.layers(self.backbone)

    def _read_out(self, tokens: Tensor) -> Tensor:
        if self.feature == "cls_before_norm":
            return tokens
        tokens = self.architecture.norm(self.backbone)(tokens)
        if self.feature == "projection":
            tokens = cast(Any, self.backbone).visual_projection(tokens)
        return tokens


def _architecture(model_type: str, source: str) -> Architecture:
    if model_type not in ARCHITECTURES:
        raise ConfigError(f"{source} is a {model_type}; towers can be {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[model_type]


def open_tower(config: TowerConfig) -> Tower:
    """The tower with its pretrained weights in float32, and the normalisation that the experiment or their files say.

    Raises WeightsError where the hub cannot be reached, naming the files wanted and where to put them, and for
    files that contradict themselves; CheckpointError naming a tensor that holds NaN.
    """
    preset = PRESETS.get(config.source)
    source = preset.hub_id if preset else config.source
    if preset and config.feature is None:
        config = config.model_copy(update={"feature": preset.feature})
    if is_path(source) and not Path(source).is_dir():
        raise WeightsError(f"{source}: there is no such folder, and a tower's weights should be in it")
    with _silent_transformers():
        architecture, backbone_config = _backbone_config(source)
        if config.normalisation is None:
            config = config.model_copy(update={"normalisation": read_normalisation(source, _only_local(source))})
        backbone, report = _from_pretrained(architecture, source, backbone_config)
    if report["missing_keys"]:
        first = sorted(report["missing_keys"])[0]
        raise WeightsError(f"{source} is no whole {architecture.model.__name__}: tensor {first} is missing")
    if report["mismatched_keys"]:
        raise WeightsError(f"{source}: tensor {sorted(report['mismatched_keys'])[0]} does not fit its own config.json")
    require_finite(backbone.state_dict(), source)
    return Tower(backbone, config)


def with_architecture_defaults(config: TowerConfig) -> TowerConfig:
    """Feature and normalisation said, where `config` leaves them out, as the architecture has them: whatever the
    weights' own files say of pixels.
    """
    if config.feature and config.normalisation:
        return config
    preset = PRESETS.get(config.source)
    architecture, _ = _backbone_config(preset.hub_id if preset else config.source)
    feature = config.feature or (preset.feature if preset else architecture.features[0])
    normalisation = config.normalisation or NAMED[architecture.normalisation]
    return config.model_copy(update={"feature": feature, "normalisation": normalisation})


def _backbone_config(source: str) -> tuple[Architecture, Any]:
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=_only_local(source))
    except (OSError, ValueError) as error:
        raise _unreachable(source, error) from None
    if config.model_type == "clip":  # a whole CLIP: its vision half is the tower, its projection CLIP's own
        config.vision_config.projection_dim = config.projection_dim
        config = config.vision_config
    return _architecture(config.model_type, source), config


def _from_pretrained(architecture: Architecture, source: str, config: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    try:
        loaded = architecture.model.from_pretrained(
            source,
            config=config,
            local_files_only=_only_local(source),
            dtype=torch.float32,
            attn_implementation="sdpa",
            output_loading_info=True,
            **architecture.arguments,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(source, error) from None
    return cast(tuple[PreTrainedModel, dict[str, Any]], loaded)


@contextmanager
def _silent_transformers() -> Iterator[None]:
    """What is wrong is said here, in one sentence; transformers logs tables, and draws bars on stderr."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        transformers_logging.set_verbosity(before)


def _unreachable(source: str, error: Exception) -> WeightsError:
    reason = str(error).strip().splitlines()[0]
    if Path(source).is_dir():
        return WeightsError(f"{source} does not hold a model in transformers format: {reason}")
    return WeightsError(
        f"{source} is not on this machine, and the hub does not serve it ({reason}). Put config.json, "
        f"preprocessor_config.json and model.safetensors of {constants.ENDPOINT}/{source} into a folder, and name "
        "that folder instead"
    )


def _only_local(source: str) -> bool:
    return Path(source).is_dir() or not _hub_answers()


@cache
def _hub_answers() -> bool:
    """Asked once, briefly: the hub's own client retries for half a minute, for every file."""
    host = urlsplit(constants.ENDPOINT)
    try:
        with create_connection((host.hostname or "", host.port or 443), timeout=5):
            return True
    except OSError:
        return False
