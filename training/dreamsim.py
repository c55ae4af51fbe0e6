"""The published DreamSim checkpoints: read into our towers, written from our runs."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.backbones import Tower
from training.checkpoint import replace_file
from training.config import LoraSettings, TowerConfig
from training.errors import CheckpointError, WeightsError
from training.models import PerceptualModel, add_lora, load_trainable_state, lora_settings, trainable_state
from training.normalisation import NAMED
from training.pickles import DamagedPickleError, load_plain
from training.timm_layout import backbone_from_timm, timm_from_backbone

# The ensemble's towers in the order of their features, with the file of each and its activation.
TOWERS = (
    ("dino", "dino_vitbase16_pretrain.pth", "vit", "gelu"),
    ("clip", "clip_vitb16_pretrain.pth.tar", "clip_vision_model", "quick_gelu"),
    ("open_clip", "open_clip_vitb16_pretrain.pth.tar", "clip_vision_model", "gelu"),
)
ADAPTER = "base_model.model.extractor_list.{tower}.model.blocks.{block}.attn.qkv.lora_{matrix}.weight"
LORA_FOLDER = "ensemble_lora"


def is_dreamsim_folder(folder: Path) -> bool:
    """Whether it holds any published checkpoint, also one that cannot be read."""
    return bool(_adapter_folders(folder))


def _adapter_folders(folder: Path) -> list[str]:
    return sorted(file.parent.name for file in folder.glob("*_lora/adapter_config.json"))


def _require_ensemble(folder: Path) -> None:
    found = _adapter_folders(folder)
    if not found:
        raise WeightsError(f"{folder} holds no published DreamSim checkpoint: there is no {LORA_FOLDER} in it")
    if LORA_FOLDER not in found:
        raise WeightsError(
            f"{folder} holds {', '.join(found)}: of the eight published DreamSim checkpoints only the ensemble "
            f"({LORA_FOLDER}) can be read, not those of a single tower"
        )


def _find_tower(folder: Path, file: str) -> Path:
    """In the folder itself, or in the one below it where the official package lets torch.hub put DINO."""
    places = (folder, folder / "checkpoints")
    for place in places:
        if (place / file).is_file():
            return place / file
    raise WeightsError(f"{file} is missing: it is neither in {places[0]} nor in {places[1]}")


def load_dreamsim(folder: Path) -> PerceptualModel:
    """The published ensemble: three ViT-B/16 towers with LoRA on the fused qkv of every block.

    One fused adapter (A, B) is, on separate projections, three adapters that share A and divide B. Raises
    WeightsError for another of the published checkpoints, for a missing file, or for a pickle that is no plain state
    dict, and CheckpointError naming the first tensor of another shape.
    """
    _require_ensemble(folder)
    files = [_find_tower(folder, file) for _, file, _, _ in TOWERS]
    towers = [_load_tower(file, kind, act) for file, (_, _, kind, act) in zip(files, TOWERS, strict=True)]
    model = PerceptualModel(towers)
    model.requires_grad_(False)
    settings = _lora_settings(folder / LORA_FOLDER / "adapter_config.json")
    add_lora(model, settings)
    file = folder / LORA_FOLDER / "adapter_model.safetensors"
    fused = _load_adapter(file)
    load_trainable_state(model, _separate(model, fused, file), file)
    return model.eval()


def export_dreamsim(model: PerceptualModel, folder: Path) -> None:
    """Writes towers and LoRA so that the official code loads them.

    Separate adapters of rank r on q, k and v become one fused adapter of rank 3r: the As stacked, the Bs
    block diagonal, alpha three times as large, so that (alpha / rank)·B·A is the same update. Raises
    CheckpointError where the model is not the ensemble that the layout is for, or has no LoRA.
    """
    towers = list(model.iter_towers())
    _check_ensemble(towers)
    settings = lora_settings(model)
    fused = _fuse(model)
    try:
        (folder / LORA_FOLDER).mkdir(parents=True, exist_ok=True)
        for tower, (_, file, kind, _) in zip(towers, TOWERS, strict=True):
            weights = timm_from_backbone(tower.backbone)
            torch.save(weights if kind == "vit" else {"state_dict": weights}, folder / file)
        replace_file(folder / LORA_FOLDER / "adapter_model.safetensors", lambda draft: save_file(fused, draft))
        adapter_config = _adapter_config(settings)
        (folder / LORA_FOLDER / "adapter_config.json").write_text(
            json.dumps(adapter_config, indent=2), encoding="utf-8"
        )
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: the checkpoint could not be written ({error})") from None


def read_plain_state_dict(file: Path) -> dict[str, Tensor]:
    """A pickled state dict, `{"state_dict": …}` unwrapped. Raises WeightsError where it is anything else."""
    try:
        content = load_plain(file)
    except FileNotFoundError:
        raise WeightsError(f"{file} is missing") from None
    except (DamagedPickleError, OSError) as error:
        raise WeightsError(f"{file} is no plain state dict and was not loaded ({error})") from None
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{file} is no plain state dict: it must map names to tensors")
    return content


def _load_tower(file: Path, kind: str, activation: str) -> Tower:
    weights = read_plain_state_dict(file)
    backbone = backbone_from_timm(weights, kind, activation, file)
    feature: Any = "cls_before_norm" if kind == "vit" else "projection"
    return Tower(backbone, TowerConfig(source=str(file), feature=feature, image_size=backbone.config.image_size))


def _lora_settings(file: Path) -> LoraSettings:
    try:
        table = json.loads(file.read_text("utf-8-sig"))
        if table["target_modules"] != ["qkv"] or table.get("bias", "none") != "none":
            raise WeightsError(f"{file}: must adapt ['qkv'] without biases, not {table['target_modules']}")
        return LoraSettings(rank=table["r"], alpha=table["lora_alpha"], dropout=table.get("lora_dropout", 0.0))
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{file}: is no LoRA configuration ({error!r})") from None


def _load_adapter(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{file}: cannot be read as safetensors ({error})") from None


def _adapter_names(model: PerceptualModel) -> list[tuple[str, str, str]]:
    """For every block: the fused A's and B's names, and the pattern of the separate ones in our state."""
    names = []
    for index, tower in enumerate(model.iter_towers()):
        path = {"vit": "layers.{}.attention", "clip_vision_model": "vision_model.encoder.layers.{}.self_attn"}
        attention = path[tower.backbone.config.model_type]
        for block in range(len(tower.layers)):
            ours = f"towers.{index}.backbone.{attention.format(block)}.{{}}_proj.lora_{{}}.weight"
            a, b = (ADAPTER.format(tower=index, block=block, matrix=matrix) for matrix in "AB")
            names.append((a, b, ours))
    return names


def _separate(model: PerceptualModel, fused: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for a, b, ours in _adapter_names(model):
        for name in (a, b):
            if name not in fused:
                raise CheckpointError(f"{file} is of another architecture: tensor {name} is missing")
        for part, rows in zip("qkv", fused[b].chunk(3), strict=True):
            state[ours.format(part, "A")] = fused[a]
            state[ours.format(part, "B")] = rows
    used = {name for a, b, _ in _adapter_names(model) for name in (a, b)}
    unknown = sorted(set(fused) - used)
    if unknown:
        raise CheckpointError(f"{file} is of another architecture: tensor {unknown[0]} has no place in the model")
    return state


def _fuse(model: PerceptualModel) -> dict[str, Tensor]:
    state = trainable_state(model)
    fused = {}
    for a, b, ours in _adapter_names(model):
        fused[a] = torch.cat([state[ours.format(part, "A")] for part in "qkv"])
        blocks = [state[ours.format(part, "B")] for part in "qkv"]
        fused[b] = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return fused


def _check_ensemble(towers: list[Tower]) -> None:
    wanted = [(kind, activation) for _, _, kind, activation in TOWERS]
    found = [(tower.backbone.config.model_type, tower.backbone.config.hidden_act) for tower in towers]
    if found != wanted or [tower.feature for tower in towers] != [
        "cls_before_norm",
        "projection",
        "projection",
    ]:
        described = ", ".join(f"{kind} ({activation})" for kind, activation in found)
        raise CheckpointError(
            "the DreamSim layout holds DINO (cls_before_norm), CLIP and OpenCLIP (projection), in order; "
            f"this model has {described}"
        )
    for tower in towers:
        if tower.normalisation != NAMED[tower.architecture.normalisation]:
            raise CheckpointError(
                f"the DreamSim layout cannot say that {tower.config.source} has a normalisation of its own "
                f"(mean {tower.normalisation.mean}, deviation {tower.normalisation.std})"
            )


def _adapter_config(settings: LoraSettings) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "r": 3 * settings.rank,
        "lora_alpha": 3 * settings.alpha,
        "lora_dropout": settings.dropout,
        "bias": "none",
        "target_modules": ["qkv"],
        "inference_mode": True,
        "base_model_name_or_path": None,
        "task_type": None,
    }
