"""The Fréchet distance against hand values, scipy's matrix root and its own symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from genkit.errors import GenkitError
from genkit.evaluation import frechet_distance


def by_scipy(a: torch.Tensor, b: torch.Tensor) -> float:
    """The published formula with the root of the unsymmetric product."""
    x, y = a.double().numpy(), b.double().numpy()
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root))


def test_one_dimensional_gaussians_have_the_value_worked_out_by_hand():
    # means 0 and 3, standard deviations √2 and 2√2 (divisor n - 1): 3² + (√2 - 2√2)² = 11
    a = torch.tensor([[-1.0], [1.0]])
    b = torch.tensor([[1.0], [5.0]])
    assert frechet_distance(a, b) == pytest.approx(11.0, abs=1e-12)


def test_isotropic_gaussians_approach_the_closed_form():
    torch.manual_seed(0)
    a, b = torch.randn(40_000, 4), 2 * torch.randn(40_000, 4) + 1
    assert frechet_distance(a, b) == pytest.approx(4 * 1 + 4 * (2 - 1) ** 2, rel=0.02)


def test_agrees_with_scipys_matrix_root():
    torch.manual_seed(1)
    a = torch.randn(300, 12) @ torch.randn(12, 12)
    b = torch.randn(500, 12) @ torch.randn(12, 12) + torch.randn(12)
    assert frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-9)


def test_rows_beyond_one_block_count():
    torch.manual_seed(2)
    a, b = torch.randn(9_001, 3), torch.randn(4_097, 3) * 1.3 + 0.2
    assert frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(5, 7), (5, 200), (200, 5), (20, 20)])
def test_fewer_samples_than_dimensions_equal_the_projected_problem(n, m):
    # The distance is unchanged by a rotation, so 20 dimensions hold what lies in 24 of which 4 are empty.
    torch.manual_seed(3)
    a, b = torch.randn(n, 20, dtype=torch.float64), torch.randn(m, 20, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64)).Q[:20]
    value = frechet_distance(a, b)
    assert value == pytest.approx(frechet_distance(a @ rotation, b @ rotation), rel=1e-6)
    centred_a, centred_b = a - a.mean(0), b - b.mean(0)
    product = (centred_a.T @ centred_a / (n - 1)) @ (centred_b.T @ centred_b / (m - 1))
    root = torch.linalg.eigvals(product).real.clamp_min(0).sqrt().sum()
    traces = centred_a.square().sum() / (n - 1) + centred_b.square().sum() / (m - 1)
    assert value == pytest.approx(float((a.mean(0) - b.mean(0)).square().sum() + traces - 2 * root), rel=1e-5)


def test_a_set_is_at_distance_zero_from_itself_and_distance_is_symmetric():
    torch.manual_seed(4)
    a, b = torch.randn(50, 6), torch.randn(60, 6)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-10)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)


def test_large_offsets_do_not_cost_digits():
    torch.manual_seed(5)
    a, b = torch.randn(400, 5, dtype=torch.float64), torch.randn(400, 5, dtype=torch.float64)
    assert frechet_distance(a + 1e4, b + 1e4) == pytest.approx(frechet_distance(a, b), rel=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (torch.zeros(1, 3), torch.zeros(5, 3), "too few"),
        (torch.zeros(5, 3), torch.zeros(0, 3), "too few"),
        (torch.full((5, 3), float("nan")), torch.zeros(5, 3), "not finite"),
        (torch.zeros(5, 3), torch.full((5, 3), float("inf")), "not finite"),
        (torch.zeros(5, 3), torch.zeros(5, 4), "different widths"),
        (torch.zeros(5, 3, 2), torch.zeros(5, 3), "must be"),
    ],
)
def test_sets_without_a_distance_are_refused(a, b, said):
    with pytest.raises(GenkitError, match=said):
        frechet_distance(a, b)
