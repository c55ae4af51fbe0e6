#!/usr/bin/env bash
# torchmetrics: without `data_range`, the SSIM of a pair depends on which other pairs are in the batch.
#
# Where: torchmetrics.functional.image.structural_similarity_index_measure, `data_range=None` (the default).
# Guess: reduction="none" gives each pair its own value, the same alone and in a batch.
# Seen:  the range is measured over the whole batch: 0.856 alone, 0.861 beside a pair of higher contrast. A table of
#        distances then changes with the batch size and the order of the files.
# Do:    always pass data_range.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import torch
import torchmetrics
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

draw = torch.Generator().manual_seed(0)
reference = torch.rand(1, 3, 64, 64, generator=draw) * 0.3 + 0.3
candidate = reference + 0.05 * torch.randn(1, 3, 64, 64, generator=draw)
other = torch.rand(1, 3, 64, 64, generator=draw)
beside = torch.cat([reference, other]), torch.cat([candidate, other])

alone = ssim(reference, candidate, reduction="none")[()].item()
in_a_batch = ssim(*beside, reduction="none")[0].item()
fixed = ssim(reference, candidate, data_range=1.0, reduction="none").item(), ssim(
    *beside, data_range=1.0, reduction="none"
)[0].item()
print(f"torchmetrics {torchmetrics.__version__}")
print(f"default data_range: alone {alone:.4f}, beside another pair {in_a_batch:.4f}")
print(f"data_range=1:       alone {fixed[0]:.4f}, beside another pair {fixed[1]:.4f}")
assert abs(alone - in_a_batch) > 0.003
assert abs(fixed[0] - fixed[1]) < 1e-6
PY
