"""What training minimises."""

import torch
from torch import Tensor


def hinge_loss(distance_0: Tensor, distance_1: Tensor, target: Tensor, margin: float) -> Tensor:
    """Mean over triplets of the expected hinge loss (DreamSim, arXiv 2306.09344, equation 3).

    `distance_0`, `distance_1` (n,) are those of the candidates from the reference; `target` (n,) is the share
    of votes for candidate 1. For unanimous votes this is max(0, margin − Δ·y) with Δ = d₀ − d₁ and y = ±1;
    for split ones each side weighs as many votes as it has.
    """
    difference = distance_0 - distance_1
    chose_0 = torch.relu(margin + difference)
    chose_1 = torch.relu(margin - difference)
    return ((1 - target) * chose_0 + target * chose_1).mean()


def agreement(distance_0: Tensor, distance_1: Tensor, target: Tensor) -> Tensor:
    """The 2AFC score of each triplet (n,): the share of votes on the metric's side, a half for equal
    distances.
    """
    difference = distance_0 - distance_1
    chosen = torch.where(difference > 0, target, 1 - target)
    return torch.where(difference == 0, torch.full_like(chosen, 0.5), chosen)
