import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.training.dreamsim_folder import write_small_folder
from tests.training.conftest import draw_images
from training import cli
from training.cli import app
from training.errors import ConfigError, TrainingError
from training.open_model import open_model

COMMANDS = [
    "train",
    "evaluate",
    "compare",
    "attention",
    "sensitivity",
    "retrieve",
    "invert",
    "import-dreamsim",
    "export-dreamsim",
]


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if isinstance(result.exception, TrainingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_folder(tmp_path_factory.mktemp("metric") / "models", 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, pixels in enumerate(draw_images(0, 4)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(command: str) -> None:
    text = call(command, "--help")
    assert f"python -m training {command}" in text


def test_evaluate_and_compare(model: Path, steady_export: Path, tmp_path: Path) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    text = call("evaluate", model, "--data", steady_export, "--split", "test", "--out", out, "--cache", cache)
    assert "3 triplets cannot tell two methods apart" in text
    assert json.loads((out / "2afc/report.json").read_text())["shares"]["n"] == 3
    result = CliRunner().invoke(app, ["evaluate", str(model)])
    assert result.exit_code == 2
    assert "give --data, --jnd, or --things with --images" in result.output


def test_pictures(model: Path, photos: Path, tmp_path: Path) -> None:
    first = photos / "0.png"
    for command, arguments in (
        ("attention", [first, photos / "1.png"]),
        ("sensitivity", [photos]),
        ("retrieve", [first, photos, "--count", 2]),
        ("invert", [first, "--steps", 3]),
    ):
        out = tmp_path / f"{command}.png"
        assert f"Written to {out}" in call(command, model, *arguments, "--out", out, "--device", "cpu")
        with Image.open(out) as picture:
            assert picture.size[0] > 300


def test_dreamsim_there_and_back(model: Path, photos: Path, tmp_path: Path) -> None:
    call("import-dreamsim", model, tmp_path / "run")
    call("export-dreamsim", tmp_path / "run", tmp_path / "again")
    distances = []
    for name in (model, tmp_path / "run", tmp_path / "again"):
        text = call(
            "retrieve",
            name,
            photos / "0.png",
            photos,
            "--index",
            tmp_path / f"{name.name}.index",
            "--out",
            tmp_path / "n.png",
        )
        distances.append([line.split()[0] for line in text.splitlines() if line.endswith(".png") and line[0].isdigit()])
    assert len(distances[0]) == 4
    assert distances[0] == distances[1] == distances[2]


def test_mistakes_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["training", "evaluate", "no-such-metric", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: no-such-metric is no metric: name a run's folder,")


def test_a_file_is_no_metric_and_no_hub_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lora.toml").touch()
    with pytest.raises(ConfigError, match=r"lora\.toml is no metric"):
        open_model("lora.toml")


def test_a_search_without_one_good_image_names_the_bad_ones(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "cut.png").write_bytes((photos / "0.png").read_bytes()[:200])
    arguments = ["retrieve", model, photos / "0.png", folder, "--out", tmp_path / "n.png"]
    monkeypatch.setattr("sys.argv", ["training", *map(str, arguments)])
    with pytest.raises(SystemExit):
        cli.main()
    named, error = capsys.readouterr().err.splitlines()
    assert named.startswith(f"left out: {folder}/cut.png cannot be used as an image")
    assert error == f"error: {folder} holds no image that can be read"


def test_resume_from_the_command_line(
    experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path
) -> None:
    arguments = [
        "train",
        experiment_file(),
        "--data",
        steady_export,
        "--out",
        tmp_path / "run",
        "--cache",
        tmp_path / "c",
    ]
    call(*arguments, "--device", "cpu")
    with pytest.raises(TrainingError, match="or --resume to go on"):
        call(*arguments, "--device", "cpu")
    assert "The run is in" in call(*arguments, "--device", "cpu", "--resume")


def test_a_small_export_without_val_is_trained_on_and_it_is_said(
    experiment_file: Callable[..., Path], export: Path, tmp_path: Path
) -> None:
    (export / "manifest.json").unlink()
    table = export / "data.csv"
    table.write_text(table.read_text().replace(",val,", ",train,").replace(",test,", ",train,"))
    out = tmp_path / "run"
    text = call("train", experiment_file(epochs=1), "--data", export, "--out", out, "--cache", tmp_path / "cache")
    held_out = "20% of the references of split train, held out with seed 0: the data have no split val"
    assert f"Validation is on {held_out}." in text
    assert f"Validation: {held_out}." in (out / "README.md").read_text()
    record = json.loads((out / "run.json").read_text())
    assert (record["validation"], record["triplets"]) == (held_out, {"train": 18, "val": 4})


def test_resuming_what_had_saved_nothing_begins_and_says_so(
    experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    command = ["train", experiment_file(epochs=1), "--data", steady_export, "--out", tmp_path / "run", "--resume"]
    assert f"Nothing was saved in {tmp_path / 'run'} yet: the run begins." in call(*command, "--cache", tmp_path / "c")
