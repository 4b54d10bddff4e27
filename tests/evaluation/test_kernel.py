"""The kernel distance against plain loops, and its unbiasedness."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genkit.errors import GenkitError
from genkit.evaluation import kernel_distance


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(u, v):
        return (u @ v / len(u) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(u, v) for u in x for v in y) / (n * m)


def test_whole_sets_equal_plain_loops():
    torch.manual_seed(0)
    a, b = torch.randn(17, 5), torch.randn(23, 5) + 0.3
    mean, spread = kernel_distance(a, b)
    assert mean == pytest.approx(by_loops(a.double().numpy(), b.double().numpy()), rel=1e-10)
    assert spread == 0.0  # both sets are used whole: there is one subset


def test_a_value_worked_out_by_hand():
    # D = 1: k(1, 1) = 8, k(0, 0) = 1, k(0, 1) = 1, so within {1, 1} 8, within {0, 0} 1, between 1: 8 + 1 - 2 = 7
    assert kernel_distance(torch.ones(2, 1), torch.zeros(2, 1))[0] == pytest.approx(7.0)


def test_the_estimate_is_unbiased_for_equal_distributions():
    estimates = []
    for trial in range(200):
        generator = torch.Generator().manual_seed(trial)
        a = torch.randn(40, 4, generator=generator)
        estimates.append(kernel_distance(a, torch.randn(40, 4, generator=generator))[0])
    mean, error = np.mean(estimates), np.std(estimates) / np.sqrt(len(estimates))
    assert abs(mean) < 3 * error
    assert min(estimates) < 0 < max(estimates)


def test_subsets_are_decided_by_the_seed_and_average_to_the_whole():
    torch.manual_seed(1)
    a, b = torch.randn(600, 4), torch.randn(500, 4) + 0.5
    mean, spread = kernel_distance(a, b, subsets=200, subset_size=100, seed=3)
    assert (mean, spread) == kernel_distance(a, b, subsets=200, subset_size=100, seed=3)
    assert mean != kernel_distance(a, b, subsets=200, subset_size=100, seed=4)[0]
    whole, _ = kernel_distance(a, b)
    assert spread > 0
    assert mean == pytest.approx(whole, abs=4 * spread / 200**0.5)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(GenkitError, match="not finite"):
        kernel_distance(torch.full((5, 2), float("nan")), torch.zeros(5, 2))
