"""The built wheel, installed in an empty environment, runs the main job."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.test_crash import free_port

ROOT = Path(__file__).parents[1]


def test_the_wheel_runs_the_demo_in_an_empty_environment(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DATABASE_"))}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("lookalike-*.whl")
    run(sys.executable, "-m", "venv", "empty")
    pip = (tmp_path / "empty/bin/pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}[local]")
    installed = run(tmp_path / "empty/bin/pip", "list", "--format=json")
    assert "torch" not in {package["name"] for package in json.loads(installed)}

    lookalike = tmp_path / "empty/bin/lookalike"
    said = run(lookalike, "demo", "--exit-when-done", "--home", "home", "--port", str(free_port()))
    assert "triplets that everybody sees alike" in " ".join(said.split())
    with (tmp_path / "home/exports/demo-1/data.csv").open() as lines:
        kept = list(csv.DictReader(lines))
    assert 20 < len(kept) < 96
    assert all((tmp_path / "home/exports/demo-1" / row["ref_path"]).is_file() for row in kept)
