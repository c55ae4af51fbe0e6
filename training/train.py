"""Fine-tuning on human judgments: one loop, from the first batch to the best weights."""

from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import scores
from training.batches import Batch, batches_of_epoch, share_of_process
from training.checkpoint import Progress, save_adapter, save_state
from training.errors import NonFiniteLossError
from training.features import embed_all
from training.losses import agreement, hinge_loss
from training.models import distance, trainable_state
from training.run_folder import write_metrics
from training.scores import Estimate
from training.session import Session


class Watcher(Protocol):
    """Sees a run go by: a progress bar, curves."""

    def batch(self, progress: Progress, batch: Batch, loss: float, agreed: float, batches: int) -> None: ...

    def epoch(self, record: dict[str, float]) -> None: ...


def train(session: Session, watcher: Watcher) -> Progress:
    """Runs the experiment to its end, from wherever `session.progress` stands.

    The run's folder then holds the weights that were best on validation, and a state to resume from. Raises
    NonFiniteLossError, naming the batch, where loss or gradient is not finite; what was saved stays good.
    """
    settings, progress = session.experiment.train, session.progress
    if not progress.history:
        finish_epoch(session, watcher)  # the untrained model, as epoch 0
    while progress.epoch <= settings.epochs and not exhausted(session):
        batches = batches_of_epoch(session.train.triplets, settings, session.experiment.seed, progress.epoch)
        for batch in batches[progress.batch :]:
            loss, agreed = training_step(session, batch)
            progress.count(len(batch.targets), loss, agreed)
            watcher.batch(progress, batch, loss, agreed, len(batches))
            if progress.step % settings.checkpoint_every == 0:
                save(session)
        finish_epoch(session, watcher)
    return progress


def training_step(session: Session, batch: Batch) -> tuple[float, float]:
    """One update on one batch, all its images in one forward pass. Returns (loss, agreement)."""
    accelerator, progress = session.accelerator, session.progress
    part = share_of_process(batch, accelerator.process_index, accelerator.num_processes)
    # dropout is drawn from (seed, step), so that a resumed run draws what it would have drawn
    torch.manual_seed(_mix(session.experiment.seed, progress.step, accelerator.process_index))
    images = session.inputs[session.train.rows[part.images]].to(accelerator.device)
    session.embed.train()
    with session.autocast():
        embeddings = session.embed(images)
    zero, one, target = _distances(embeddings, part.triplets, part.targets)
    loss = hinge_loss(zero, one, target, session.experiment.train.margin)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(session.model.parameters(), float("inf"))
    if not (torch.isfinite(loss) and torch.isfinite(norm)):
        raise _diverged(session, f"batch {progress.batch + 1}", float(loss.detach()))
    session.optimizer.step()
    session.optimizer.zero_grad()
    agreed = agreement(zero.detach(), one.detach(), target).mean()
    means = cast(Tensor, accelerator.reduce(torch.stack([loss.detach(), agreed]), reduction="mean"))
    return float(means[0]), float(means[1])


def finish_epoch(session: Session, watcher: Watcher) -> None:
    """Validates, keeps the weights where they are the best yet, records the epoch and saves the state."""
    progress = session.progress
    loss, score = validate(session)
    better = progress.finish_epoch(loss, score)
    if session.accelerator.is_main_process:
        if better:
            save_adapter(session.folder, trainable_state(session.model))
        write_metrics(session.folder, progress.history)
        watcher.epoch(progress.history[-1])
    save(session)


def validate(session: Session) -> tuple[float, Estimate]:
    """Hinge loss and 2AFC score over the whole validation set; the interval resamples references.

    Raises NonFiniteLossError where the loss is not finite.
    """
    with session.autocast():
        embeddings = embed_all(
            session.model, session.model, session.inputs, session.val.rows, session.accelerator.device
        )
    triplets = session.val.triplets
    zero, one, target = _distances(embeddings, triplets.indices, triplets.targets)
    loss = hinge_loss(zero, one, target, session.experiment.train.margin)
    if not torch.isfinite(loss):
        raise _diverged(session, "on validation", float(loss))
    agreed = agreement(zero, one, target).double().cpu().numpy()
    return float(loss), scores.estimate(agreed, triplets.indices[:, 0])


def exhausted(session: Session) -> bool:
    patience = session.experiment.train.patience
    return patience is not None and session.progress.epochs_without_gain >= patience


def save(session: Session) -> None:
    if session.accelerator.is_main_process:
        save_state(session.folder, trainable_state(session.model), session.optimizer, session.progress)


def _distances(
    embeddings: Tensor, triplets: NDArray[np.int64], targets: NDArray[np.float32]
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances (n,) of candidates 0 and 1 from their reference, and the targets (n,)."""
    indices = torch.from_numpy(triplets).to(embeddings.device)
    reference, zero, one = (embeddings[indices[:, i]] for i in range(3))
    return (
        distance(reference, zero),
        distance(reference, one),
        torch.from_numpy(targets).to(embeddings.device),
    )


def _diverged(session: Session, where: str, loss: float) -> NonFiniteLossError:
    return NonFiniteLossError(
        f"loss or gradient is not finite at epoch {session.progress.epoch}, {where} (loss {loss:g}). "
        f"{session.folder} keeps the last good "
        "state; a smaller learning_rate or precision = 'float32' may help"
    )


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
