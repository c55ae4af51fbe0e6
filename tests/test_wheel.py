"""The built wheel, in an environment that holds what it declares and nothing else, runs the main job."""

import csv
import os
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.test_crash import free_port

ROOT = Path(__file__).parents[1]


def dependencies(of: Distribution, extras: set[str]) -> dict[str, Distribution]:
    """What it declares, and what that declares in turn."""
    found: dict[str, Distribution] = {}
    to_visit = [(of, extras)]
    while to_visit:
        package, extras = to_visit.pop()
        for requirement in map(Requirement, package.requires or ()):
            environments = [{"extra": extra} for extra in {"", *extras}]
            is_needed = requirement.marker is None or any(map(requirement.marker.evaluate, environments))
            if is_needed and requirement.name not in found:
                found[requirement.name] = distribution(requirement.name)
                to_visit.append((found[requirement.name], requirement.extras))
    return found


def link(package: Distribution, folder: Path) -> None:
    """Make an installed package importable there, at no cost: `make setup` shows that all of them can be installed."""
    for name in {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}:
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(str(package.locate_file(name))))


def test_the_wheel_runs_the_demo_in_an_empty_environment(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DATABASE_"))}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("lookalike-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", "empty")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", tmp_path / "empty/bin/python")
    run(*pip, "install", "--quiet", "--no-deps", wheel)
    (packages,) = (tmp_path / "empty/lib").glob("python*/site-packages")
    (installed,) = Distribution.discover(name="lookalike", path=[str(packages)])
    needed = dependencies(installed, {"local"})
    assert "torch" not in needed
    for dependency in needed.values():
        link(dependency, packages)

    lookalike = tmp_path / "empty/bin/lookalike"
    said = run(lookalike, "demo", "--exit-when-done", "--home", "home", "--port", str(free_port()))
    assert "triplets that everybody sees alike" in " ".join(said.split())
    with (tmp_path / "home/exports/demo-1/data.csv").open() as lines:
        kept = list(csv.DictReader(lines))
    assert 20 < len(kept) < 96
    assert all((tmp_path / "home/exports/demo-1" / row["ref_path"]).is_file() for row in kept)
