"""Files that are either the old ones or the new ones, whole; and a training state that is written so."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.errors import CheckpointError
from training.pickles import DamagedPickleError, load_plain
from training.scores import Estimate

STATE_FILE = "state.pt"
ADAPTER_FILE = "adapter.safetensors"
DRAFT = ".part"  # the end of a file's name while it is being written


@dataclass
class Progress:
    """Where training stands, counted so that a resumed run records the same numbers as one that never
    stopped.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0  # batches of this epoch already used
    loss_sum: float = 0.0
    agreement_sum: float = 0.0
    triplets: int = 0
    best_loss: float = float("inf")
    epochs_without_gain: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def count(self, triplets: int, loss: float, agreed: float) -> None:
        """Adds one batch with its mean loss and mean agreement."""
        self.step += 1
        self.batch += 1
        self.triplets += triplets
        self.loss_sum += loss * triplets
        self.agreement_sum += agreed * triplets

    def finish_epoch(self, val_loss: float, val_agreement: Estimate) -> bool:
        """Records the epoch and turns to the next; whether its validation loss is the best yet."""
        record = {
            "epoch": self.epoch,
            "step": self.step,
            "val_loss": val_loss,
            "val_agreement": val_agreement.value,
            "val_low": val_agreement.low,
            "val_high": val_agreement.high,
            "val_triplets": val_agreement.n,
        }
        if self.triplets:
            record["train_loss"] = self.loss_sum / self.triplets
            record["train_agreement"] = self.agreement_sum / self.triplets
        self.history.append(record)
        better = val_loss < self.best_loss
        self.best_loss = min(val_loss, self.best_loss)
        self.epochs_without_gain = 0 if better else self.epochs_without_gain + 1
        self.epoch, self.batch, self.triplets = self.epoch + 1, 0, 0
        self.loss_sum, self.agreement_sum = 0.0, 0.0
        return better


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Writes beside `path`, flushes to disk, then renames: whatever interrupts it, `path` stays whole.

    Raises CheckpointError where the disk is full or not writable; what was there before is still there.
    """
    draft = path.with_name(path.name + DRAFT)
    try:
        draft.unlink(missing_ok=True)
        draft.touch()
        mode = draft.stat().st_mode  # as the umask and the folder have it; safetensors makes its files private
        write(draft)
        draft.chmod(mode)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except (OSError, SafetensorError, RuntimeError) as error:
        draft.unlink(missing_ok=True)
        kept = "the previous one is kept" if path.exists() else "nothing was there before"
        raise CheckpointError(f"{path} could not be saved ({error}); {kept}") from None


def save_state(
    folder: Path, trainable: dict[str, Tensor], optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    state = {"trainable": trainable, "optimizer": optimizer.state_dict(), "progress": asdict(progress)}
    replace_file(folder / STATE_FILE, lambda draft: torch.save(state, draft))


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], Progress] | None:
    """Trainable tensors, optimizer state and progress of an interrupted run; None if it had not saved yet."""
    file = folder / STATE_FILE
    if not file.is_file():
        return None
    try:
        state = load_plain(file)
        return state["trainable"], state["optimizer"], Progress(**state["progress"])
    except (DamagedPickleError, OSError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is no training state ({error})") from None


def save_adapter(folder: Path, trainable: dict[str, Tensor]) -> None:
    replace_file(folder / ADAPTER_FILE, lambda draft: save_file(trainable, draft))


def load_adapter(folder: Path) -> dict[str, Tensor]:
    file = folder / ADAPTER_FILE
    try:
        return load_file(file)
    except FileNotFoundError:
        raise CheckpointError(f"{folder} has no {ADAPTER_FILE}: it is no run, or has not finished an epoch") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read as safetensors ({error})") from None
