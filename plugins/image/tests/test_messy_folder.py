"""Ten thousand files as people have them, and ten thousand broken ones: they train without code, or fail fast."""

from __future__ import annotations

import io
import json
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from genkit import DataError, Run
from genkit.cli.main import main
from genkit_image.data.config import FolderConfig
from genkit_image.data.folder import open_folder

COUNT, BROKEN = 10_000, 37
SMOKE = {
    "model.generator.width": 8,
    "model.critic.width": 8,
    "train.batch_size": 8,
    "train.workers": 0,
    "metrics": [],
    "preview": 4,
    "data.resolution": 32,
}


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _kinds() -> list[tuple[str, bytes]]:
    """A picture of every odd kind, as the ending and the bytes of its file."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 52, 4), dtype=np.uint8)
    colour, clear = Image.fromarray(noise[..., :3]), Image.fromarray(noise)
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        ("png", _bytes(colour, "PNG")),
        ("jpg", _bytes(colour, "JPEG")),
        ("webp", _bytes(colour, "WEBP")),
        ("PNG", _bytes(colour.convert("L"), "PNG")),
        ("png", _bytes(clear, "PNG")),
        ("webp", _bytes(clear, "WEBP", lossless=True)),
        ("png", _bytes(colour.convert("P"), "PNG")),
        ("png", _bytes(colour.convert("P"), "PNG", transparency=3)),
        ("png", _bytes(clear.convert("LA"), "PNG")),
        ("png", _bytes(Image.fromarray(noise[..., 0].astype(np.uint16) * 257), "PNG")),
        ("jpeg", _bytes(colour, "JPEG", exif=turned)),
        ("JPG", _bytes(colour.convert("CMYK"), "JPEG")),
        ("jpg", _bytes(colour.convert("L"), "JPEG")),
        ("png", _bytes(colour.convert("1"), "PNG")),
        ("gif", _bytes(colour, "GIF")),
        ("png", _bytes(colour.resize((20, 90)), "PNG")),
    ]


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """The folder and the names of its broken files."""
    root = tmp_path_factory.mktemp("messy")
    for name in ("one", "two", "three"):
        (root / name).mkdir()
    places = cycle(("one", "two", "three"))
    whole = COUNT - BROKEN
    for index, (place, (ending, content)) in enumerate(islice(zip(places, cycle(_kinds())), whole)):
        (root / place / f"{index:05d}.{ending}").write_bytes(content)
    broken = set()
    ways = cycle((b"", b"no picture at all", _kinds()[0][1][:900], _kinds()[1][1][:700], _kinds()[2][1][:300]))
    for index, (place, content) in enumerate(islice(zip(places, ways, strict=False), BROKEN)):
        path = root / place / f"broken {index}.{('png', 'jpg', 'webp')[index % 3]}"
        path.write_bytes(content)
        broken.add(str(path))
    (root / "one" / "notes.txt").write_text("left out")
    return root, broken


def call(*arguments: object, code: int = 0) -> Result:
    ended = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output
    return ended


def train(path: Path, out: Path, *settings: str, code: int = 0) -> Result:
    given = {**SMOKE, "data.name": "image.folder", "data.path": str(path)}
    sets = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    more = [part for one in (*sets, *settings) for part in ("--set", one)]
    return call("run", "image.dcgan", "--steps", 2, "--device", "cpu", "--out", out, *more, code=code)


def test_ten_thousand_mixed_files_train_with_the_setting_that_inspection_names(messy, tmp_path):
    root, broken = messy
    found = json.loads(call("data", "inspect", root, "--json", "--out", tmp_path / "it.png").stdout)
    assert set(found["broken"]) == broken
    assert found["pictures"] == COUNT - BROKEN
    assert set(found["modes"]) == {"RGB", "RGBA", "L", "LA", "P", "I;16", "CMYK", "1"}
    assert set(found["formats"]) == {"PNG", "JPEG", "WEBP", "GIF"}
    assert found["turned_by_exif"] == sum(path.suffix == ".jpeg" for path in root.rglob("*"))
    assert set(found["labels"]) == {"one", "two", "three"}
    assert sum(found["labels"].values()) == COUNT - BROKEN
    assert found["other_files"] == {".txt": 1}
    assert found["memory"]["bytes"] == (COUNT - BROKEN) * 3 * 64 * 64
    advice = "\n".join(found["advice"])
    assert f"{BROKEN} can not be read: mend them, or data.skip_broken=true" in advice
    with Image.open(tmp_path / "it.png") as sheet:
        assert min(sheet.size) > 500
    trained = train(root, tmp_path / "run", "data.skip_broken=true")
    assert f"{BROKEN} of {COUNT} files left out" in trained.stderr
    assert Run.open(tmp_path / "run").status()["status"] == "done"


def test_ten_thousand_broken_files_end_fast_in_few_words(tmp_path):
    for index in range(COUNT):
        (tmp_path / f"{index}.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    for skip in (False, True):
        started = time.process_time()
        with pytest.raises(DataError) as caught:
            open_folder(FolderConfig(path=str(tmp_path), skip_broken=skip))
        assert time.process_time() - started < 10
        assert len(str(caught.value)) < 500
        assert str(tmp_path / "0.png") in str(caught.value)
    assert f"none of its {COUNT} files" in str(caught.value)
