import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from transformers import CLIPVisionModelWithProjection, Dinov2Model, ViTModel

from training import backbones
from training.backbones import open_tower
from training.config import TowerConfig
from training.errors import ConfigError, WeightsError
from training.normalisation import NAMED

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def normalised(kind: str) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (NAMED[kind].mean, NAMED[kind].std))
    return (IMAGES - mean) / std


def tower(towers: Path, name: str, **settings: object) -> backbones.Tower:
    return open_tower(TowerConfig(source=str(towers / name), image_size=32, **settings)).eval()


@torch.inference_mode()
def test_features_are_what_transformers_computes(towers: Path) -> None:
    vit = ViTModel.from_pretrained(towers / "vit", add_pooling_layer=False).eval()(normalised("imagenet"))
    dinov2 = Dinov2Model.from_pretrained(towers / "dinov2").eval()(normalised("imagenet"))
    clip = CLIPVisionModelWithProjection.from_pretrained(towers / "clip").eval()(normalised("clip"))
    pairs = [
        (tower(towers, "vit")(IMAGES), vit.last_hidden_state[:, 0]),
        (tower(towers, "dinov2")(IMAGES), dinov2.last_hidden_state[:, 0]),
        (tower(towers, "clip")(IMAGES), clip.image_embeds),
        (tower(towers, "clip", feature="cls_before_norm")(IMAGES), clip.last_hidden_state[:, 0]),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_before_the_final_norm(towers: Path) -> None:
    opened = tower(towers, "vit", feature="cls_before_norm")
    after = opened.backbone.layernorm(opened(IMAGES))
    torch.testing.assert_close(after, tower(towers, "vit")(IMAGES))


@torch.inference_mode()
def test_patches_append_their_mean(towers: Path) -> None:
    opened = tower(towers, "dinov2", patches=True)
    tokens = Dinov2Model.from_pretrained(towers / "dinov2").eval()(normalised("imagenet")).last_hidden_state
    wanted = torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)
    torch.testing.assert_close(opened(IMAGES), wanted, atol=1e-6, rtol=0)
    assert opened.width == 64


@torch.inference_mode()
@pytest.mark.parametrize("name", ["vit", "dinov2", "clip"])
def test_other_sizes_interpolate_positions(towers: Path, name: str) -> None:
    large = open_tower(TowerConfig(source=str(towers / name), image_size=48)).eval()
    assert large(torch.rand(1, 3, 48, 48)).shape == (1, large.width)
    # images of another size than the tower's are resized
    resized = torch.nn.functional.interpolate(IMAGES, (48, 48), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(large(IMAGES), large(resized))


def test_the_real_tower_reads_every_weight(shared: Path) -> None:
    opened = open_tower(TowerConfig(source=str(shared / "models/dinov2-small")))
    assert opened.width == 384
    assert opened.feature == "cls"
    assert next(opened.parameters()).dtype == torch.float32


def test_a_feature_the_backbone_lacks_is_refused(towers: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(vit\) has no feature 'projection'; it has: cls, cls_before_norm"):
        tower(towers, "vit", feature="projection")


def test_a_size_that_does_not_fit_the_patches_is_refused(towers: Path) -> None:
    with pytest.raises(ConfigError, match="image_size 36 is no multiple of its patches of 8"):
        open_tower(TowerConfig(source=str(towers / "vit"), image_size=36))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    with pytest.raises(ConfigError, match="is a resnet; towers can be vit, dinov2, clip_vision_model"):
        open_tower(TowerConfig(source=str(tmp_path)))


def test_a_missing_tensor_is_named(towers: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(towers / "vit", tmp_path / "vit")
    file = tmp_path / "vit/model.safetensors"
    weights = load_file(file)
    del weights[next(name for name in weights if "position_embeddings" in name)]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"tensor embeddings\.position_embeddings is missing"):
        open_tower(TowerConfig(source=str(tmp_path / "vit"), image_size=32))


def test_a_folder_without_weights_is_named(towers: Path, tmp_path: Path) -> None:
    shutil.copy(towers / "vit/config.json", tmp_path)
    with pytest.raises(WeightsError, match="does not hold a model in transformers format"):
        open_tower(TowerConfig(source=str(tmp_path)))


def test_an_unreachable_hub_says_what_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    backbones._hub_answers.cache_clear()
    with pytest.raises(WeightsError, match="openai/clip-vit-base-patch16 is not on this machine") as error:
        open_tower(TowerConfig(source="clip-vitb16"))
    assert "Put config.json, preprocessor_config.json and model.safetensors of http://127.0.0.1:9/openai" in str(
        error.value
    )
    backbones._hub_answers.cache_clear()
