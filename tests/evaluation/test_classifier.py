"""The classifier score against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genkit.errors import GenkitError
from genkit.evaluation import ClassifierScore, classifier_score


def test_it_equals_its_definition():
    logits = 3 * torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    p = torch.softmax(logits.double(), 1).numpy()
    expected = np.exp((p * np.log(p / p.mean(0))).sum(1).mean())
    mean, deviation = classifier_score(logits)
    assert mean == pytest.approx(expected, rel=1e-12)
    assert 1 < mean < 6
    assert deviation == 0.0


def test_sure_and_even_answers_score_the_number_of_classes_and_constant_ones_score_one():
    sure = 1000 * torch.eye(5).repeat(7, 1)
    assert classifier_score(sure)[0] == pytest.approx(5)
    assert classifier_score(sure[:1].repeat(35, 1))[0] == pytest.approx(1)
    assert classifier_score(torch.zeros(35, 5))[0] == pytest.approx(1)


def test_parts_take_turns_so_that_samples_in_order_of_class_do_not_score_less():
    ordered = 1000 * torch.eye(5).repeat_interleave(4, 0)
    assert classifier_score(ordered, splits=4) == pytest.approx((5, 0))
    uneven = classifier_score(ordered[:19], splits=4)
    assert uneven[0] < 5
    assert uneven[1] > 0


def test_fewer_samples_than_parts_are_refused():
    with pytest.raises(GenkitError, match="at least 10"):
        classifier_score(torch.zeros(9, 3), splits=10)


def test_the_metric_looks_at_the_samples_alone_and_says_how_many_parts():
    class Two:
        name, version = "two", "v"

    class Held:
        def features(self, extractor: object) -> torch.Tensor:
            assert isinstance(extractor, Two)
            return 1000 * torch.eye(2)

    metric = ClassifierScore(Two(), splits=1)  # type: ignore[arg-type]
    assert metric(None, Held()) == pytest.approx({"classifier_score[two]": 2})  # type: ignore[arg-type]
    assert metric.protocol()["splits"] == 1
    assert metric.protocol()["classifier_version"] == "v"
