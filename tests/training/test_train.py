import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.support.training.dreamsim_folder import write_small_folder
from tests.training.conftest import ROOT
from training.batches import Batch, batches_of_epoch, share_of_process
from training.checkpoint import Progress
from training.cli import app
from training.config import TrainConfig, load_experiment
from training.data import read_triplets
from training.dreamsim import load_dreamsim
from training.errors import CheckpointError, ConfigError, NonFiniteLossError
from training.run_folder import load_run, save_as_run
from training.session import Session, open_session
from training.train import train, training_step
from training.validation import agreement_text, verdict

Write = Callable[..., Path]


class Silent:
    """A watcher that keeps what it saw."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.records: list[dict[str, float]] = []

    def batch(self, _progress: Progress, _batch: Batch, loss: float, *_: object) -> None:
        self.losses.append(loss)

    def epoch(self, record: dict[str, float]) -> None:
        self.records.append(record)


def run(experiment: Path, data: Path, folder: Path, **options: object) -> tuple[Session, Silent]:
    cache = folder.parent / "cache"
    session = open_session(load_experiment(experiment), data, folder, "cpu", cache_folder=cache, **options)
    watcher = Silent()
    train(session, watcher)
    return session, watcher


@pytest.mark.parametrize(("tower", "feature"), [("vit", "cls_before_norm"), ("dinov2", "cls"), ("clip", "projection")])
def test_lora_learns_what_people_chose(
    experiment_file: Write, steady_export: Path, tmp_path: Path, tower: str, feature: str
) -> None:
    file = experiment_file(tower, feature=feature, epochs=8)
    session, watcher = run(file, steady_export, tmp_path / "run")
    first, last = watcher.records[0], watcher.records[-1]
    assert last["val_loss"] < 0.9 * first["val_loss"]
    assert min(record["val_loss"] for record in watcher.records) == session.progress.best_loss
    frozen = [parameter.requires_grad for name, parameter in session.model.named_parameters() if "lora" not in name]
    assert not any(frozen)


def test_mlp_learns_on_features_computed_once(
    experiment_file: Write, steady_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = experiment_file(head="mlp", epochs=30, learning_rate=0.01, batch_size=16)
    _, watcher = run(file, steady_export, tmp_path / "run")
    assert watcher.records[-1]["val_loss"] < 0.8 * watcher.records[0]["val_loss"]
    assert len(list((tmp_path / "cache").glob("features-*.npy"))) == 1
    # a second run finds the features on disk: the towers are not asked again
    from training import features

    monkeypatch.setattr(features, "embed_all", lambda *_: pytest.fail("computed again"))
    open_session(load_experiment(file), steady_export, tmp_path / "again", "cpu", cache_folder=tmp_path / "cache")


def test_the_best_epoch_is_what_a_run_loads(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    session, watcher = run(experiment_file(epochs=6, learning_rate=0.05), steady_export, tmp_path / "run")
    model = load_run(tmp_path / "run")
    session.model.load_state_dict(model.state_dict(), strict=False)
    from training.train import validate

    loss, _ = validate(session)
    assert loss == pytest.approx(min(record["val_loss"] for record in watcher.records), abs=1e-6)


def test_a_run_folder_tells_everything(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    run(experiment_file(), steady_export, tmp_path / "run")
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["triplets"] == {"train": 14, "val": 5}
    assert record["precision"] == "float32"
    assert len(record["data_sha256"]) == 64
    assert record["code"]
    epochs = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]
    stored, asked = load_experiment(tmp_path / "run/experiment.json"), load_experiment(experiment_file())
    assert (stored.train, stored.data, stored.model.head) == (asked.train, asked.data, asked.model.head)
    assert [tower.source for tower in stored.model.towers] == [tower.source for tower in asked.model.towers]
    assert sorted(load_file(tmp_path / "run/adapter.safetensors"))[0].startswith("towers.0.backbone.layers.0")


def test_one_forward_pass_embeds_each_image_once(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    session = open_session(
        load_experiment(experiment_file(images_per_batch=9)),
        steady_export,
        tmp_path / "run",
        "cpu",
        cache_folder=tmp_path,
    )
    seen: list[int] = []
    session.embed.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    batch = batches_of_epoch(session.train.triplets, TrainConfig(batch_size=14), 0, 1)[0]
    training_step(session, batch)
    assert seen == [len(np.unique(session.train.triplets.indices))] == [42]


@pytest.mark.parametrize("tower", ["vit", "dinov2", "clip"])
def test_bfloat16_learns_the_same(experiment_file: Write, steady_export: Path, tmp_path: Path, tower: str) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        file = experiment_file(tower, epochs=2, precision=precision)
        losses.append(run(file, steady_export, tmp_path / precision)[1].records[-1]["val_loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_gradient_checkpointing_changes_nothing(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    losses = []
    for on in (False, True):
        file = experiment_file(gradient_checkpointing=on)
        losses.append(run(file, steady_export, tmp_path / str(on))[1].losses)
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_early_stopping(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    file = experiment_file(epochs=40, patience=2, learning_rate=3.0)
    _, watcher = run(file, steady_export, tmp_path / "run")
    best = min(range(len(watcher.records)), key=lambda i: watcher.records[i]["val_loss"])
    assert len(watcher.records) == best + 3 < 40


def test_divergence_stops_at_the_batch_and_keeps_the_last_good_state(
    experiment_file: Write, steady_export: Path, tmp_path: Path
) -> None:
    file = experiment_file(checkpoint_every=1, epochs=3)
    session = open_session(load_experiment(file), steady_export, tmp_path / "run", "cpu", cache_folder=tmp_path)

    class Poison(Silent):
        def batch(self, progress: Progress, *_: object) -> None:
            if progress.step == 6:  # after the update, before the next batch
                parameter = next(p for p in session.model.parameters() if p.requires_grad)
                parameter.data.fill_(math.nan)

    session.experiment.train.__dict__["checkpoint_every"] = 5
    with pytest.raises(NonFiniteLossError, match=r"not finite at epoch 2, batch 3 \(loss nan\)"):
        train(session, Poison())
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    assert state["progress"]["step"] == 5
    assert all(torch.isfinite(tensor).all() for tensor in state["trainable"].values())
    assert all(torch.isfinite(tensor).all() for tensor in load_file(tmp_path / "run/adapter.safetensors").values())


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from training import checkpoint
from training.config import load_experiment
from training.session import open_session
from training.train import train

experiment, data, root = map(Path, sys.argv[1:4])

class Killer:
    def __init__(self, step): self.step = step
    def batch(self, progress, *_):
        if progress.step == self.step: os.kill(os.getpid(), signal.SIGKILL)
    def epoch(self, record): pass

def go(folder, resume, step=None, in_save=None):
    pid = os.fork()
    if pid == 0:
        if in_save:  # between writing a file and renaming it
            count, replace = [0], Path.replace
            def dying(self, target):
                count[0] += 1
                if count[0] == in_save: os.kill(os.getpid(), signal.SIGKILL)
                return replace(self, target)
            Path.replace = dying
        session = open_session(load_experiment(experiment), data, folder, "cpu", resume, root / "cache")
        train(session, Killer(step))
        os._exit(0)
    return os.waitpid(pid, 0)[1]

assert go(root / "whole", False) == 0
for step in map(int, sys.argv[4].split(",")):
    folder = root / f"step-{step}"
    assert go(folder, False, step) == signal.SIGKILL
    assert go(folder, True) == 0
for save in map(int, sys.argv[5].split(",")):
    folder = root / f"save-{save}"
    assert go(folder, False, in_save=save) == signal.SIGKILL
    assert go(folder, True) == 0
"""


def test_killed_at_any_step_and_resumed_ends_with_the_same_weights(
    experiment_file: Write, steady_export: Path, tmp_path: Path
) -> None:
    """SIGKILL after an update, before its state is saved, and amid a save; three epochs of four batches."""
    file = experiment_file(epochs=3, checkpoint_every=3)
    steps = "1,5,12"
    # the first two renames are of config and record, without which there is nothing to resume: the run begins
    saves = "1,2,3,5"
    command = [sys.executable, "-W", "ignore", "-c", KILLED, file, steady_export, tmp_path, steps, saves]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    whole = load_file(tmp_path / "whole/adapter.safetensors")
    state = torch.load(tmp_path / "whole/state.pt", weights_only=True)
    resumed = [*tmp_path.glob("step-*"), *tmp_path.glob("save-*")]
    assert len(resumed) == 7
    for folder in resumed:
        for name, tensor in load_file(folder / "adapter.safetensors").items():
            assert torch.equal(tensor, whole[name]), f"{folder.name}: {name}"
        again = torch.load(folder / "state.pt", weights_only=True)
        assert all(torch.equal(again["trainable"][name], tensor) for name, tensor in state["trainable"].items())
        assert (folder / "metrics.jsonl").read_text() == (tmp_path / "whole/metrics.jsonl").read_text()


def test_resuming_another_experiment_or_data_is_refused(
    experiment_file: Write, steady_export: Path, export: Path, tmp_path: Path
) -> None:
    run(experiment_file(), steady_export, tmp_path / "run")
    with pytest.raises(CheckpointError, match="is not empty: give another folder, or --resume"):
        run(experiment_file(), steady_export, tmp_path / "run")
    with pytest.raises(CheckpointError, match="was started with another experiment"):
        run(experiment_file(epochs=3), steady_export, tmp_path / "run", resume=True)
    (export / "manifest.json").unlink()
    table = export / "data.csv"
    table.write_text(table.read_text().replace("\n0,1,0,", "\n0,0,1,"))
    with pytest.raises(CheckpointError, match="was started with data_sha256"):
        run(experiment_file(), export, tmp_path / "run", resume=True)


def test_only_a_run_is_resumed(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    """A folder of something else is left alone; a run that was killed before it wrote anything begins."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("…")
    with pytest.raises(CheckpointError, match=r"other is no run, and holds thesis\.tex: there is nothing to resume"):
        run(experiment_file(), steady_export, tmp_path / "other", resume=True)
    save_as_run(load_dreamsim(write_small_folder(tmp_path / "models", 0)), tmp_path / "imported")
    with pytest.raises(CheckpointError, match=r"imported has no run\.json: it was not made by train"):
        run(experiment_file(), steady_export, tmp_path / "imported", resume=True)
    session, _ = run(experiment_file(), steady_export, tmp_path / "nothing yet", resume=True)
    assert session.progress.epoch == 3


def test_nothing_to_train_is_refused(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has nothing to train"):
        run(experiment_file(head="none"), steady_export, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bad_data_leaves_no_run(experiment_file: Write, export: Path, tmp_path: Path) -> None:
    (export / "ref/000/003.png").write_bytes(b"no image")
    with pytest.raises(Exception, match=r"003\.png"):
        run(experiment_file(), export, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_triplet_once_an_epoch(steady_export: Path) -> None:
    triplets = read_triplets(steady_export)
    batches = batches_of_epoch(triplets, TrainConfig(batch_size=5), 0, 1)
    assert sum(len(batch.targets) for batch in batches) == len(triplets)
    rows = sorted(tuple(batch.images[batch.triplets[i]]) for batch in batches for i in range(len(batch.targets)))
    assert rows == sorted(map(tuple, triplets.indices))
    again, other = (batches_of_epoch(triplets, TrainConfig(batch_size=5), 0, epoch) for epoch in (1, 2))
    assert np.array_equal(batches[0].images, again[0].images)
    assert not np.array_equal(batches[0].images, other[0].images)


def test_images_per_batch_takes_all_triplets_among_them(shared: Path) -> None:
    triplets = read_triplets(shared / "data/zappos60")
    for batch in batches_of_epoch(triplets, TrainConfig(images_per_batch=20), 0, 1):
        inside = np.isin(triplets.indices, batch.images).all(axis=1)
        assert len(batch.targets) == inside.sum() > 1000
        assert len(batch.images) == 20


def test_processes_share_a_batch(steady_export: Path) -> None:
    batch = batches_of_epoch(read_triplets(steady_export), TrainConfig(batch_size=7), 0, 1)[0]
    parts = [share_of_process(batch, process, 3) for process in range(3)]
    rows = sorted(tuple(part.images[row]) for part in parts for row in part.triplets)
    assert rows == sorted(tuple(batch.images[row]) for row in batch.triplets)


def test_what_validation_says_is_never_without_its_size() -> None:
    def epoch(number: int, loss: float) -> dict[str, float]:
        agreement = {"val_agreement": 1.0, "val_low": 0.292, "val_high": 1.0, "val_triplets": 3}
        return {"epoch": number, "val_loss": loss} | agreement

    assert agreement_text(epoch(0, 0.1)) == "100.0 % [29.2, 100.0] of 3 triplets"
    assert verdict([epoch(0, 0.1), epoch(1, 0.05), epoch(2, 0.06)]) == (
        "The run holds the weights of epoch 1, the best on validation: validation loss 0.0500, "
        "agreement 100.0 % [29.2, 100.0] of 3 triplets."
    )
    assert verdict([epoch(0, 0.1), epoch(1, 0.2)]).startswith(
        "No epoch was better on validation than the untrained model, whose weights the run holds: "
    )


def test_an_untrained_best_epoch_is_said(experiment_file: Write, steady_export: Path, tmp_path: Path) -> None:
    file = experiment_file(epochs=1, learning_rate=5.0)
    command = ["train", str(file), "--data", str(steady_export), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*command, "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 0, result.output
    assert "] of 5 triplets\n" in result.output
    card = (tmp_path / "run/README.md").read_text()
    for text in (result.output, card):
        assert "No epoch was better on validation than the untrained model, whose weights the run holds" in text
