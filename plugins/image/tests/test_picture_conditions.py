"""Pictures and masks given to ``genkit sample``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import genkit
from genkit import UsageError
from genkit.cli.main import main
from genkit_image.conditions import GivenPictures, conditions
from genkit_image.data.config import DigitsConfig
from genkit_image.data.degradation import Degradation
from genkit_image.data.degraded import Degraded
from genkit_image.data.digits import open_digits
from genkit_image.data.images import Images


def asked(kind: str, channels: int = 1) -> GivenPictures:
    if channels == 1:
        data = open_digits(DigitsConfig())
    else:
        pixels = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8)
        data = Images(pixels, name="made", licence="none")
    found = conditions(Degraded(data, Degradation(kind=kind)).facts)
    assert isinstance(found, GivenPictures)
    return found


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    Image.fromarray(np.arange(28 * 28, dtype=np.uint32).reshape(28, 28).astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture
def mask(tmp_path: Path) -> str:
    """White, and so missing, in rows 4 to 9 and columns 10 to 19."""
    path = tmp_path / "mask.png"
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:10, 10:20] = 255
    Image.fromarray(pixels).save(path)
    return str(path)


def test_white_of_the_mask_is_missing(photo, mask):
    given = asked("boxes").parse({"image": photo, "mask": mask}, 3)
    assert given["image"].shape == (3, 1, 28, 28)
    missing = given["mask"][0, 0] == 0
    assert missing.sum() == 60
    assert missing[4:10, 10:20].all()
    pixels = torch.from_numpy(np.array(Image.open(photo)).astype(np.float32)) / 127.5 - 1
    assert torch.equal(given["image"][0, 0][~missing], pixels[~missing])
    assert not given["image"][0, 0][missing].any()


def test_larger_pictures_are_brought_to_the_run(tmp_path, capsys):
    photo, mask = tmp_path / "photo.jpg", tmp_path / "mask.png"
    Image.new("RGB", (112, 56), (200, 200, 200)).save(photo)
    hole = Image.new("RGBA", (112, 56), (0, 0, 0, 0))
    hole.paste((255, 255, 255, 255), (28, 0, 29, 1))  # the first pixel of the centred square
    hole.save(mask)
    given = asked("boxes").parse({"image": str(photo), "mask": str(mask)}, 1)
    missing = given["mask"][0, 0] == 0
    assert missing.nonzero().tolist() == [[0, 0]], "a pixel any part of which is missing"
    assert "112x56" in capsys.readouterr().err


def test_a_picture_turned_by_exif_fits_a_mask_as_it_is_shown(tmp_path):
    photo, mask = tmp_path / "photo.jpg", tmp_path / "mask.png"
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("L", (40, 28)).save(photo, exif=turned)
    Image.new("L", (28, 40), 255).save(mask)
    assert not asked("boxes").parse({"image": str(photo), "mask": str(mask)}, 1)["mask"].any()


def test_pictures_are_taken_in_turn(photo, mask, tmp_path):
    other = tmp_path / "other.png"
    Image.new("L", (28, 28), 255).save(other)
    given = asked("boxes").parse({"image": [photo, str(other)], "mask": mask}, 3)
    assert torch.equal(given["image"][0], given["image"][2])
    assert given["image"][1, 0, 0, 0] == 1


def test_tensors_are_taken_as_they_are(photo, mask):
    found = asked("boxes")
    given = found.parse({"image": photo, "mask": mask}, 2)
    again = found.parse(given, 2)
    assert all(torch.equal(again[name], given[name]) for name in given)
    with pytest.raises(UsageError, match=r"rows of \[3, 28, 28\], and this run takes \[1, 28, 28\]"):
        found.parse({"image": torch.zeros(1, 3, 28, 28), "mask": given["mask"]}, 1)


@pytest.mark.parametrize(("kind", "channels"), [("noise", 1), ("edges", 1), ("colour", 3)])
def test_runs_without_holes_take_the_picture_alone(kind, channels, photo):
    given = asked(kind, channels).parse({"image": photo}, 1)
    assert given["image"].shape == (1, channels, 28, 28)
    assert not given["mask"].any()
    assert (given["image"] == given["image"][:, :1]).all()


def test_a_small_picture_is_enlarged_as_in_training(tmp_path):
    data = open_digits(DigitsConfig())
    degraded = Degraded(data, Degradation(kind="resolution"))
    row = degraded.held_out().read(0)
    batch = degraded.held_out().prepare(degraded.held_out().collate([row]), rng=genkit.Random(0))
    small = torch.nn.functional.avg_pool2d(batch.sample, 2)
    path = tmp_path / "small.png"
    Image.fromarray(((small[0, 0] + 1) * 127.5).round().byte().numpy()).save(path)
    given = conditions(degraded.facts).parse({"image": str(path)}, 1)
    torch.testing.assert_close(given["image"], batch.condition["image"], atol=0.005, rtol=0)


def test_a_mask_of_another_size_names_both(photo, tmp_path):
    wrong = tmp_path / "wrong.png"
    Image.new("L", (30, 20), 255).save(wrong)
    with pytest.raises(UsageError, match=r"wrong\.png: is of 30x20 pixels, and .*photo\.png of 28x28"):
        asked("boxes").parse({"image": photo, "mask": str(wrong)}, 1)


def test_a_mask_of_sixteen_bits_is_white_from_its_middle_on(photo, tmp_path):
    for name, pixels, kind in (
        ("wide.png", np.full((28, 28), 20_000, np.uint16), np.uint16),
        ("whole.tiff", np.full((28, 28), 77, np.int32), np.int32),
    ):
        pixels[4:8] = 65_535 if kind is np.uint16 else 255
        Image.fromarray(pixels).save(tmp_path / name)
        given = asked("boxes").parse({"image": photo, "mask": str(tmp_path / name)}, 1)
        missing = given["mask"][0, 0] == 0
        assert missing.sum() == 4 * 28
        assert missing[4:8].all()


def test_what_can_not_be_read_is_named(photo, mask, tmp_path):
    found = asked("boxes")
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(photo).read_bytes()[:60])
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    for bad in (broken, text, tmp_path / "absent.png"):
        with pytest.raises(UsageError, match=bad.name) as caught:
            found.parse({"image": str(bad), "mask": mask}, 1)
        assert caught.value.where == "--condition image"
        with pytest.raises(UsageError, match=bad.name) as caught:
            found.parse({"image": photo, "mask": str(bad)}, 1)
        assert caught.value.where == "--condition mask"
    with pytest.raises(UsageError, match="is a file"):
        found.parse({"image": 3, "mask": mask}, 1)


def test_a_mask_that_marks_nothing_is_an_error(photo, tmp_path):
    black = tmp_path / "black.png"
    Image.new("L", (28, 28)).save(black)
    with pytest.raises(UsageError, match=r"black\.png: nothing of the picture is missing"):
        asked("boxes").parse({"image": photo, "mask": str(black)}, 1)


def test_conditions_of_another_kind_of_run_are_refused(photo, mask):
    with pytest.raises(UsageError, match="learnt to raise the resolution, and takes an image without a mask"):
        asked("resolution").parse({"image": photo, "mask": mask}, 1)
    with pytest.raises(UsageError, match="`image` and `mask`, not image"):
        asked("boxes").parse({"image": photo}, 1)
    with pytest.raises(UsageError, match="`image`, not label"):
        asked("noise").parse({"label": "3"}, 1)


def test_plain_data_asks_for_labels_or_nothing():
    assert isinstance(conditions(open_digits(DigitsConfig()).facts), genkit.Labels)
    assert conditions(open_digits(DigitsConfig(labels=False)).facts) is None


def test_a_run_completes_a_photo_from_the_command_line(photo, mask, tmp_path):
    small = {"model.generator.width": 4, "model.critic.width": 4, "train.batch_size": 4, "metrics": []}
    result = genkit.run("image.reconstruct", steps=1, out=tmp_path / "run", values=small, device="cpu")
    arguments = ["sample", str(result.run), "--count", "2", "--out", str(tmp_path / "made"), "--json"]
    ended = CliRunner().invoke(
        main,
        [*arguments, "--condition", f"image={photo}", "--condition", f"mask={mask}", "--array", f"{tmp_path}/a.npz"],
    )
    assert ended.exit_code == 0, ended.output
    files = json.loads(ended.stdout.splitlines()[-1])["files"]
    known = np.array(Image.open(mask)) == 0
    pictures = [np.array(Image.open(file)) for file in files]
    for picture in pictures:
        assert np.array_equal(picture[known], np.array(Image.open(photo))[known]), "known pixels, unchanged"
    assert not np.array_equal(pictures[0], pictures[1]), "two completions"
    with np.load(tmp_path / "a.npz") as stored:
        assert set(stored.files) == {"samples", "condition_image", "condition_mask"}
