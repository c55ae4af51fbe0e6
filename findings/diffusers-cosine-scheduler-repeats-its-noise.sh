#!/usr/bin/env bash
# diffusers: CosineDPMSolverMultistepScheduler draws the same noise again from a generator that has moved on.
#
# Where: CosineDPMSolverMultistepScheduler.step (the scheduler of Stable Audio).
# Guess: a generator that is used for several samples in a row gives each its own noise, as everywhere in torch.
# Seen:  it reads the generator's *initial* seed, not its state: two runs in a row with one generator are equal, and the
#        generator is where it was. (EulerAncestralDiscreteScheduler: different, as expected.) The "variants" of a loop
#        with one generator differ by their first latent alone.
# Do:    one generator with a seed of its own for every sample.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 diffusers==0.42.1 transformers==5.23.0 scipy==1.17.1 torchsde==0.2.6
"$work/venv/bin/python" - <<'PY'
import diffusers
import torch
from diffusers import CosineDPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler

print(f"diffusers {diffusers.__version__}")
same = {}
for scheduler_class in (CosineDPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler):
    generator = torch.Generator().manual_seed(7)
    samples = []
    for _ in range(2):
        scheduler = scheduler_class()
        scheduler.set_timesteps(6)
        sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            predicted = 0.1 * scheduler.scale_model_input(sample, t)
            sample = scheduler.step(predicted, t, sample, generator=generator).prev_sample
        samples.append(sample)
    same[scheduler_class.__name__] = torch.equal(*samples)
    print(f"{scheduler_class.__name__}: two samples in a row from one generator are equal: {torch.equal(*samples)}")
assert same == {"CosineDPMSolverMultistepScheduler": True, "EulerAncestralDiscreteScheduler": False}
PY
