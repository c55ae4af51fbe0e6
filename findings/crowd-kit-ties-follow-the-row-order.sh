#!/usr/bin/env bash
# crowd-kit: who wins every tie of a MajorityVote is decided by the first row of the table.
#
# Where: crowdkit.aggregation.MajorityVote.
# Guess: a tie goes to the alphabetically first label, or is drawn by a seed.
# Seen:  all ties go to the label that occurs first anywhere in the table: swapping the first two votes flips the label of
#        every tied triplet. With two votes a triplet that is every disagreement, and a side bias looks like a result.
# Do:    leave ties out, or keep the share of votes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check crowd-kit==1.4.2 pandas==3.1.1 numpy==2.4.6 scikit-learn==1.9.1
"$work/venv/bin/python" - <<'PY' 2> /dev/null
from importlib.metadata import version

import pandas as pd
from crowdkit.aggregation import MajorityVote

votes = [("t1", "anna", "right"), ("t1", "ben", "left")]
votes += [(f"t{i}", person, side) for i in range(2, 100) for person, side in (("anna", "left"), ("ben", "right"))]


def winners(rows):
    table = pd.DataFrame(rows, columns=["task", "worker", "label"])
    return MajorityVote().fit_predict(table).value_counts().to_dict()


as_recorded, first_two_swapped = winners(votes), winners([votes[1], votes[0], *votes[2:]])
print(f"crowd-kit {version('crowd-kit')}: 99 tied triplets: {as_recorded}; first two rows swapped: {first_two_swapped}")
assert as_recorded == {"right": 99}
assert first_two_swapped == {"left": 99}
PY
