"""The real material of some benchmarks; nothing of it is in the repository (README, "How fast")."""

import os
import sys
from pathlib import Path

SHARED = Path(os.environ.get("LOOKALIKE_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def require(*paths: Path) -> None:
    """Ends the benchmark with a sentence where one of the folders is not there."""
    if absent := [str(path) for path in paths if not path.exists()]:
        sys.exit(
            f"This benchmark needs {' and '.join(absent)}. LOOKALIKE_SHARED names the folder with data/ and models/; "
            'the README says under "How fast" where they come from.'
        )
