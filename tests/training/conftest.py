"""Small real networks and small real datasets, drawn from seeds."""

import csv
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

# One thread each: tests run side by side, and small networks only wait for their threads. Set before torch
# loads, and inherited by the interpreters that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTModel,
)

from tests.support.training.small_hub import write_small_hub
from training import backbones

torch.set_num_threads(1)

COLUMNS = "id,left_vote,right_vote,votes,ref_path,left_path,right_path,split,is_imagenet,prompt"
ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}


@pytest.fixture(scope="session")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `vit`, `dinov2`, `clip`: transformers' own classes with two blocks of 32 features, 32 px."""
    folder = tmp_path_factory.mktemp("towers")
    torch.manual_seed(0)
    ViTModel(ViTConfig(**SIZES), add_pooling_layer=False).save_pretrained(folder / "vit")
    dinov2 = {name: value for name, value in SIZES.items() if name != "intermediate_size"}
    Dinov2Model(Dinov2Config(**dinov2, mlp_ratio=2)).save_pretrained(folder / "dinov2")
    clip = CLIPVisionConfig(**SIZES, projection_dim=16)
    CLIPVisionModelWithProjection(clip).save_pretrained(folder / "clip")
    return folder


def draw_images(seed: int, count: int, size: int = 32) -> np.ndarray:
    """Smooth colourful noise as uint8 (count, size, size, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((count, 4, 4, 3))
    zoomed = [
        np.asarray(Image.fromarray((image * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC))
        for image in coarse
    ]
    return np.stack(zoomed)


def write_export(folder: Path, count: int = 24, seed: int = 0, with_manifest: bool = True) -> Path:
    """An export in the layout of the collection side: kept items, unfiltered items, images, manifest.

    Candidate 0 of every even item is a near copy of its reference, candidate 1 of every odd one: people
    agree. The last two items were dropped and are in unfiltered.csv alone.
    """
    generator = np.random.default_rng(seed)
    references, others = draw_images(seed, count), draw_images(seed + 1, count)
    kept, every = [], []
    for number in range(count):
        noise = generator.integers(-12, 13, references[number].shape)
        near = np.clip(references[number].astype(int) + noise, 0, 255).astype(np.uint8)
        pair = (near, others[number]) if number % 2 == 0 else (others[number], near)
        paths = [f"ref/000/{number:03d}.png", *(f"distort/000/{number:03d}_{side}.png" for side in (0, 1))]
        for path, pixels in zip(paths, (references[number], *pair), strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / path)
        split = "val" if number % 4 == 3 else "test" if number % 8 == 2 else "train"
        votes = [int(number % 2 == 0), int(number % 2 == 1), 6 + number % 3]
        facts = [*paths, split, number % 3 == 0, f"thing {number % 2}"]
        dropped = number >= count - 2
        if dropped:
            every.append([number, 0.75, 0.25, 4, *facts, "dropped", 4])
        else:
            every.append([number, *votes, *facts, "kept", ""])
            kept.append([number, *votes, *facts])
    _write_csv(folder / "data.csv", COLUMNS.split(","), kept)
    _write_csv(folder / "unfiltered.csv", [*COLUMNS.split(","), "status", "dropped_round"], every)
    if with_manifest:
        write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    hashes = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "manifest.json").write_text(json.dumps({"study": "small", "files": hashes}))


def _write_csv(path: Path, columns: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export")


@pytest.fixture(scope="session")
def steady_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that no test changes."""
    return write_export(tmp_path_factory.mktemp("steady") / "export")


@pytest.fixture
def experiment_file(tmp_path: Path, towers: Path) -> Callable[..., Path]:
    """Writes an experiment on tiny towers; keyword arguments replace settings of [train]."""

    def write(tower: str = "vit", head: str = "lora", feature: str = "cls", **train: object) -> Path:
        settings = {"epochs": 2, "batch_size": 4, "learning_rate": 0.003, "precision": "float32"} | train
        lines = [f'[model]\nhead = "{head}"', f'[[model.towers]]\nsource = "{towers / tower}"']
        lines += [f'feature = "{feature}"', "image_size = 32", "[model.lora]\nrank = 4\ndropout = 0.1"]
        lines += ["[model.mlp]\nhidden = 16", "[train]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        file = tmp_path / f"{tower}-{head}.toml"
        file.write_text("\n".join(lines) + "\n")
        return file

    return write


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_hub(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def fetched_towers(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The presets come from the hub's cache, as small towers; the hub itself is away."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(backbones, "_hub_answers", lambda: False)
