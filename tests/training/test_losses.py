import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.losses import agreement, hinge_loss
from training.scores import two_afc

distances = st.lists(st.floats(0, 2), min_size=1, max_size=20)


@given(distances, st.floats(0.01, 0.5), st.randoms())
@settings(deadline=None)
def test_unanimous_votes_give_the_paper_s_hinge(
    zero: list[float], margin: float, random: "np.random.Generator"
) -> None:
    """Equation 3: max(0, m − Δd·ȳ) with Δd = d₀ − d₁ and ȳ = 1 where people chose candidate 1, else −1."""
    one = [random.random() * 2 for _ in zero]
    votes = [random.choice([0.0, 1.0]) for _ in zero]
    wanted = np.mean([max(0.0, margin - (a - b) * (1 if v else -1)) for a, b, v in zip(zero, one, votes, strict=True)])
    loss = hinge_loss(*(torch.tensor(x, dtype=torch.float64) for x in (zero, one, votes)), margin)
    assert abs(float(loss) - wanted) < 1e-9


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0, 1))
@settings(deadline=None)
def test_split_votes_weigh_both_sides(zero: float, one: float, share: float) -> None:
    def loss(target: float) -> float:
        return float(hinge_loss(*(torch.tensor([x], dtype=torch.float64) for x in (zero, one, target)), 0.05))

    assert abs(loss(share) - ((1 - share) * loss(0) + share * loss(1))) < 1e-9


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(0, 1)), min_size=1, max_size=20))
@settings(deadline=None)
def test_agreement_is_the_two_afc_score(rows: list[tuple[float, float, float]]) -> None:
    arrays = np.array(rows).T
    ours = agreement(*(torch.from_numpy(column.copy()) for column in arrays))
    np.testing.assert_allclose(ours.numpy(), two_afc(*arrays), atol=1e-12)


def test_no_gradient_beyond_the_margin() -> None:
    zero = torch.tensor([0.1], requires_grad=True)
    hinge_loss(zero, torch.tensor([0.9]), torch.tensor([0.0]), 0.05).backward()
    assert float(zero.grad) == 0.0
