from pathlib import Path

import pytest

from training.backbones import open_tower
from training.config import load_experiment
from training.errors import ConfigError, WeightsError

EXPERIMENTS = sorted((Path(__file__).resolve().parents[2] / "training/experiments").glob("*.toml"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_of_the_project_are_valid(file: Path) -> None:
    load_experiment(file)


def test_defaults_and_the_folder_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "tower").mkdir()
    (tmp_path / "a.toml").write_text('[[model.towers]]\nsource = "tower"\n')
    experiment = load_experiment(tmp_path / "a.toml")
    assert experiment.model.towers[0].source == str(tmp_path / "tower")
    assert experiment.model.lora.rank == 16
    assert experiment.train.margin == 0.05


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[train]\nlr = 1\n", "train.lr is not a known setting"),
        ("[train]\nlearning_rate = 0\n", "train.learning_rate = 0: Input should be greater than 0"),
        ('[train]\nepochs = "many"\n', "train.epochs = 'many': Input should be a valid integer"),
        ('[model]\nhead = "linear"\n', "model.head = 'linear': Input should be 'lora', 'mlp' or 'none'"),
        ("[data.holdout]\nfraction = 1.0\n", "data.holdout.fraction = 1.0: Input should be less than 1"),
        ("seed = -1\n", "seed = -1: Input should be greater than or equal to 0"),
        ("[train\n", "cannot be read as toml"),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text if "[model]" in text else text + '[[model.towers]]\nsource = "clip-vitb16"\n')
    with pytest.raises(ConfigError) as error:
        load_experiment(file)
    assert complaint in str(error.value)


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    text = '[model]\nhead = "mlp"\n[[model.towers]]\nsource = "x"\n[train]\ncompile = true\n'
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError, match="need head = 'lora'"):
        load_experiment(tmp_path / "a.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_experiment(tmp_path / "none.toml")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_file_saved_by_windows_is_read(tmp_path: Path, suffix: str, encoding: str) -> None:
    text = '[[model.towers]]\nsource = "clip-vitb16"\n'
    if suffix == ".json":
        text = '{"model": {"towers": [{"source": "clip-vitb16"}]}}'
    (tmp_path / f"a{suffix}").write_text(text, encoding=encoding, newline="\r\n")
    assert load_experiment(tmp_path / f"a{suffix}").model.towers[0].source == "clip-vitb16"


def test_an_encoding_that_cannot_be_told_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes("[train]\n# é\n".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"a\.toml: cannot be read as toml \(.* not UTF-8 text \(byte 0xe9\)"):
        load_experiment(tmp_path / "a.toml")


@pytest.mark.parametrize("setting", ["learning_rate = inf", "margin = inf", "margin = nan"])
def test_settings_are_numbers(tmp_path: Path, setting: str) -> None:
    (tmp_path / "a.toml").write_text(f'[[model.towers]]\nsource = "clip-vitb16"\n[train]\n{setting}\n')
    with pytest.raises(ConfigError, match="Input should be a finite number"):
        load_experiment(tmp_path / "a.toml")


def test_a_folder_that_is_not_there_is_no_address_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[[model.towers]]\nsource = "../towers/vit"\n')
    tower = load_experiment(tmp_path / "a.toml").model.towers[0]
    assert tower.source == str(tmp_path.parent / "towers/vit")
    with pytest.raises(WeightsError, match="towers/vit: there is no such folder"):
        open_tower(tower)
