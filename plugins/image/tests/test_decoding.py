from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genkit import DataError
from genkit_image.data.decode import Decoding, is_colour

GREY = Decoding(resolution=16, channels=1, fit="stretch", background=(255, 255, 255))
COLOUR = Decoding(resolution=16, channels=3, fit="stretch", background=(255, 255, 255))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "PNG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("P", "GIF"), ("I;16", "PNG"),
        ("I;16", "TIFF"), ("F", "TIFF"), ("CMYK", "JPEG"), ("L", "JPEG"), ("YCbCr", "JPEG"), ("RGB", "WEBP"),
        ("RGB", "BMP"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("decode", [GREY, COLOUR], ids=["grey", "colour"])
def test_every_kind_keeps_its_brightness(mode, kind, decode, gradient, as_file):
    pixels = decode(as_file(gradient(mode), kind), "it")
    assert pixels.shape == (decode.channels, 16, 16)
    assert pixels.dtype == torch.uint8
    row = pixels.float().mean((0, 1))
    torch.testing.assert_close(
        row, torch.linspace(8, 247, 16), atol=9.0, rtol=0
    )  # a palette and lossy kinds are coarse
    assert (row.diff() > 0).all()


def test_sixteen_bits_are_scaled_not_clipped(as_file):
    grey = np.full((16, 16), 32768, dtype=np.uint16)
    assert GREY(as_file(Image.fromarray(grey)), "it").unique().tolist() == [128]


def test_whole_numbers_of_a_tiff_that_hold_eight_bits_are_not_darkened(as_file):
    for most, seen in ((255, [0, 200]), (65535, [0, 1])):
        grey = np.zeros((16, 16), dtype=np.int32)
        grey[:8], grey[0, 0] = 200, most
        pixels = GREY(as_file(Image.fromarray(grey), "TIFF"), "it")
        assert pixels[0, 1:].unique().tolist() == seen


def test_black_and_white_pictures_are_0_and_255(as_file):
    bits = Image.new("1", (16, 16), 1)
    bits.paste(0, (0, 0, 8, 16))
    assert GREY(as_file(bits), "it").unique().tolist() == [0, 255]


def test_floats_outside_0_to_1_are_refused(as_file):
    wild = Image.fromarray(np.full((8, 8), 700.0, dtype=np.float32))
    with pytest.raises(DataError, match=r"wild.tiff.*outside"):
        GREY(as_file(wild, "TIFF"), "wild.tiff")


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 20, 30)])
def test_transparent_pixels_take_the_background(background, as_file):
    decode = Decoding(resolution=8, channels=3, fit="crop", background=background)
    clear = Image.new("RGBA", (8, 8), (99, 99, 99, 0))
    assert decode(as_file(clear), "it")[:, 4, 4].tolist() == list(background)


def test_a_palette_with_a_transparent_entry_takes_the_background(as_file):
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 200, 0, 0])
    decode = Decoding(resolution=8, channels=3, fit="crop", background=(0, 255, 0))
    assert decode(as_file(picture, transparency=1), "it")[:, 0, 0].tolist() == [0, 255, 0]


def test_exif_rotation_is_applied(gradient, as_file):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it upright: the dark left becomes the top
    pixels = GREY(as_file(gradient("L"), "JPEG", exif=exif), "it").float()
    assert (pixels[0].mean(1).diff() > 0).all()
    assert pixels[0].mean(0).std() < 2


def test_crop_takes_the_centre_and_pad_keeps_all(as_file):
    wide = Image.new("RGB", (60, 20), (0, 0, 255))
    wide.paste((255, 0, 0), (20, 0, 40, 20))
    crop = Decoding(resolution=20, channels=3, fit="crop", background=(255, 255, 255))(as_file(wide), "it")
    assert crop.flatten(1).float().mean(1).tolist() == [255.0, 0.0, 0.0]
    pad = Decoding(resolution=60, channels=3, fit="pad", background=(7, 8, 9))(as_file(wide), "it")
    assert pad[:, 2, 30].tolist() == [7, 8, 9]
    assert pad[:, 30, 2].tolist() == [0, 0, 255]


def test_a_large_jpeg_decoded_small_looks_like_one_decoded_whole(gradient, as_file):
    big = gradient("RGB", 800, 600)
    pixels = COLOUR(as_file(big, "JPEG"), "it").float()
    whole = torch.from_numpy(np.array(big.resize((16, 16), Image.Resampling.LANCZOS))).permute(2, 0, 1).float()
    assert (pixels - whole).abs().max() <= 3


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n then nonsense"])
def test_a_broken_file_is_named(content):
    with pytest.raises(DataError, match=r"broken\.png"):
        COLOUR(io.BytesIO(content), "broken.png")


def test_a_truncated_file_is_named(gradient, as_file):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    for kind in ("PNG", "JPEG", "BMP"):
        content = as_file(noise, kind).getvalue()
        with pytest.raises(DataError, match=r"half\.img"):
            COLOUR(io.BytesIO(content[: len(content) // 2]), "half.img")


def test_colour_is_told_from_the_header(gradient, as_file):
    grey_palette = gradient("L").convert("P")
    assert [is_colour(as_file(gradient(mode)), "it") for mode in ("L", "LA", "1", "I;16", "RGB", "RGBA")] == [
        False, False, False, False, True, True,
    ]  # fmt: skip
    assert not is_colour(as_file(grey_palette), "it")
    assert is_colour(as_file(Image.new("RGB", (4, 4), (255, 0, 0)).convert("P")), "it")
