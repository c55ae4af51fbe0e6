"""The example of every command's --help, as written: at the command's defaults, in a folder with what it names."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.docs import reader
from training.cli import app

EXAMPLE = re.compile(r"Example: python -m training (.*?)(?:\n\n|$)", re.DOTALL)
EXAMPLES = [shlex.split(EXAMPLE.findall(command.callback.__doc__)[0]) for command in app.registered_commands]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commands go on where the one before ended: the first trains `runs/first`."""
    folder = tmp_path_factory.mktemp("examples")
    for prepare in (reader.checkout, reader.export, reader.photographs, reader.photo_folders):
        prepare(folder)
    reader.towers(folder)
    reader.dreamsim(folder)
    return folder


@pytest.mark.usefixtures("fetched_towers")
def test_the_examples_of_the_help_run_as_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert EXAMPLES[0][0] == "train"
    for arguments in EXAMPLES:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
