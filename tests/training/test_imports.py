"""`import training` alone costs nothing; what its modules may import is a contract of import-linter."""

import subprocess
import sys

from tests.training.conftest import ROOT


def test_torch_loads_when_it_is_needed() -> None:
    script = "import sys, training; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
