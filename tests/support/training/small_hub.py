"""The hub's cache on disk as a user has it who has fetched the presets, with small towers in their place."""

from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
    ViTConfig,
    ViTModel,
)

from training.backbones import PRESETS

REVISION = "0" * 40
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 224}


def write_small_hub(cache: Path) -> Path:
    """Every preset under its hub id in `cache`: two blocks of 32 features, weights drawn from a seed.

    Patches are of 28 or 32 pixels, so that a training step costs milliseconds.
    """
    torch.manual_seed(0)
    for preset in PRESETS.values():
        repository = cache / f"models--{preset.hub_id.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs/main").write_text(REVISION)
        _small_model(preset.hub_id).save_pretrained(repository / "snapshots" / REVISION)
    return cache


def _small_model(hub_id: str) -> PreTrainedModel:
    if "dinov2" in hub_id:
        return Dinov2Model(Dinov2Config(**SIZES, patch_size=28, mlp_ratio=2))
    if "dino" in hub_id:
        return ViTModel(ViTConfig(**SIZES, patch_size=32, intermediate_size=64), add_pooling_layer=False)
    vision = CLIPVisionConfig(**SIZES, patch_size=32, intermediate_size=64)
    text = CLIPTextConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=64)
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16))
