#!/usr/bin/env bash
# torchmetrics: average precision and AUROC of a perfect ranking are 0.5 when the scores are large numbers.
#
# Where: torchmetrics.functional.classification.binary_average_precision, binary_auroc.
# Guess: both depend on the order of the scores alone, as in scikit-learn; any distance can be ranked.
# Seen:  scores outside [0, 1] are taken for logits and pass through a float32 sigmoid, which is exactly 1 from about 17
#        on: the ranking becomes one tie. Distances of 20 to 120 (squared error on 0–255, degrees, milliseconds) that rank
#        perfectly get 0.5; divided by 200 they get 1.0. One score below 0 changes all others.
# Do:    rank (or scale to [0, 1]) before the metric, or use sklearn.metrics.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6 scikit-learn==1.9.1
"$work/venv/bin/python" - <<'PY'
import sklearn
import torch
import torchmetrics
from sklearn.metrics import average_precision_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

different = torch.tensor([0] * 50 + [1] * 50)
distances = torch.linspace(20, 120, 100)
print(f"torchmetrics {torchmetrics.__version__}, scikit-learn {sklearn.__version__}")
seen = {
    "torchmetrics AP": binary_average_precision(distances, different).item(),
    "torchmetrics AUROC": binary_auroc(distances, different).item(),
    "torchmetrics AP, distances / 200": binary_average_precision(distances / 200, different).item(),
    "scikit-learn AP": float(average_precision_score(different, distances)),
}
for name, value in seen.items():
    print(f"{name}: {value:.3f}")
assert [round(value, 6) for value in seen.values()] == [0.5, 0.5, 1.0, 1.0]
PY
