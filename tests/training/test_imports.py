"""What training may lean on: exports only, and no library whose wheels do not run on a CPU build of torch."""

import subprocess
import sys

from tests.training.conftest import ROOT

SCRIPT = """
import importlib, pkgutil, sys
import training
assert "torch" not in sys.modules, "import training must not load torch"
for module in pkgutil.walk_packages(training.__path__, "training."):
    if module.name != "training.__main__":
        importlib.import_module(module.name)
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"app", "worker", "torchvision", "timm", "open_clip"}, loaded
"""


def test_training_stands_alone() -> None:
    command = [sys.executable, "-c", SCRIPT]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-1500:]
