"""Two folders of pictures that belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genkit
from genkit import DataError, Random
from genkit_image.data.config import OutlinesConfig, PairedConfig
from genkit_image.data.outlines import open_outlines
from genkit_image.data.pairs import Paired, PairReader, open_paired


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Twelve pairs: B is A turned inside out, in colour; the brightness grows to the right, differently in each."""
    (tmp_path / "A" / "deep").mkdir(parents=True)
    (tmp_path / "B" / "deep").mkdir(parents=True)
    for index in range(12):
        ramp = np.tile(np.linspace(10 * index, 255, 24), (24, 1)).round().astype(np.uint8)
        name = f"deep/{index}" if index % 2 else str(index)
        Image.fromarray(ramp).save(tmp_path / "A" / f"{name}.png")
        Image.fromarray(np.stack([255 - ramp] * 3, 2)).save(tmp_path / "B" / f"{name}.bmp")
    return tmp_path


def opened(path: Path, **options: object) -> Paired:
    return open_paired(PairedConfig(**{"path": str(path), "resolution": 16, "margin": 8, **options}))


def test_partners_are_cut_and_mirrored_alike(folders):
    data = opened(folders, flip=True)
    batch = data.prepare(data.resident(), rng=Random(0))
    given = batch.condition["image"]
    assert given.shape == (12, 1, 16, 16)
    assert batch.sample.shape == (12, 3, 16, 16)
    torch.testing.assert_close(batch.sample, -given.expand(-1, 3, -1, -1))
    rising = given[:, 0, 0, -1] > given[:, 0, 0, 0]
    assert 0 < rising.sum() < 12, "some are mirrored"
    again = data.prepare(data.resident(), rng=Random(1))
    assert not torch.equal(again.sample, batch.sample)
    assert not batch.condition["mask"].any()


def test_held_out_pairs_are_those_of_the_middle(folders):
    data = opened(folders, flip=True, held_out=0.25)
    held_out = data.held_out()
    assert (len(data), len(held_out)) == (9, 3)
    stored = held_out.collate([held_out.read(i) for i in range(3)])
    batch = held_out.prepare(stored, rng=Random(0))
    torch.testing.assert_close(batch.sample, stored["image"][..., 4:20, 4:20] / 127.5 - 1)
    assert held_out.facts == data.facts
    assert data.facts["given"] == {"kind": "pairs", "shape": [1, 16, 16]}


def test_still_pairs_are_those_of_the_middle(folders):
    data = opened(folders, flip=True)
    still = data.still()
    batch = still.prepare(data.resident(), rng=Random(0))
    torch.testing.assert_close(batch.sample, data.resident()["image"][..., 4:20, 4:20] / 127.5 - 1)
    torch.testing.assert_close(batch.condition["image"], data.resident()["given"][..., 4:20, 4:20] / 127.5 - 1)
    assert still.facts == data.facts


@pytest.mark.parametrize("bytes_", [0, 1 << 31])
def test_when_all_pairs_are_held_out_none_is_left_to_train_on(folders, monkeypatch, bytes_):
    monkeypatch.setattr("genkit_image.data.pairs.MEMORY_BYTES", bytes_)
    with pytest.raises(DataError, match="all 12 are held out") as caught:
        opened(folders, held_out=0.99)
    assert caught.value.where == "data.held_out"


def test_two_paths_anywhere_make_pairs(folders, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "edges"
    (folders / "A").rename(elsewhere)
    assert len(opened(folders, given=str(elsewhere))) == 12


def test_missing_partners_are_named(folders):
    (folders / "B" / "4.bmp").unlink()
    with pytest.raises(DataError, match=r"4\.png has no partner of the same name in .*B"):
        opened(folders)
    (folders / "A" / "4.png").unlink()
    for index in (0, 2, 6, 8, 10):
        (folders / "A" / f"{index}.png").unlink()
    (folders / "A" / "deep" / "1.png").unlink()
    with pytest.raises(DataError, match=r"and 1 more have no partner"):
        opened(folders)


def test_two_pictures_of_one_name_are_an_error(folders):
    Image.new("L", (24, 24)).save(folders / "A" / "4.bmp")
    with pytest.raises(DataError, match=r"4\.bmp and 4\.png have one name"):
        opened(folders)


def test_a_missing_folder_and_an_empty_one_are_errors(folders, tmp_path_factory):
    with pytest.raises(DataError, match="there is no such folder"):
        opened(folders, made="C")
    empty = tmp_path_factory.mktemp("empty")
    (empty / "A").mkdir()
    (empty / "B").mkdir()
    with pytest.raises(DataError, match="no picture found"):
        opened(empty)


def test_a_broken_picture_takes_its_partner_with_it(folders, capsys):
    (folders / "A" / "4.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"4\.png"):
        opened(folders)
    data = opened(folders, skip_broken=True)
    assert len(data) == 11
    assert "1 of 12 pairs left out" in capsys.readouterr().err
    batch = data.prepare(data.resident(), rng=Random(0))
    torch.testing.assert_close(batch.sample, -batch.condition["image"].expand(-1, 3, -1, -1))


def test_pairs_that_do_not_fit_in_memory_are_read_one_by_one(folders, monkeypatch):
    held = opened(folders)
    monkeypatch.setattr("genkit_image.data.pairs.MEMORY_BYTES", 0)
    read = opened(folders)
    assert isinstance(read.pairs, PairReader)
    assert read.resident() is None
    for name in ("given", "image"):
        assert torch.equal(read.read(7)[name], held.read(7)[name])
    (folders / "A" / "4.png").write_bytes(b"no picture")
    careless = opened(folders, skip_broken=True, channels="grey")
    assert [len(careless.read(i)["image"]) for i in range(12)] == [1] * 12


def test_preparing_pairs_runs_on_meta(folders):
    data = opened(folders, flip=True)
    stored = {name: leaf.to("meta") for name, leaf in data.resident().items()}
    batch = data.prepare(stored, rng=Random(0, "meta"))
    assert batch.sample.shape == (12, 3, 16, 16)
    assert batch.condition["mask"].device.type == "meta"


def test_a_run_on_two_folders_colours_a_photo(folders, tmp_path):
    values = {
        "data": {"name": "image.paired", "path": str(folders), "resolution": 32, "margin": 4, "held_out": 0.25},
        "model.generator.width": 4, "model.critic.width": 4, "model.critic.layers": 2, "train.batch_size": 2,
    }  # fmt: skip
    result = genkit.run("image.pairs", steps=1, out=tmp_path / "run", values=values, device="cpu")
    assert {"hole_mae", "mae", "psnr", "frechet[random-conv]"} <= set(result.metrics)
    made = genkit.load(result.run, device="cpu").sample(2, condition={"image": str(folders / "A" / "4.png")})
    assert made.sample.shape == (2, 3, 32, 32)
    assert made.condition["image"].shape == (2, 1, 32, 32)


def test_outlines_are_the_edges_of_the_digits():
    data = open_outlines(OutlinesConfig())
    assert (len(data), len(data.held_out())) == (8000, 2000)
    row = data.read(0)
    assert set(row["given"].unique().tolist()) == {0, 255}
    assert (row["image"][row["given"] == 0].float().mean()) > row["image"].float().mean()
