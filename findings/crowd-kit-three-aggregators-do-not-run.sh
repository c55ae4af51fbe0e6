#!/usr/bin/env bash
# crowd-kit with a current scikit-learn: Wawa, ZeroBasedSkill and GoldMajorityVote cannot be used at all.
#
# Where: crowdkit.aggregation, in the newest releases of both that pip chooses together.
# Guess: the aggregators that weigh workers by skill run on the table that MajorityVote takes.
# Seen:  all three end in an AttributeError about `__sklearn_tags__`; MajorityVote, DawidSkene and GLAD run.
#        The package does not bound scikit-learn's version.
# Do:    use DawidSkene or GLAD, or hold scikit-learn back.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check crowd-kit==1.4.2 pandas==3.1.1 numpy==2.4.6 scikit-learn==1.9.1
"$work/venv/bin/python" - <<'PY' 2> /dev/null
from importlib.metadata import version

import pandas as pd
from crowdkit.aggregation import GLAD, DawidSkene, GoldMajorityVote, MajorityVote, Wawa, ZeroBasedSkill

rows = [(f"t{i}", person, "left" if i % 3 or person == "cem" else "right") for i in range(12) for person in ("anna", "ben", "cem")]
table = pd.DataFrame(rows, columns=["task", "worker", "label"])
gold = pd.Series({"t1": "left", "t2": "left"})
gold.index.name = "task"
runs = {
    "MajorityVote": lambda: MajorityVote().fit_predict(table),
    "DawidSkene": lambda: DawidSkene().fit_predict(table),
    "GLAD": lambda: GLAD().fit_predict(table),
    "Wawa": lambda: Wawa().fit_predict(table),
    "ZeroBasedSkill": lambda: ZeroBasedSkill().fit_predict(table),
    "GoldMajorityVote": lambda: GoldMajorityVote().fit_predict(table, gold),
}
print(f"crowd-kit {version('crowd-kit')}, scikit-learn {version('scikit-learn')}")
seen = {}
for name, run in runs.items():
    try:
        run()
        seen[name] = "runs"
    except AttributeError as error:
        seen[name] = "AttributeError: __sklearn_tags__" if "__sklearn_tags__" in str(error) else str(error)
    print(f"{name}: {seen[name]}")
assert [name for name, what in seen.items() if what == "runs"] == ["MajorityVote", "DawidSkene", "GLAD"]
assert set(seen.values()) == {"runs", "AttributeError: __sklearn_tags__"}
PY
