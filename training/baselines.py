"""What a new metric is compared with; each says for itself why it cannot run here."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from transformers import ViTConfig, ViTModel

from training.backbones import PRESETS, Tower
from training.config import TowerConfig
from training.convnet_metrics import open_dists, open_lpips
from training.measures import EmbeddingMeasure, Measure, PairMeasure, measure_of
from training.models import PerceptualModel
from training.open_model import name_of, open_model
from training.pixel_metrics import histogram_distance, ms_ssim_distance, psnr_distance, ssim_distance

SIZE = 224
Opener = Callable[[], Measure]


def baselines(weights: Sequence[Path], metrics: Sequence[str]) -> dict[str, Opener]:
    """Every baseline by name, not yet opened: opening raises WeightsError where its weights are not here.

    `weights` are folders with published weight files; `metrics` are runs, DreamSim folders or towers to add. They
    come first: one that cannot be opened is known before the others have computed.
    """
    named: dict[str, Opener] = {}
    for metric in metrics:
        name = metric if name_of(metric) in {*named, *PRESETS} else name_of(metric)
        named[name] = partial(_named_metric, metric, name)
    named |= {
        "PSNR": lambda: PairMeasure("PSNR", SIZE, psnr_distance),
        "SSIM": lambda: PairMeasure("SSIM", SIZE, ssim_distance),
        "MS-SSIM": lambda: PairMeasure("MS-SSIM", SIZE, ms_ssim_distance),
        "colour histogram": lambda: PairMeasure("colour histogram", SIZE, histogram_distance),
        "LPIPS (AlexNet)": lambda: _on_pairs("LPIPS (AlexNet)", open_lpips("alex", weights)),
        "LPIPS (VGG)": lambda: _on_pairs("LPIPS (VGG)", open_lpips("vgg", weights)),
        "DISTS": lambda: _on_pairs("DISTS", open_dists(weights)),
        "random ViT-S/16": random_network,
    }
    return named | {preset: partial(_named_metric, preset, preset) for preset in PRESETS}


def _on_pairs(name: str, module: torch.nn.Module) -> PairMeasure:
    return PairMeasure(name, SIZE, module)


def _named_metric(metric: str, name: str) -> EmbeddingMeasure:
    return measure_of(open_model(metric), name)


def random_network(seed: int = 0) -> EmbeddingMeasure:
    """A ViT-S/16 that never saw an image: what architecture alone gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = ViTConfig(hidden_size=384, num_attention_heads=6, intermediate_size=1536, image_size=SIZE)
        backbone = ViTModel(config, add_pooling_layer=False)
    tower = Tower(backbone, TowerConfig(source="random ViT-S/16"))
    return measure_of(PerceptualModel([tower]).eval(), "random ViT-S/16")
