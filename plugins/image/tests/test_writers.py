from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genkit import Batch, UsageError
from genkit_image.writers import GAP, build_writer


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_single_files_hold_the_pixels(tmp_path, channels, mode):
    sample = torch.linspace(-1.2, 1.2, 2 * channels * 8 * 8).view(2, channels, 8, 8)
    paths = build_writer({}).write(Batch(sample), tmp_path / "out", stem="digit")
    assert [path.name for path in paths] == ["digit-00000.png", "digit-00001.png"]
    with Image.open(paths[1]) as image:
        assert image.mode == mode
        pixels = np.array(image).reshape(8, 8, channels).transpose(2, 0, 1)
    expected = ((sample[1].clamp(-1, 1) + 1) * 127.5).round().numpy()
    assert np.array_equal(pixels, expected)


def test_preview_lays_samples_out_in_rows(tmp_path):
    sample = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 3, 64, 64)
    path = build_writer({}).preview(Batch(sample), tmp_path / "step-10", columns=2)
    assert path == tmp_path / "step-10.png"
    with Image.open(path) as image:
        assert image.size == (2 * 64 + 3 * GAP, 3 * 64 + 4 * GAP)
        middles = [
            image.getpixel((GAP + c * (64 + GAP) + 32, GAP + r * (64 + GAP) + 32))[0]
            for r in range(3)
            for c in range(2)
        ]
    assert middles == [0, 64, 128, 191, 255, 255]  # the sixth place is empty


def test_small_pictures_are_enlarged_in_a_preview(tmp_path):
    path = build_writer({}).preview(Batch(torch.zeros(4, 1, 28, 28)), tmp_path / "p", columns=9)
    with Image.open(path) as image:
        assert image.size == (4 * 56 + 5 * GAP, 56 + 2 * GAP)


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\[2, 2, 8, 8\]"):
        build_writer({}).write(Batch(torch.zeros(2, 2, 8, 8)), tmp_path)
