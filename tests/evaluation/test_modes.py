"""Mode coverage, against figures worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from genkit import Batch
from genkit.errors import GenkitError
from genkit.evaluation import GeneratedSamples, ModeCoverage, mode_coverage


def test_reverse_kl_is_that_of_the_histogram_from_the_uniform_one() -> None:
    covered, divergence = mode_coverage(torch.tensor([2, 1, 1, 0]))
    assert covered == 3
    assert divergence == pytest.approx(0.5 * math.log(2))  # ½ log ½·4 + 2 · ¼ log ¼·4
    assert mode_coverage(torch.tensor([5, 5, 5])) == (3, 0.0)
    assert mode_coverage(torch.tensor([0, 7])) == (1, pytest.approx(math.log(2)))
    assert mode_coverage(torch.zeros(8, dtype=torch.int64)) == (0, pytest.approx(math.log(8)))


def test_even_samples_are_as_far_from_uniform_as_is_said() -> None:
    drawn = torch.randint(1000, (200, 26_000), generator=torch.Generator().manual_seed(0))
    found = [mode_coverage(torch.bincount(row, minlength=1000))[1] for row in drawn]
    assert sum(found) / len(found) == pytest.approx(999 / 52_000, rel=0.02)


def test_what_is_no_histogram_is_refused() -> None:
    for counts in (torch.tensor([]), torch.tensor([[1]]), torch.tensor([3, -1])):
        with pytest.raises(GenkitError, match="no histogram"):
            mode_coverage(counts)


def test_a_sample_that_belongs_to_no_mode_lowers_the_quality_alone() -> None:
    """Batches of two, so that counts add up over them."""
    modes = torch.tensor([0, 0, 2, -1, -1, -1])
    fake = GeneratedSamples(lambda start, count: Batch(modes[start : start + count]), 6, batch_size=2)
    graded = ModeCoverage(4, lambda batch: batch.sample, graded=True, described={"sigma": 1})
    figures = graded(fake, fake)
    assert figures["modes"] == 2
    assert figures["high_quality"] == 0.5
    assert figures["reverse_kl"] == pytest.approx(2 / 3 * math.log(8 / 3) + 1 / 3 * math.log(4 / 3))
    assert graded.protocol()["sigma"] == 1
    assert set(ModeCoverage(4, lambda batch: batch.sample, graded=False, described={})(fake, fake)) == {
        "modes",
        "reverse_kl",
    }
