import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from training.checkpoint import Progress, load_adapter, load_state, save_adapter, save_state
from training.errors import CheckpointError
from training.scores import Estimate


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_without_space_the_previous_files_survive(tmp_path: Path) -> None:
    network = nn.Linear(100, 100)
    optimizer = torch.optim.Adam(network.parameters())
    tensors = {"weight": torch.ones(100, 100)}
    save_state(tmp_path, tensors, optimizer, Progress(step=1))
    save_adapter(tmp_path, tensors)
    with disk_of(8192):
        with pytest.raises(CheckpointError, match=r"state\.pt could not be saved .* the previous one is kept"):
            save_state(tmp_path, {"weight": torch.zeros(100, 100)}, optimizer, Progress(step=2))
        with pytest.raises(CheckpointError, match=r"adapter\.safetensors could not be saved"):
            save_adapter(tmp_path, {"weight": torch.zeros(100, 100)})
    saved = load_state(tmp_path)
    assert saved is not None
    assert saved[2].step == 1
    assert torch.equal(load_adapter(tmp_path)["weight"], tensors["weight"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter.safetensors", "state.pt"]


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    (tmp_path / "state.pt").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"state\.pt is no training state"):
        load_state(tmp_path)
    with pytest.raises(CheckpointError, match=r"has no adapter\.safetensors"):
        load_adapter(tmp_path)
    (tmp_path / "adapter.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_adapter(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"<html>", b"\x80\x02X\xff", b"PK\x03\x04", bytes(100)])
def test_whatever_is_wrong_with_a_state_it_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(
        CheckpointError, match=rf"^\S+state\.pt is no training state \(its {len(content)} bytes are .*\)$"
    ):
        load_state(tmp_path)


def test_progress_counts_by_triplet() -> None:
    progress = Progress(epoch=1)
    progress.count(3, 1.0, 0.5)
    progress.count(1, 0.0, 1.0)
    agreement = Estimate(0.6, 0.4, 0.8, 20)
    assert progress.finish_epoch(0.5, agreement)
    assert progress.history[0]["train_loss"] == 0.75
    assert progress.history[0]["train_agreement"] == 0.625
    assert progress.history[0]["val_low"] == 0.4
    assert progress.history[0]["val_triplets"] == 20
    assert not progress.finish_epoch(0.5, agreement)
    assert (progress.epoch, progress.epochs_without_gain) == (3, 1)
