from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.config import LoraSettings, ModelConfig, TowerConfig
from training.errors import CheckpointError
from training.models import (
    build_model,
    distance,
    embedding,
    load_trainable_state,
    merge_lora,
    trainable_state,
)

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def config(towers: Path, *names: str, head: str = "lora") -> ModelConfig:
    listed = tuple(TowerConfig(source=str(towers / name), image_size=32) for name in names)
    return ModelConfig(towers=listed, head=head, lora=LoraSettings(rank=3, alpha=6.0, dropout=0.0))


@given(arrays("float64", (2, 12), elements=st.floats(-100, 100)))
@settings(deadline=None)
def test_distance_is_one_minus_correlation(features: "torch.Tensor") -> None:
    """Centred unit vectors: their cosine is Pearson's r of the features, the same for scaled, shifted
    features.
    """
    a, b = torch.as_tensor(features)
    if a.std() < 1e-3 or b.std() < 1e-3:
        return
    embedded = embedding(torch.stack([a, b, 3 * a + 7]))
    wanted = 1 - torch.corrcoef(torch.stack([a, b]))[0, 1]
    torch.testing.assert_close(distance(embedded[0], embedded[1]), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(distance(embedded[0], embedded[2]), torch.zeros(()).double(), atol=1e-6, rtol=0)


def test_an_ensemble_lays_features_side_by_side(towers: Path) -> None:
    model = build_model(config(towers, "vit", "clip", head="none")).eval()
    parts = [build_model(config(towers, name, head="none")).eval() for name in ("vit", "clip")]
    with torch.inference_mode():
        wanted = embedding(torch.cat([part.features(IMAGES) for part in parts], dim=1))
        torch.testing.assert_close(model(IMAGES), wanted)
    assert model.width == 32 + 16


def test_uint8_and_floats_are_the_same_image(towers: Path) -> None:
    model = build_model(config(towers, "vit", head="none")).eval()
    pixels = (IMAGES * 255).round().to(torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(model(pixels), model(pixels.float() / 255))


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip"])
def test_lora_starts_as_the_bare_tower_and_adapts_q_k_v(towers: Path, name: str) -> None:
    bare, adapted = (build_model(config(towers, name, head=head)).eval() for head in ("none", "lora"))
    with torch.inference_mode():
        torch.testing.assert_close(adapted(IMAGES), bare(IMAGES))
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trained) == 2 * 3 * (2 * 3 * 32)  # blocks × qkv × (A + B)
    assert len(trainable_state(adapted)) == len(trained) == 12


def test_merging_changes_nothing_but_the_cost(towers: Path) -> None:
    model = build_model(config(towers, "vit", "dinov2")).eval()
    state = {name: torch.randn_like(tensor) * 0.1 for name, tensor in trainable_state(model).items()}
    load_trainable_state(model, state, Path("drawn"))
    with torch.inference_mode():
        before = model(IMAGES)
        merged = merge_lora(model)
        torch.testing.assert_close(merged(IMAGES), before, atol=1e-5, rtol=0)
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]


@pytest.mark.parametrize("head", ["lora", "mlp"])
def test_state_goes_round(towers: Path, head: str) -> None:
    first, second = (build_model(config(towers, "vit", head=head), seed).eval() for seed in (0, 1))
    load_trainable_state(second, trainable_state(first), Path("first"))
    with torch.inference_mode():
        torch.testing.assert_close(second(IMAGES), first(IMAGES))


def test_a_state_of_another_architecture_is_refused(towers: Path) -> None:
    model = build_model(config(towers, "vit"))
    state = trainable_state(model)
    first = next(iter(state))
    with pytest.raises(CheckpointError, match=f"tensor {first} is missing"):
        load_trainable_state(model, {name: state[name] for name in list(state)[1:]}, Path("x"))
    with pytest.raises(CheckpointError, match=rf"tensor {first} is \(1, 2\) instead of \(3, 32\)"):
        load_trainable_state(model, state | {first: torch.zeros(1, 2)}, Path("x"))
    with pytest.raises(CheckpointError, match="tensor extra has no place in the model"):
        load_trainable_state(model, state | {"extra": torch.zeros(1)}, Path("x"))
