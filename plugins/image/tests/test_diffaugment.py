from __future__ import annotations

import pytest
import torch

from genkit import Random
from genkit_image.augment.config import DiffAugmentConfig
from genkit_image.augment.diffaugment import DiffAugment


def _augment(**options) -> DiffAugment:
    return DiffAugment(DiffAugmentConfig(**options))


def _pictures(count: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_row_is_augmented_the_same_in_any_batch():
    augment, pictures = _augment(), _pictures()
    parameters = augment.draw(pictures, probability=0.7, rng=Random(5))
    together = augment(pictures, parameters)
    alone = [
        augment(pictures[i : i + 1], {name: one[i : i + 1] for name, one in parameters.items()}) for i in range(16)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_a_row_draws_the_same_numbers_whatever_policies_are_on():
    pictures = _pictures()
    every = _augment().draw(pictures, probability=1.0, rng=Random(5))
    for policy, names in {"translation": ["translation"], "cutout": ["cutout"]}.items():
        one = _augment(policies=(policy,)).draw(pictures, probability=1.0, rng=Random(5))
        assert list(one) == names
        assert torch.equal(one[names[0]], every[names[0]])


def test_probability_zero_changes_nothing_and_one_changes_every_row():
    augment, pictures = _augment(), _pictures()
    unchanged = augment(pictures, augment.draw(pictures, probability=0.0, rng=Random(1)))
    torch.testing.assert_close(unchanged, pictures)
    changed = augment(pictures, augment.draw(pictures, probability=1.0, rng=Random(1)))
    assert ((changed - pictures).flatten(1).abs().max(1).values > 0.1).all()


def test_translation_moves_whole_pixels_and_brings_in_zeros():
    augment, pictures = _augment(policies=("translation",)), _pictures(200)
    parameters = augment.draw(pictures, probability=1.0, rng=Random(2))
    moved = augment(pictures, parameters)
    steps = parameters["translation"]
    assert steps.min() == -2
    assert steps.max() == 2
    for row in range(8):
        down, right = steps[row].tolist()
        expected = torch.zeros(3, 16, 16)
        expected[:, max(down, 0) : 16 + min(down, 0), max(right, 0) : 16 + min(right, 0)] = pictures[
            row, :, max(-down, 0) : 16 - max(down, 0), max(-right, 0) : 16 - max(right, 0)
        ]
        assert torch.equal(moved[row], expected)


def test_cutout_blanks_one_square_of_half_the_side():
    augment, pictures = _augment(policies=("cutout",)), torch.ones(300, 1, 16, 16)
    parameters = augment.draw(pictures, probability=1.0, rng=Random(2))
    cut = augment(pictures, parameters)[:, 0] == 0
    assert cut.flatten(1).sum(1).max() == 64
    assert cut.flatten(1).sum(1).min() == 16  # a centre in the corner
    middle = (parameters["cutout"] == 8).all(1)
    assert cut[middle][:, 4:12, 4:12].all()


def test_colour_leaves_the_mean_colour_of_grey_pictures_to_brightness():
    augment, grey = _augment(policies=("colour",)), _pictures(channels=1)
    parameters = augment.draw(grey, probability=1.0, rng=Random(2))
    change = augment(grey, parameters).mean((1, 2, 3)) - grey.mean((1, 2, 3))
    torch.testing.assert_close(change, parameters["brightness"])
    assert change.abs().max() <= 0.5


def test_it_is_twice_differentiable():
    augment = _augment()
    pictures = _pictures(2)[..., :6, :6].double().requires_grad_()
    parameters = augment.draw(pictures, probability=1.0, rng=Random(4))
    score = lambda x: augment(x, parameters).pow(3).sum()  # noqa: E731
    assert torch.autograd.gradcheck(score, pictures)
    assert torch.autograd.gradgradcheck(score, pictures)


@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_it_runs_on_meta(probability):
    augment, pictures = _augment(), torch.empty(4, 3, 16, 16, device="meta")
    parameters = augment.draw(pictures, probability=probability, rng=Random(0, "meta"))
    assert augment(pictures, parameters).device.type == "meta"
