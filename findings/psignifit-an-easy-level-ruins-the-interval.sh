#!/usr/bin/env bash
# psignifit: one far, easy stimulus level makes the interval of the threshold a hundred times as wide.
#
# Where: psignifit.psignifit, 2AFC, default options.
# Guess: a level at which everybody is right says almost nothing about the threshold; its interval stays.
# Seen:  five levels from 0.1 to 0.5: 0.28 [0.20, 0.32]. With one level more, at 50 with 50 of 50 right: still 0.28, and an
#        interval that reaches from below -10 to above 10, beyond what can be a distance. No warning. The grid over which
#        the posterior is summed is laid over the range of the levels.
# Do:    fit in log units, or leave catch levels out of the fit.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check psignifit==4.3
"$work/venv/bin/python" - <<'PY'
import warnings
from importlib.metadata import version

import numpy as np
import psignifit

levels = [[0.1, 26, 50], [0.2, 30, 50], [0.3, 40, 50], [0.4, 47, 50], [0.5, 50, 50]]
print(f"psignifit {version('psignifit')}")
widths, thresholds = [], []
for extra in ([], [[50, 50, 50]]):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        fit = psignifit.psignifit(np.array(levels + extra, dtype=float), experiment_type="2AFC")
    low, high = fit.confidence_intervals["threshold"]["0.95"]
    thresholds.append(fit.parameter_estimate["threshold"])
    widths.append(high - low)
    print(f"{len(levels + extra)} levels: threshold {thresholds[-1]:.3f} [{low:.2f}, {high:.2f}], warnings: {len(warned)}")
    assert not warned
assert abs(thresholds[0] - thresholds[1]) < 0.01
assert widths[1] / widths[0] > 100
PY
