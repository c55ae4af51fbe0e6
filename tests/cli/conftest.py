"""The command line in this process, on a home and a database of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.main import cli
from tests.conftest import make_database

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def cli_database(server_url: str, worker_id: str) -> str:
    return make_database(server_url, f"cli_{worker_id}")


@pytest.fixture
def home(tmp_path: Path, cli_database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home, which the environment names."""
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", cli_database)
    monkeypatch.delenv("SECRET_KEY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """Run a command; its exception, if it is none of the ways to exit, is a failure of the test."""

    def run(*arguments: object, input: str | None = None) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def in_a_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does; the environment is the test's with these changes."""
    command = [sys.executable, "-m", "app.cli.main", *map(str, arguments)]
    return subprocess.run(
        command, env=dict(os.environ) | environment, capture_output=True, text=True, timeout=60, check=False
    )
