from __future__ import annotations

from importlib.resources import files

import pytest
import torch

from genkit import ConfigError, Random
from genkit_image.data.config import DigitsConfig
from genkit_image.data.digits import open_digits


def test_digits_are_there_with_their_licence():
    licence = (files("genkit_image") / "assets" / "digits.LICENCE.txt").read_text()
    assert "CC BY-SA 3.0" in licence
    assert "LeCun" in licence
    data = open_digits(DigitsConfig())
    assert "CC BY-SA 3.0" in data.summary()["licence"]


def test_the_last_fifth_is_held_out():
    data = open_digits(DigitsConfig())
    apart = data.held_out()
    assert (len(data), len(apart)) == (8000, 2000)
    assert open_digits(DigitsConfig(labels=False)).facts["labels"] is None
    assert data.facts["shape"] == [1, 28, 28]
    assert data.facts["labels"] == list("0123456789")
    assert sum(data.facts["label_counts"]) == 8000
    assert sum(apart.facts["label_counts"]) == 2000
    whole = open_digits(DigitsConfig(held_out=0.0))
    assert whole.held_out() is None
    assert torch.equal(whole.resident()["image"][8000:], apart.resident()["image"])


def test_labels_belong_to_their_pictures():
    """The mean picture of each class is nearest to held-out pictures of that class far more often than by chance."""
    data = open_digits(DigitsConfig())
    train, test = data.resident(), data.held_out().resident()
    means = torch.stack([train["image"][train["label"] == digit].float().mean(0).flatten() for digit in range(10)])
    nearest = torch.cdist(test["image"].float().flatten(1), means).argmin(1)
    assert (nearest == test["label"]).float().mean() > 0.75


@pytest.mark.parametrize("resolution", [32, 64])
def test_larger_digits_keep_the_picture(resolution):
    small = open_digits(DigitsConfig()).resident()["image"][:20]
    large = open_digits(DigitsConfig(resolution=resolution)).resident()["image"][:20]
    assert large.shape == (20, 1, resolution, resolution)
    times = resolution // 32
    back = torch.nn.functional.avg_pool2d(large.float(), times)[..., 2:30, 2:30]
    assert (back - small).abs().mean() < (1e-6 if times == 1 else 8)
    assert large[..., : 2 * times - 1, :].max() == 0


@pytest.mark.parametrize("resolution", [20, 48, 96])
def test_a_resolution_that_can_not_be_reached_is_refused(resolution):
    with pytest.raises(ConfigError, match=str(resolution)):
        open_digits(DigitsConfig(resolution=resolution))


def test_prepared_digits_lie_between_minus_one_and_one():
    data = open_digits(DigitsConfig())
    stored = data.collate([data.read(index) for index in range(4)])
    assert stored["image"].dtype == torch.uint8
    batch = data.prepare(stored, rng=Random(0))
    assert batch.sample.shape == (4, 1, 28, 28)
    assert batch.sample.dtype == torch.float32
    assert (batch.sample.min(), batch.sample.max()) == (-1, 1)
    assert batch.condition.dtype == torch.int64
    assert torch.equal(batch.condition, stored["label"])
