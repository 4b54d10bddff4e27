"""Authenticity against a plain quadratic loop, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genkit.errors import GenkitError
from genkit.evaluation import Authenticity, Score, authenticity, features


def by_loop(train: np.ndarray, fake: np.ndarray) -> float:
    new = 0
    for sample in fake:
        away = [float(np.linalg.norm(sample - one)) for one in train]
        nearest = int(np.argmin(away))
        others = [np.linalg.norm(train[nearest] - one) for i, one in enumerate(train) if i != nearest]
        new += away[nearest] > min(others)
    return new / len(fake)


@pytest.mark.parametrize("block", [1, 100, 2**23])
def test_it_equals_the_quadratic_loop(block, monkeypatch):
    monkeypatch.setattr(features, "BLOCK_DISTANCES", block)
    rng = torch.Generator().manual_seed(0)
    train, fake = torch.randn(50, 3, generator=rng), torch.randn(40, 3, generator=rng)
    found = authenticity(train, fake)
    assert 0.1 < found < 0.9
    assert found == pytest.approx(by_loop(train.double().numpy(), fake.double().numpy()))


def test_points_on_a_line_by_hand():
    train = torch.tensor([[0.0], [1.0], [10.0]])
    # 0.5 is half as far from 0 as 1 is; 3 is 2 from 1, which is 1 from 0; 18 is 8 from 10, which is 9 from 1.
    assert authenticity(train, torch.tensor([[0.5]])) == 0.0
    assert authenticity(train, torch.tensor([[3.0]])) == 1.0
    assert authenticity(train, torch.tensor([[0.5], [3.0], [18.0], [20.0]])) == 0.5


def test_copies_score_zero_even_of_examples_that_come_twice():
    train = torch.randn(30, 5, generator=torch.Generator().manual_seed(1)) + 1000
    assert authenticity(train, train[:9].clone()) == 0.0
    twice = torch.cat([train, train])
    assert authenticity(twice, train.clone()) == 0.0


def test_too_few_examples_are_refused():
    with pytest.raises(GenkitError, match="at least 2"):
        authenticity(torch.zeros(1, 2), torch.zeros(4, 2))
    assert authenticity(torch.eye(2), torch.full((1, 2), 9.0)) == 1.0  # one sample is enough


class Fixed:
    name, version = "fixed", "1"


class Held:
    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    def features(self, extractor: object) -> torch.Tensor:
        return self.rows


def test_the_metric_asks_for_the_training_set_and_neither_more_nor_less_is_better():
    metric = Authenticity(Fixed())  # type: ignore[arg-type]
    assert metric.reference == "train"
    assert metric.better == {"authenticity[fixed]": "real"}
    assert metric(Held(torch.eye(3)), Held(torch.eye(3)[:2])) == {"authenticity[fixed]": 0.0}  # type: ignore[arg-type]
    title = Score("authenticity[fixed]", 0.5, math.nan, "real").title
    assert title == "Authenticity (fixed)"
