#!/usr/bin/env bash
# choix: an item that was never compared comes second of four, above one that won twice.
#
# Where: choix.ilsr_pairwise(4, data, alpha=0.01), Bradley-Terry from pairwise choices; opt_pairwise beside it.
# Guess: with regularisation an item without data sits at 0, the mean, in both.
# Seen:  opt_pairwise puts it at 0.0; ilsr_pairwise at +2.0, between the best and the middle item, with the same kind of
#        call and no warning. A ranking of metrics or images from a sparse design then praises what nobody saw.
# Do:    drop items without comparisons before the fit, or use opt_pairwise.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check choix==0.4.1 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import version

import choix
import numpy as np

NEVER = 3
wins = [(0, 1)] * 3 + [(1, 2)] * 2 + [(0, 2)]  # (winner, loser)
ilsr = choix.ilsr_pairwise(4, wins, alpha=0.01)
opt = choix.opt_pairwise(4, wins, alpha=0.01)
print(f"choix {version('choix')}")
print("ilsr_pairwise", np.round(ilsr, 2), "order", list(map(int, np.argsort(-ilsr))))
print("opt_pairwise ", np.round(opt, 2), "order", list(map(int, np.argsort(-opt))))
assert list(np.argsort(-ilsr)) == [0, NEVER, 1, 2]
assert ilsr[NEVER] > 1.5
assert abs(opt[NEVER]) < 1e-6
PY
