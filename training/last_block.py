"""The last block of a transformer for its CLS token alone.

Only that token is read afterwards, so the other tokens need keys and values there, but neither queries nor an
MLP: of the 12 d² products of a block for a token, 2 d² are left. The result is the same, and a ViT of twelve
blocks saves about 7 % of its work.
"""

from typing import Any

from torch import Tensor, nn


def vit_cls(layer: Any, tokens: Tensor) -> Tensor:
    """The CLS token (n, 1, d) after a transformers ViTLayer, from all tokens (n, t, d) before it."""
    attention = layer.attention
    attended = _attend(attention, attention.o_proj, layer.layernorm_before(tokens), attention.attention_dropout)
    cls: Tensor = tokens[:, :1] + layer.dropout(attended)
    update: Tensor = layer.dropout(layer.mlp(layer.layernorm_after(cls)))
    return cls + update


def dinov2_cls(layer: Any, tokens: Tensor) -> Tensor:
    """The CLS token (n, 1, d) after a transformers Dinov2Layer, from all tokens (n, t, d) before it."""
    attention = layer.attention
    attended = _attend(attention, attention.o_proj, layer.norm1(tokens), attention.attention_dropout)
    cls: Tensor = tokens[:, :1] + layer.drop_path(layer.layer_scale1(attended))
    update: Tensor = layer.drop_path(layer.layer_scale2(layer.mlp(layer.norm2(cls))))
    return cls + update


def clip_cls(layer: Any, tokens: Tensor) -> Tensor:
    """The CLS token (n, 1, d) after a transformers CLIPEncoderLayer, from all tokens (n, t, d) before it."""
    attention = layer.self_attn
    attended = _attend(attention, attention.out_proj, layer.layer_norm1(tokens), attention.dropout)
    cls: Tensor = tokens[:, :1] + attended
    update: Tensor = layer.mlp(layer.layer_norm2(cls))
    return cls + update


def _attend(attention: Any, output: nn.Module, tokens: Tensor, dropout: float) -> Tensor:
    """Attention of the first token to all (n, 1, d), by the projections of `attention`, adapters included."""
    q, k, v = (
        projection(part).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        for projection, part in (
            (attention.q_proj, tokens[:, :1]),
            (attention.k_proj, tokens),
            (attention.v_proj, tokens),
        )
    )
    dropped = dropout if attention.training else 0.0
    mixed = nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=dropped)
    attended: Tensor = output(mixed.transpose(1, 2).flatten(2))
    return attended
