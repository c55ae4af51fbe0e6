"""Vision transformers in timm's key names (fused qkv), as DINO and DreamSim publish them, to transformers and
back.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedModel,
    ViTConfig,
    ViTModel,
)
from transformers.initialization import no_init_weights

from training.errors import CheckpointError
from training.models import check_same_tensors

HEAD_WIDTH = 64  # of every published ViT-S, B and L

# timm's name -> transformers', outside the blocks
VIT_NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
CLIP_NAMES = {
    "cls_token": "vision_model.embeddings.class_embedding",
    "pos_embed": "vision_model.embeddings.position_embedding.weight",
    "patch_embed.proj.weight": "vision_model.embeddings.patch_embedding.weight",
    "pos_drop.weight": "vision_model.pre_layrnorm.weight",
    "pos_drop.bias": "vision_model.pre_layrnorm.bias",
    "norm.weight": "vision_model.post_layernorm.weight",
    "norm.bias": "vision_model.post_layernorm.bias",
    "proj": "visual_projection.weight",
}
# within a block; `attn.qkv` is divided apart
VIT_BLOCK = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
CLIP_BLOCK = {
    "norm1": "layer_norm1",
    "attn.proj": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
LAYOUTS = {
    "vit": (VIT_NAMES, "layers.{}.", VIT_BLOCK, "attention."),
    "clip_vision_model": (CLIP_NAMES, "vision_model.encoder.layers.{}.", CLIP_BLOCK, "self_attn."),
}


def backbone_from_timm(weights: dict[str, Tensor], kind: str, activation: str, origin: Path) -> PreTrainedModel:
    """A transformers model with these weights; its sizes are read from their shapes.

    `kind` is "vit" or "clip_vision_model". Raises CheckpointError naming the first tensor that does not fit.
    """
    weights = dict(weights)
    if kind == "clip_vision_model":
        bias = weights.pop("patch_embed.proj.bias", torch.zeros(1))
        if bias.any():
            raise CheckpointError(f"{origin}: tensor patch_embed.proj.bias must be zero: CLIP's patches have no bias")
    with no_init_weights():  # every tensor is loaded below; drawing them first takes longer than all the rest
        model = _empty_model(weights, kind, activation, origin)
    wanted = timm_from_backbone(model)
    wanted.pop("patch_embed.proj.bias") if kind == "clip_vision_model" else None
    check_same_tensors(wanted, weights, origin)
    model.load_state_dict(_to_transformers(weights, kind, len(_blocks(weights))), strict=True)
    return model


def _blocks(weights: dict[str, Tensor]) -> set[str]:
    return {name.split(".")[1] for name in weights if name.startswith("blocks.")}


def _empty_model(weights: dict[str, Tensor], kind: str, activation: str, origin: Path) -> PreTrainedModel:
    try:
        width, _, patch, _ = weights["patch_embed.proj.weight"].shape
        size = round((weights["pos_embed"].shape[1] - 1) ** 0.5) * patch
        hidden = weights["blocks.0.mlp.fc1.weight"].shape[0]
        projection = weights["proj"].shape[1] if kind == "clip_vision_model" else 0
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{origin} is no {kind}: tensor {error} is missing or has other dimensions") from None
    sizes = {
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": len(_blocks(weights)),
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "image_size": size,
        "patch_size": patch,
        "hidden_act": activation,
    }
    if kind == "vit":
        return ViTModel(ViTConfig(**sizes, layer_norm_eps=1e-6), add_pooling_layer=False)
    clip = CLIPVisionConfig(**sizes, layer_norm_eps=1e-5, projection_dim=projection)
    return CLIPVisionModelWithProjection(clip)


def _to_transformers(weights: dict[str, Tensor], kind: str, depth: int) -> dict[str, Tensor]:
    names, prefix, block_names, attention = LAYOUTS[kind]
    state = {ours: _reshape(theirs, weights[theirs], kind) for theirs, ours in names.items()}
    for block in range(depth):
        for theirs, ours in block_names.items():
            for part in ("weight", "bias"):
                state[f"{prefix.format(block)}{ours}.{part}"] = weights[f"blocks.{block}.{theirs}.{part}"]
        for part in ("weight", "bias"):
            thirds = weights[f"blocks.{block}.attn.qkv.{part}"].chunk(3)
            for letter, third in zip("qkv", thirds, strict=True):
                state[f"{prefix.format(block)}{attention}{letter}_proj.{part}"] = third
    return state


def timm_from_backbone(backbone: PreTrainedModel) -> dict[str, Tensor]:
    """The reverse: a backbone's weights in timm's names, without its adapters."""
    kind = backbone.config.model_type
    names, prefix, block_names, attention = LAYOUTS[kind]
    state = {name.replace(".base_layer.", "."): tensor for name, tensor in backbone.state_dict().items()}
    weights = {theirs: _reshape(theirs, state[ours], kind, back=True) for theirs, ours in names.items()}
    if kind == "clip_vision_model":
        weights["patch_embed.proj.bias"] = torch.zeros(backbone.config.hidden_size)
    for block in range(backbone.config.num_hidden_layers):
        ours_prefix = prefix.format(block)
        for part in ("weight", "bias"):
            for theirs, ours in block_names.items():
                weights[f"blocks.{block}.{theirs}.{part}"] = state[f"{ours_prefix}{ours}.{part}"]
            thirds = [state[f"{ours_prefix}{attention}{letter}_proj.{part}"] for letter in "qkv"]
            weights[f"blocks.{block}.attn.qkv.{part}"] = torch.cat(thirds)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}


def _reshape(name: str, tensor: Tensor, kind: str, back: bool = False) -> Tensor:
    """CLIP's class embedding and positions have fewer dimensions in transformers, and its projection is a
    Linear.
    """
    if kind != "clip_vision_model":
        return tensor
    if name == "cls_token":
        return tensor.reshape(1, 1, -1) if back else tensor.reshape(-1)
    if name == "pos_embed":
        return tensor.unsqueeze(0) if back else tensor.squeeze(0)
    return tensor.T.contiguous() if name == "proj" else tensor
