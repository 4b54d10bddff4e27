"""Precision, recall, density and coverage against a plain quadratic loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genkit.errors import GenkitError
from genkit.evaluation import density_coverage, features, precision_recall


def radius(points: np.ndarray, i: int, k: int) -> float:
    return sorted(float(np.linalg.norm(points[i] - points[j])) for j in range(len(points)) if j != i)[k - 1]


def hits(points: np.ndarray, centres: np.ndarray, k: int) -> np.ndarray:
    """[points, centres] True where a point lies in a centre's ball."""
    radii = [radius(centres, i, k) for i in range(len(centres))]
    return np.array([[np.linalg.norm(p - c) <= r for c, r in zip(centres, radii, strict=True)] for p in points])


@pytest.fixture(params=["overlapping", "apart in size"])
def sets(request) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    if request.param == "overlapping":
        return torch.randn(60, 3), torch.randn(45, 3) * 0.7 + 0.4
    return torch.randn(30, 8), torch.randn(90, 8) * 1.5


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("block", [1, 200, 2**23])
def test_every_figure_equals_the_quadratic_loop(sets, k, block, monkeypatch):
    monkeypatch.setattr(features, "BLOCK_DISTANCES", block)
    real, fake = sets
    x, y = real.double().numpy(), fake.double().numpy()
    in_real, in_fake = hits(y, x, k), hits(x, y, k)
    assert precision_recall(real, fake, k=k) == pytest.approx((in_real.any(1).mean(), in_fake.any(1).mean()))
    assert density_coverage(real, fake, k=k) == pytest.approx((in_real.sum() / (k * len(y)), in_real.any(0).mean()))


def test_points_on_a_line_have_the_figures_worked_out_by_hand():
    # k = 1: balls around 0, 1, 3 reach 1, 1, 2. Fakes 1.5 and 9: 1.5 lies in the balls of 1 and 3, 9 in none.
    real, fake = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[1.5], [9.0]])
    # the fakes' balls reach 7.5: the one around 1.5 holds all reals
    assert precision_recall(real, fake, k=1) == (0.5, 1.0)
    assert density_coverage(real, fake, k=1) == pytest.approx((2 / 2, 2 / 3))


def test_the_same_set_scores_one_and_a_far_one_zero():
    torch.manual_seed(1)
    real = torch.randn(80, 4)
    assert precision_recall(real, real.clone()) == (1.0, 1.0)
    assert density_coverage(real, real.clone())[1] == 1.0
    assert precision_recall(real, real + 100) == (0.0, 0.0)
    assert density_coverage(real, real + 100) == (0.0, 0.0)


def test_a_collapsed_generator_keeps_precision_and_loses_the_rest():
    torch.manual_seed(2)
    real = torch.randn(200, 2)
    fake = real[:1] + 1e-4 * torch.randn(200, 2)
    precision, recall = precision_recall(real, fake)
    _, covered = density_coverage(real, fake)
    assert precision == 1.0
    assert recall < 0.05
    assert covered < 0.1


def test_a_far_offset_does_not_cost_digits():
    torch.manual_seed(3)
    real, fake = torch.randn(100, 3, dtype=torch.float64), torch.randn(100, 3, dtype=torch.float64)
    assert precision_recall(real + 1e5, fake + 1e5) == precision_recall(real, fake)


def test_a_set_no_larger_than_k_is_refused():
    with pytest.raises(GenkitError, match="at least 4"):
        precision_recall(torch.zeros(3, 2), torch.zeros(9, 2), k=3)
    with pytest.raises(GenkitError, match="at least 6"):
        density_coverage(torch.zeros(9, 2), torch.zeros(5, 2), k=5)
