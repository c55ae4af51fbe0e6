"""A vision transformer with fused qkv written out from its equations, to compare with; nothing is shared with
the code under test."""

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Adapter = dict[str, Tensor]  # "blocks.0.A", "blocks.0.B", …


def layer_norm(x: Tensor, weights: Weights, name: str, eps: float) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    return (x - mean) / (variance + eps).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def attention(x: Tensor, qkv_weight: Tensor, qkv_bias: Tensor, heads: int) -> Tensor:
    n, tokens, width = x.shape
    q, k, v = (x @ qkv_weight.T + qkv_bias).view(n, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-1, -2) / math.sqrt(width // heads)).softmax(-1)
    return (weights @ v).transpose(1, 2).reshape(n, tokens, width)


def cls_feature(images: Tensor, weights: Weights, adapter: Adapter, scaling: float, heads: int, kind: str) -> Tensor:
    """`kind` "dino": CLS before the final norm; "clip" and "open_clip": the final-normalised CLS times
    `proj`.
    """
    clip_like = kind != "dino"
    eps, activate = (1e-5 if clip_like else 1e-6), (quick_gelu if kind == "clip" else gelu)
    kernel = weights["patch_embed.proj.weight"]
    patches = torch.nn.functional.conv2d(images, kernel, weights["patch_embed.proj.bias"], stride=kernel.shape[-1])
    patches = patches.flatten(2).transpose(1, 2)
    x = torch.cat([weights["cls_token"].expand(len(images), -1, -1), patches], 1) + weights["pos_embed"]
    if clip_like:
        x = layer_norm(x, weights, "pos_drop", eps)
    for i in range(sum(name.endswith("norm1.weight") for name in weights)):
        block = f"blocks.{i}."
        fused = weights[block + "attn.qkv.weight"] + scaling * adapter[block + "B"] @ adapter[block + "A"]
        y = attention(layer_norm(x, weights, block + "norm1", eps), fused, weights[block + "attn.qkv.bias"], heads)
        x = x + y @ weights[block + "attn.proj.weight"].T + weights[block + "attn.proj.bias"]
        y = layer_norm(x, weights, block + "norm2", eps)
        y = activate(y @ weights[block + "mlp.fc1.weight"].T + weights[block + "mlp.fc1.bias"])
        x = x + y @ weights[block + "mlp.fc2.weight"].T + weights[block + "mlp.fc2.bias"]
    return layer_norm(x[:, 0], weights, "norm", eps) @ weights["proj"] if clip_like else x[:, 0]
