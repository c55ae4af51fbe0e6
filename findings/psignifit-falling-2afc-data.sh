#!/usr/bin/env bash
# psignifit: 2AFC data that fall with the stimulus level cannot be fitted, neither by default nor by the sigmoids for it.
#
# Where: psignifit.psignifit, experiment_type="2AFC": 100, 94, 80, 60, 52 % correct at 0.1 … 0.5, as when the level is a
#        similarity. The mirrored, rising data give 0.279, so that 0.6 - 0.279 = 0.321 is right.
# Guess: by default an error or a warning; with sigmoid="neg_gauss" 0.32.
# Seen:  by default a threshold of 0.01, below every level shown, without a word. With neg_gauss 0.544, above every level
#        shown, and a curve that lies at or below the guess rate of 0.5 everywhere. As "yes/no" data (100 … 2 %) neg_gauss
#        does find 0.32, so that it looks as if it worked.
# Do:    turn the axis round (use a distance) before the fit.
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

levels = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
forced = np.column_stack([levels, [50, 47, 40, 30, 26], [50] * 5])
yes_no = np.column_stack([levels, [50, 45, 30, 10, 1], [50] * 5])


def fit(data, kind, **options):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = psignifit.psignifit(data, experiment_type=kind, **options)
    assert not warned
    share = [round(float(result.proportion_correct(level)), 2) for level in levels]
    print(f"{kind} {options or 'default'}: threshold {result.parameter_estimate['threshold']:.3f}, fitted share correct {share}")
    return result.parameter_estimate["threshold"], share


print(f"psignifit {version('psignifit')}")
mirrored, _ = fit(forced[::-1] * [-1, 1, 1] + [0.6, 0, 0], "2AFC")
by_default, _ = fit(forced, "2AFC")
negative, share = fit(forced, "2AFC", sigmoid="neg_gauss")
for_yes_no, _ = fit(yes_no, "yes/no", sigmoid="neg_gauss")
assert abs(mirrored - 0.279) < 0.005
assert by_default < 0.1
assert negative > 0.5
assert max(share) <= 0.51
assert abs(for_yes_no - 0.322) < 0.01
PY
