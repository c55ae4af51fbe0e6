"""Towers that compute in bfloat16 under autocast: the same numbers, with fewer conversions on the way."""

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import AttentionInterface

from training.models import PerceptualModel, use_attention

PLAIN = "plain"


def prepare_for_bfloat16(model: PerceptualModel, device: torch.device) -> None:
    """Rounds frozen weights once, and each block's normalised tokens; on a CPU, takes the plain attention below.

    Autocast would round frozen weights anew in every step. A norm gives float32, which it would round anew for
    every reader (q, k, v and their adapters), and back again for every gradient; and peft, unless told otherwise,
    makes float32 of what an adapter reads.
    """
    for tower in model.iter_towers():
        for module in tower.layers.modules():
            if isinstance(module, nn.LayerNorm):
                module.register_forward_hook(_rounded)
            elif isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False
            elif isinstance(module, nn.Linear) and not module.weight.requires_grad:
                module.bfloat16()
    if device.type == "cpu":
        use_attention(model, PLAIN)


def _rounded(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output.bfloat16()


def plain_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Softmax(scaling · QKᵀ)V of (n, heads, tokens, d), as (n, tokens, heads, d), by plain matrix products.

    In bfloat16 on a CPU they are faster than fused attention (measured). Vision towers mask nothing.
    """
    heads = query.shape[:2]
    query, key, value = (part.flatten(0, 1) for part in (query, key, value))
    scores = torch.baddbmm(query.new_empty(1), query, key.mT, beta=0, alpha=scaling)
    weights = nn.functional.dropout(scores.softmax(-1), dropout, module.training)
    return (weights @ value).view(*heads, *value.shape[1:]).transpose(1, 2), None


AttentionInterface.register(PLAIN, plain_attention)
