"""`lookalike generate`: orders, what it says, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_commands import one_line
from tests.support.factories import make_slug

ORDER = ("--generator", "procedural", "--per-category", "3")


@pytest.fixture
def name(run: Run) -> str:
    name = make_slug()
    assert run("study", "create", name, "--protocol", "nights-2afc").exit_code == 0
    return name


def test_plan_cancel_resume(run: Run, name: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("fish\ntree\n")
    planned = run("generate", name, *ORDER, "--categories", mine, "--batch-size", "2", "--articles", "--json")
    assert f"Planned 6 items of 2 categories for {name}, numbers 0 to 5." in planned.stderr
    how = json.loads(planned.stdout)
    assert {key: how[key] for key in ("slug", "items", "made", "waiting", "images_per_second", "workers")} == {
        "slug": name, "items": 6, "made": 0, "waiting": 6, "images_per_second": None, "workers": [],
    }  # fmt: skip
    more = run("generate", name, *ORDER)
    assert "Planned 60 items of 20 categories" in more.stderr
    assert "numbers 6 to 65" in more.stderr
    shown = run("generate", name).stdout
    assert f"{name}" in shown
    assert "0 of 66 items" in shown
    assert "There is no worker for it. Start one: lookalike worker --queue gpu" in shown
    assert "Took back 66 items." in run("generate", name, "--cancel").stderr
    assert "66 cancelled" in run("generate", name, "--watch").stdout, "which ends, as nothing is left to make"
    assert "66 items wait again." in run("generate", name, "--resume").stderr


def test_names_that_say_the_same_are_listed(run: Run, name: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("fish\ntree\n")
    other.write_text("Fishes\nhouse\n")
    planned = run("generate", name, *ORDER, "--categories", one, "--categories", other)
    said = " ".join(planned.stderr.split())
    assert f"1 names stand for categories that are there already: Fishes ({other}) is fish ({one})" in said
    assert "Planned 9 items of 3 categories" in said


MODEL = ("--categories", "cifar10", "--per-category", "3", "--model")
WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no number": (("--categories", "cifar10", "--model", "m"), "--per-category N"),
    "no categories": (("--per-category", "3", "--model", "m"), "--categories FILE, or one of cifar10, cifar100"),
    "no model": (("--categories", "cifar10", "--per-category", "3"), "--model ID, or --generator procedural"),
    "no such list": ((*ORDER, "--categories", "none"), "none is neither a file nor one of the lists cifar10"),
    "an empty line": ((*ORDER, "--categories", "FILE"), "line 2: the line is empty"),
    "a folder": ((*ORDER, "--categories", "FOLDER"), "cannot be read"),
    "what nobody can draw": ((*ORDER, "--categories", "cifar10"), "Nobody can draw airplane"),
    "a model for drawings": ((*ORDER, "--model", "m"), "Procedural drawings have no model"),
    "another generator": (("--generator", "magic"), "--generator is one of diffusers, procedural"),
    "a prompt with no place": ((*ORDER, "--prompt", "An image"), "{category} once"),
    "a bad size": ((*MODEL, "m", "--size", "500"), "--size is 512"),
    "a bad dtype": ((*MODEL, "m", "--dtype", "int8"), "--dtype is"),
    "an empty model folder": ((*MODEL, "FOLDER"), "lacks model_index.json"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_planned(
    run: Run, name: str, tmp_path: Path, case: str
) -> None:
    arguments, complaint = WRONG[case]
    (tmp_path / "mine.txt").write_text("fish\n\ntree\n")
    (tmp_path / "folder").mkdir()
    places = {"FILE": tmp_path / "mine.txt", "FOLDER": tmp_path / "folder"}
    result = run("generate", name, *(places.get(argument, argument) for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in one_line(result.stderr)
    assert json.loads(run("generate", name, "--json").stdout)["items"] == 0


def test_workers_are_on_queues_that_there_are(run: Run) -> None:
    assert "--queue is one of default, gpu (got 'cpu')" in one_line(run("worker", "--queue", "cpu").stderr)
    assert "--device goes with --queue gpu" in one_line(run("worker", "--device", "cuda:1").stderr)
