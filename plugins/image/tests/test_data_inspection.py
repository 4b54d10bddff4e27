"""`genkit data inspect` for pictures, and how the command finds the dataset that a path is for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from genkit.cli.main import main
from genkit_image.data.config import FolderConfig, IdxConfig, PairedConfig
from genkit_image.data.folder import open_folder
from genkit_image.data.inspection import inspect
from genkit_image.data.preparation import prepare


def _noise(path: Path, seed: int, size: tuple[int, int] = (40, 30), **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def pictures(tmp_path) -> Path:
    root = tmp_path / "pictures"
    for seed in range(8):
        _noise(root / "often" / f"{seed}.png", seed)
    _noise(root / "rare" / "small.png", 50, (12, 12))
    shutil.copy(root / "often" / "3.png", root / "often" / "copy.png")
    Image.new("RGB", (40, 40), (255, 255, 254)).save(root / "often" / "white.png")
    Image.new("RGB", (40, 40), (255, 255, 254)).save(root / "often" / "white too.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    _noise(root / "often" / "turned.jpg", 60, (40, 30), exif=turned)
    (root / "often" / "broken.png").write_bytes(b"no picture")
    (root / "notes.txt").write_text("none either")
    return root


def call(*arguments: object, code: int = 0) -> Result:
    ended = CliRunner().invoke(main, ["data", *map(str, arguments)])
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output
    return ended


def test_what_is_wrong_is_named_and_what_to_do_is_said(pictures, tmp_path):
    found = inspect(FolderConfig(path=str(pictures), resolution=16), tmp_path / "deep" / "sheet.png")
    json.dumps(found)
    often = pictures / "often"
    assert found["pictures"] == 13
    assert list(found["broken"]) == [str(often / "broken.png")]
    assert "no picture" in found["broken"][str(often / "broken.png")]
    assert found["duplicates"] == [[str(often / "3.png"), str(often / "copy.png")]]
    assert found["empty"] == [str(often / "white too.png"), str(often / "white.png")]
    assert found["labels"] == {"often": 12, "rare": 1}
    assert found["small"] == {"resolution": 16, "pictures": 1}
    assert found["sizes"] == {"40x30": 9, "40x40": 2, "12x12": 1, "30x40": 1}
    assert found["turned_by_exif"] == 1
    assert found["other_files"] == {".txt": 1}
    assert found["memory"]["bytes"] == 13 * 3 * 16 * 16
    advice = "\n".join(found["advice"])
    for words in ("data.skip_broken=true", "1 are copies", "1 are smaller than 16", "data.sampling=labels", "data.fit"):
        assert words in advice
    with Image.open(found["picture"]) as sheet:
        colours = sheet.getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 1000, "noise was drawn"


def test_the_command_takes_a_folder_of_pictures_with_the_option_as_its_own(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = call("inspect", pictures).stdout.splitlines()
    assert lines[1] == "pictures: 13"
    assert "  shape: 3, 64, 64" in lines
    assert (tmp_path / "pictures-inspect.png").exists()
    for arguments in (["--resolution", "16", pictures], [pictures, "--resolution=16"]):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        made = json.loads(call("prepare", *arguments, "--out", tmp_path / "out", "--json").stdout)
        assert made["pictures"] == 13
        assert made["settings"]["data.resolution"] == 16
    assert len(open_folder(FolderConfig(path=str(tmp_path / "out"), resolution=16))) == 13
    again = json.loads(call("inspect", tmp_path / "out", "--set", "resolution=16", "--json").stdout)
    assert (again["pictures"], again["sizes"]) == (13, {"16x16": 13})
    assert "prepared already" in call("prepare", tmp_path / "out", "--out", "x", "--resolution", 16, code=2).stderr


def test_both_sides_of_pairs_are_looked_at(tmp_path):
    for side in "AB":
        for seed in range(3):
            _noise(tmp_path / side / f"{seed}.png", seed)
    (tmp_path / "B" / "2.png").rename(tmp_path / "B" / "3.png")
    (tmp_path / "B" / "1.png").write_bytes(b"broken")
    found = inspect(PairedConfig(path=str(tmp_path), resolution=8), tmp_path / "sheet.png")
    assert (found["given"]["pictures"], found["made"]["pictures"]) == (3, 2)
    assert list(found["made"]["broken"]) == [str(tmp_path / "B" / "1.png")]
    assert found["without_partner"] == [str(tmp_path / "A" / "2.png"), str(tmp_path / "B" / "3.png")]
    assert (tmp_path / "sheet.png").exists()
    assert (tmp_path / "sheet-given.png").exists()


def test_a_prepared_or_stored_dataset_is_looked_at_too(tmp_path):
    for seed in range(3):
        _noise(tmp_path / "in" / f"{seed}.png", seed)
    prepare(FolderConfig(path=str(tmp_path / "in"), resolution=8), tmp_path / "out")
    found = inspect(FolderConfig(path=str(tmp_path / "out"), resolution=8), tmp_path / "sheet.png")
    assert (found["pictures"], found["sizes"], found["duplicates"]) == (3, {"8x8": 3}, [])
    header = np.array([0x0803, 2, 4, 4], dtype=">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + bytes(range(16)) + bytes(16))
    found = inspect(IdxConfig(path=str(tmp_path / "train-images-idx3-ubyte")), tmp_path / "sheet.png")
    assert found["pictures"] == 2
    assert len(found["empty"]) == 1
