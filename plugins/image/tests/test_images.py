from __future__ import annotations

import pytest
import torch

from genkit import DataError, Random
from genkit_image.data.images import Images


def _images(flip: bool = False, count: int = 64, labels: bool = True) -> Images:
    pixels = torch.arange(count * 2, dtype=torch.uint8).view(count, 1, 1, 2).expand(count, 3, 2, 2).contiguous()
    numbers = torch.arange(count) % 2 if labels else None
    return Images(pixels, numbers, ["even", "odd"] if labels else None, name="made", licence="none", flip=flip)


def test_a_row_is_mirrored_or_not_by_its_own_number():
    data = _images(flip=True)
    sample = data.prepare(data.resident(), rng=Random(3)).sample
    plain = data.resident()["image"].float() / 127.5 - 1
    mirrored = torch.tensor([bool(torch.equal(row, other.flip(-1))) for row, other in zip(sample, plain, strict=True)])
    assert torch.equal(sample[~mirrored], plain[~mirrored])
    assert 16 < mirrored.sum() < 48


def test_held_out_pictures_are_never_mirrored():
    data = _images()
    assert torch.equal(
        data.prepare(data.resident(), rng=Random(3)).sample, data.resident()["image"].float() / 127.5 - 1
    )


def test_still_pictures_are_never_mirrored():
    data = _images(flip=True)
    plain = data.resident()["image"].float() / 127.5 - 1
    assert torch.equal(data.still().prepare(data.resident(), rng=Random(3)).sample, plain)
    assert data.still().facts == data.facts
    assert data.flip, "the data itself is as it was"


@pytest.mark.parametrize("labels", [True, False])
def test_preparing_runs_on_meta(labels):
    data = _images(flip=True, labels=labels)
    stored = {name: leaf.to("meta") for name, leaf in data.resident().items()}
    batch = data.prepare(stored, rng=Random(0, "meta"))
    assert batch.sample.device.type == "meta"
    assert batch.sample.shape == (64, 3, 2, 2)
    assert (batch.condition is None) != labels


def test_preparing_follows_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert _images().prepare(_images().resident(), rng=Random(0)).sample.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_no_pictures_and_ill_fitting_labels_are_errors():
    with pytest.raises(DataError, match="nothing"):
        Images(torch.empty(0, 1, 2, 2), name="nothing", licence="none")
    with pytest.raises(DataError, match="labels"):
        Images(torch.zeros(3, 1, 2, 2), torch.zeros(2).long(), ["a"], name="made", licence="none")
