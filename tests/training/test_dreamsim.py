import json
import os
import pickle
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.training.dreamsim_folder import official_distances, write_small_folder
from training.dreamsim import export_dreamsim, load_dreamsim, read_plain_state_dict
from training.errors import CheckpointError, WeightsError
from training.metric import load_metric
from training.models import PerceptualModel, distance, load_trainable_state, trainable_state
from training.open_model import open_model
from training.run_folder import load_run, save_as_run


def draw(seed: int, n: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.rand(2, n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return a, b


@torch.inference_mode()
def distances(model: PerceptualModel, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return distance(model(a), model(b))


def test_parity_with_the_official_numbers(shared: Path, tmp_path: Path) -> None:
    """The full ensemble, 1 GB drawn from seed 0, against distances recorded of the official implementation."""
    parity = shared / "dreamsim_parity"
    runpy.run_path(str(parity / "make_checkpoint.py"))["write_checkpoint"](tmp_path / "models", 0)
    expected = json.loads((parity / "expected.json").read_text())
    a, b = (images[:1] for images in runpy.run_path(str(parity / "images.py"))["draw"](expected["seed"]))
    metric = load_metric(tmp_path / "models", device="cpu")
    shutil.rmtree(tmp_path / "models")  # pytest keeps what is left, of several runs
    with torch.inference_mode():
        embedded = metric.embed(torch.cat([a, b]))
        ours = distance(embedded[:1], embedded[1:])
    torch.testing.assert_close(ours, torch.tensor(expected["distances"][:1]), atol=2e-6, rtol=0)
    assert embedded.shape[1] == expected["embed_shape"][1]
    torch.testing.assert_close(embedded[0, :5], torch.tensor(expected["embed_first_values"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_small_ensembles_match_the_equations(tmp_path: Path, seed: int) -> None:
    folder = write_small_folder(tmp_path / "models", seed)
    a, b = draw(seed, 4, 32)
    wanted = official_distances(folder, a, b)
    assert wanted.min() > 1e-3
    torch.testing.assert_close(distances(load_dreamsim(folder), a, b), wanted, atol=2e-6, rtol=0)


def trained_separately(folder: Path) -> PerceptualModel:
    """Our towers with adapters of their own on q, k and v, as training makes them: no shared A."""
    model = load_dreamsim(folder)
    generator = torch.Generator().manual_seed(5)
    state = {
        name: torch.randn(tensor.shape, generator=generator) * 0.1 for name, tensor in trainable_state(model).items()
    }
    load_trainable_state(model, state, folder)
    return model


def test_separate_adapters_become_one_fused_adapter(tmp_path: Path) -> None:
    model = trained_separately(write_small_folder(tmp_path / "models", 0))
    a, b = draw(1, 4, 32)
    own = distances(model, a, b)

    export_dreamsim(model, tmp_path / "exported")

    torch.testing.assert_close(official_distances(tmp_path / "exported", a, b), own, atol=1e-5, rtol=0)
    torch.testing.assert_close(distances(load_dreamsim(tmp_path / "exported"), a, b), own, atol=1e-5, rtol=0)
    settings = json.loads((tmp_path / "exported/ensemble_lora/adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (12, 18.0)
    fused = load_file(tmp_path / "exported/ensemble_lora/adapter_model.safetensors")
    first = fused["base_model.model.extractor_list.0.model.blocks.0.attn.qkv.lora_B.weight"]
    assert first.shape == (384, 12)
    assert not first[:128, 4:].any()


def test_the_official_loader_finds_every_tensor_it_knows(tmp_path: Path) -> None:
    """peft itself, on a network with the official names, takes the exported adapter without a missing key."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(128, 384)

    def module(**children: nn.Module) -> nn.Module:
        parent = nn.Module()
        for name, child in children.items():
            parent.add_module(name, child)
        return parent

    blocks = lambda: nn.ModuleList([module(attn=Attention()) for _ in range(3)])  # noqa: E731
    official = module(extractor_list=nn.ModuleList([module(model=module(blocks=blocks())) for _ in range(3)]))
    export_dreamsim(trained_separately(write_small_folder(tmp_path / "models", 0)), tmp_path / "exported")
    settings = json.loads((tmp_path / "exported/ensemble_lora/adapter_config.json").read_text())
    keys = ("r", "lora_alpha", "lora_dropout", "bias", "target_modules")
    adapted = get_peft_model(official, LoraConfig(**{key: settings[key] for key in keys}))
    fused = load_file(tmp_path / "exported/ensemble_lora/adapter_model.safetensors")
    result = set_peft_model_state_dict(adapted, fused)
    assert not result.unexpected_keys
    assert not [key for key in result.missing_keys if "lora" in key]
    loaded = adapted.base_model.model.extractor_list[2].model.blocks[1].attn.qkv.lora_A["default"].weight
    name = "base_model.model.extractor_list.2.model.blocks.1.attn.qkv.lora_A.weight"
    torch.testing.assert_close(loaded.data, fused[name])


def test_import_makes_a_run_with_the_same_distances(tmp_path: Path) -> None:
    model = load_dreamsim(write_small_folder(tmp_path / "models", 2))
    a, b = draw(2, 3, 32)
    save_as_run(model, tmp_path / "run")
    torch.testing.assert_close(distances(load_run(tmp_path / "run"), a, b), distances(model, a, b), atol=1e-6, rtol=0)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    torch.testing.assert_close(distances(load_run(moved), a, b), distances(model, a, b), atol=1e-6, rtol=0)
    with pytest.raises(CheckpointError, match="is not empty"):
        save_as_run(model, moved)


def test_the_folder_that_the_official_package_leaves(tmp_path: Path) -> None:
    """torch.hub puts DINO's tower below the folder; the ZIP has another copy under another name."""
    folder = write_small_folder(tmp_path / "models", 0)
    wanted = trainable_state(load_dreamsim(folder))
    (folder / "checkpoints").mkdir()
    (folder / "dino_vitbase16_pretrain.pth").rename(folder / "checkpoints/dino_vitbase16_pretrain.pth")
    (folder / "dino_vitb16_pretrain.pth").write_bytes(b"")
    found = trainable_state(load_dreamsim(folder))
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_a_checkpoint_of_one_tower_is_called_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "single"
    (folder / "dino_vitb16_single_lora").mkdir(parents=True)
    (folder / "dino_vitb16_single_lora/adapter_config.json").write_text("{}")
    for load in (load_dreamsim, load_metric, lambda path: open_model(str(path))):
        with pytest.raises(WeightsError, match=r"single holds dino_vitb16_single_lora: .* only the ensemble"):
            load(folder)
    with pytest.raises(WeightsError, match="holds no published DreamSim checkpoint"):
        load_dreamsim(tmp_path)


def test_towers_in_torch_s_older_format_are_read(tmp_path: Path) -> None:
    folder = write_small_folder(tmp_path / "models", 0)
    a, b = draw(1, 2, 32)
    wanted = distances(load_dreamsim(folder), a, b)
    for file in folder.glob("*.pth*"):
        torch.save(torch.load(file, weights_only=True), file, _use_new_zipfile_serialization=False)
    assert torch.equal(distances(load_dreamsim(folder), a, b), wanted)


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/should-never-exist",)


def test_a_pickle_that_is_no_state_dict_is_not_run(tmp_path: Path) -> None:
    folder = write_small_folder(tmp_path / "models", 0)
    with (folder / "dino_vitbase16_pretrain.pth").open("wb") as file:
        pickle.dump(Dangerous(), file)
    with pytest.raises(WeightsError, match=r"dino_vitbase16_pretrain\.pth is no plain state dict"):
        load_dreamsim(folder)
    torch.save({"state_dict": [1, 2]}, folder / "dino_vitbase16_pretrain.pth")
    with pytest.raises(WeightsError, match="must map names to tensors"):
        load_dreamsim(folder)
    (folder / "dino_vitbase16_pretrain.pth").unlink()
    with pytest.raises(
        WeightsError, match=r"dino_vitbase16_pretrain\.pth is missing: it is neither in .* nor in .*checkpoints"
    ):
        load_dreamsim(folder)


@pytest.mark.parametrize("left", [0, 5, 0.5, 0.9])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_cut_download_is_named(tmp_path: Path, left: float, zipped: bool) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"weight": torch.ones(9), "bias": torch.zeros(3)}, file, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: left if left >= 1 else int(left * len(content))])
    with pytest.raises(
        WeightsError, match=r"^\S+weights\.pth is no plain state dict and was not loaded \(its .* bytes are cut"
    ):
        read_plain_state_dict(file)


def test_the_first_mismatching_tensor_is_named(tmp_path: Path) -> None:
    folder = write_small_folder(tmp_path / "models", 0)
    file = folder / "dino_vitbase16_pretrain.pth"
    weights = torch.load(file, weights_only=True)
    torch.save(weights | {"norm.bias": torch.zeros(7)}, file)
    with pytest.raises(CheckpointError, match=r"tensor norm\.bias is \(7,\) instead of \(128,\)"):
        load_dreamsim(folder)
    torch.save(weights | {"head.weight": torch.zeros(7)}, file)
    with pytest.raises(CheckpointError, match=r"tensor head\.weight has no place"):
        load_dreamsim(folder)
    torch.save(weights, file)
    adapter = folder / "ensemble_lora/adapter_model.safetensors"
    tensors = load_file(adapter)
    key = "base_model.model.extractor_list.1.model.blocks.2.attn.qkv.lora_B.weight"
    save_file({name: tensor for name, tensor in tensors.items() if name != key}, adapter)
    with pytest.raises(CheckpointError, match=r"extractor_list\.1\..*qkv\.lora_B\.weight is missing"):
        load_dreamsim(folder)


def test_only_the_ensemble_with_adapters_is_exported(towers: Path, tmp_path: Path) -> None:
    from training.config import ModelConfig, TowerConfig
    from training.models import build_model, merge_lora

    config = ModelConfig(towers=(TowerConfig(source=str(towers / "dinov2"), image_size=32),))
    with pytest.raises(CheckpointError, match=r"this model has dinov2 \(gelu\)"):
        export_dreamsim(build_model(config), tmp_path / "out")
    merged = merge_lora(load_dreamsim(write_small_folder(tmp_path / "models", 0)))
    with pytest.raises(CheckpointError, match="has no LoRA adapters"):
        export_dreamsim(merged, tmp_path / "out")
    assert not (tmp_path / "out").exists()
