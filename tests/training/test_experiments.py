"""Every experiment that the project ships, at its own settings: nothing is set but the precision of one run."""

import csv
import json
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.training.conftest import ROOT, draw_images
from training.cli import app
from training.metric import load_metric

EXPERIMENTS = sorted((ROOT / "training/experiments").glob("*.toml"))


pytestmark = pytest.mark.usefixtures("fetched_towers")


@pytest.fixture(scope="module")
def dense_judgments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every triplet among twelve images, with three votes each and no splits."""
    folder = tmp_path_factory.mktemp("dense")
    names = [f"{number}.png" for number in range(12)]
    for name, pixels in zip(names, draw_images(0, 12), strict=True):
        Image.fromarray(pixels).save(folder / name)
    with (folder / "triplets.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["reference", "candidate_0", "candidate_1", "votes_0", "votes_1"])
        for reference in names:
            for pair in combinations([name for name in names if name != reference], 2):
                writer.writerow([reference, *pair, 2, 1])
    return folder


@pytest.mark.parametrize("precision", ["as written", "bfloat16"])
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_trains(
    experiment: Path,
    precision: str,
    steady_export: Path,
    dense_judgments: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As its user starts it; `auto` takes bfloat16 where the processor has it, so that is run by name, too."""
    monkeypatch.chdir(tmp_path)
    if precision != "as written":
        file = tmp_path / experiment.name
        file.write_text(experiment.read_text() + f'precision = "{precision}"\n')  # [train] is the last table
        experiment = file
    data = dense_judgments if "dense" in experiment.stem else steady_export
    result = CliRunner().invoke(app, ["train", str(experiment), "--data", str(data), "--out", "runs/first"])
    assert result.exit_code == 0, (result.output, result.exception)
    epochs = [json.loads(line) for line in Path("runs/first/metrics.jsonl").read_text().splitlines()]
    assert len(epochs) > 1
    metric = load_metric("runs/first")
    image = draw_images(1, 1)[0]
    assert float(metric(Image.fromarray(image), Image.fromarray(image[::-1].copy()))) > 0
