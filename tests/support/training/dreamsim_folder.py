"""Folders in the published DreamSim layout, small or of full size, their weights drawn from a seed."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.training.reference_vit import cls_feature

FILES = {
    "dino": "dino_vitbase16_pretrain.pth",
    "clip": "clip_vitb16_pretrain.pth.tar",
    "open_clip": "open_clip_vitb16_pretrain.pth.tar",
}
MEAN_STD = {
    "dino": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


def draw_tower(
    kind: str, generator: torch.Generator, width: int = 128, depth: int = 3, size: int = 32
) -> dict[str, Tensor]:
    def draw(*shape: int, mean: float = 0.0) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.08 + mean

    weights = {
        "cls_token": draw(1, 1, width),
        "pos_embed": draw(1, (size // 16) ** 2 + 1, width),
        "patch_embed.proj.weight": draw(width, 3, 16, 16),
        "patch_embed.proj.bias": draw(width) * (kind == "dino"),
    }
    norms = ["norm", *(["pos_drop"] if kind != "dino" else [])]
    for i in range(depth):
        norms += [f"blocks.{i}.norm1", f"blocks.{i}.norm2"]
        for name, rows, columns in (
            ("attn.qkv", 3, 1),
            ("attn.proj", 1, 1),
            ("mlp.fc1", 4, 1),
            ("mlp.fc2", 1, 4),
        ):
            weights[f"blocks.{i}.{name}.weight"] = draw(rows * width, columns * width)
            weights[f"blocks.{i}.{name}.bias"] = draw(rows * width)
    for name in norms:
        weights |= {f"{name}.weight": draw(width, mean=1.0), f"{name}.bias": draw(width)}
    return weights | ({"proj": draw(width, 64)} if kind != "dino" else {})


def write_small_folder(folder: Path, seed: int, rank: int = 4, alpha: float = 6.0) -> Path:
    """Three blocks of width 128 at 32 px, in the published names."""
    generator = torch.Generator().manual_seed(seed)
    adapter = {}
    (folder / "ensemble_lora").mkdir(parents=True)
    for index, (kind, file) in enumerate(FILES.items()):
        weights = draw_tower(kind, generator)
        torch.save(weights if kind == "dino" else {"state_dict": weights}, folder / file)
        for block in range(3):
            key = f"base_model.model.extractor_list.{index}.model.blocks.{block}.attn.qkv."
            adapter[key + "lora_A.weight"] = torch.randn(rank, 128, generator=generator) * 0.1
            adapter[key + "lora_B.weight"] = torch.randn(384, rank, generator=generator) * 0.1
    save_file(adapter, folder / "ensemble_lora/adapter_model.safetensors")
    settings = {
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.3,
        "bias": "none",
        "target_modules": ["qkv"],
    }
    (folder / "ensemble_lora/adapter_config.json").write_text(json.dumps(settings))
    return folder


@torch.inference_mode()
def official_distances(folder: Path, a: Tensor, b: Tensor) -> Tensor:
    """What the published computation gives for a folder in its layout: fused qkv, one matrix product each."""
    settings = json.loads((folder / "ensemble_lora/adapter_config.json").read_text())
    adapter = load_file(folder / "ensemble_lora/adapter_model.safetensors")
    features = []
    for index, (kind, file) in enumerate(FILES.items()):
        weights = torch.load(folder / file, weights_only=True)
        weights = weights if kind == "dino" else weights["state_dict"]
        prefix = f"base_model.model.extractor_list.{index}.model."
        own = {
            name.removeprefix(prefix).replace("attn.qkv.lora_", "").removesuffix(".weight"): tensor
            for name, tensor in adapter.items()
            if name.startswith(prefix)
        }
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in MEAN_STD["dino" if kind == "dino" else "clip"])
        scaling = settings["lora_alpha"] / settings["r"]
        heads = weights["cls_token"].shape[-1] // 64
        features.append(cls_feature((torch.cat([a, b]) - mean) / std, weights, own, scaling, heads, kind))
    embedded = torch.cat(features, -1)
    embedded = embedded - embedded.mean(-1, keepdim=True)
    return 1 - torch.cosine_similarity(embedded[: len(a)], embedded[len(a) :])
