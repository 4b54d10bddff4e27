"""Data as it should not be: each kind a clear error, or what the documentation says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import genkit
from genkit import ConfigError, DataError, UsageError
from genkit.random import Rows
from genkit.training.loader import Batches
from genkit_image.conditions import conditions
from genkit_image.data import loading
from genkit_image.data.collection import number_labels
from genkit_image.data.config import FolderConfig
from genkit_image.data.folder import open_folder


def _open(path: Path, **options):
    return open_folder(FolderConfig(path=str(path), **{"resolution": 16, **options}))


def _save(path: Path, *, value: int = 200, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)


def test_pictures_smaller_than_the_resolution_are_enlarged_and_counted(tmp_path, capsys, monkeypatch):
    _save(tmp_path / "small.png", size=(9, 40))
    _save(tmp_path / "large.png")
    assert _open(tmp_path).resident()["image"].shape == (2, 1, 16, 16)
    assert "1 of 2 pictures are smaller than 16x16 and enlarged" in capsys.readouterr().err
    _open(tmp_path, fit="pad")
    assert capsys.readouterr().err == "", "its longer side is large enough"
    monkeypatch.setattr(loading, "MEMORY_BYTES", 0)
    _open(tmp_path)
    assert "looked at some; 1 of 2 pictures are smaller" in capsys.readouterr().err


def test_a_class_never_seen_is_said_and_can_not_be_asked_for(tmp_path, capsys):
    for index in range(4):
        _save(tmp_path / f"{index}.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": [[f"{i}.png", (0, 2, 2, 4)[i]] for i in range(4)]}))
    data = _open(tmp_path)
    assert "no picture to train on of 1, 3" in capsys.readouterr().err
    asked = conditions(data.facts)
    with pytest.raises(UsageError, match="trained without a picture of 3") as caught:
        asked.parse({"label": "2,3"}, 2)
    assert "0, 2, 4" in str(caught.value)
    with pytest.raises(UsageError, match="unknown label '9'"):
        asked.parse({"label": "9"}, 1)
    assert asked.grid(9)[0].tolist() == [0, 0, 0, 2, 2, 2, 4, 4, 4]
    assert set(asked.draw(100, rng=genkit.Random(0)).tolist()) == {0, 2, 4}


def test_a_number_that_is_no_name_is_no_label_where_all_names_are_numbers():
    numbers = conditions({"labels": ["3", "5", "7"], "label_counts": [4, 4, 4]})
    assert numbers.parse({"label": "5,3"}, 2).tolist() == [1, 0]
    for asked in ("1", 1, "5,1", [3, 0]):
        with pytest.raises(UsageError, match=r"unknown label '[01]'"):
            numbers.parse({"label": asked}, 2)
    assert numbers.parse({"label": torch.tensor([2, 1])}, 2).tolist() == [2, 1], "a tensor holds classes' numbers"
    with pytest.raises(UsageError, match="unknown label '3'"):
        numbers.parse({"label": torch.tensor([3])}, 1)
    words = conditions({"labels": ["cat", "7"], "label_counts": [1, 1]})
    assert words.parse({"label": "0,7,cat"}, 3).tolist() == [0, 1, 0]


def test_labels_that_are_numbers_are_sorted_as_such_and_words_as_words(tmp_path):
    for name in ("10", "9", "-1"):
        _save(tmp_path / "numbers" / name / "a.png")
        _save(tmp_path / "words" / f"n{name}" / "a.png")
    assert _open(tmp_path / "numbers").facts["labels"] == ["-1", "9", "10"]
    assert _open(tmp_path / "words").facts["labels"] == ["n-1", "n10", "n9"]


def test_a_list_of_labels_may_hold_words_but_no_gaps(tmp_path):
    for name in "ab":
        _save(tmp_path / f"{name}.png")

    def labels(*pairs: object):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": pairs}))
        return _open(tmp_path)

    assert labels(["a.png", "dog"], ["b.png", "cat"]).facts["labels"] == ["cat", "dog"]
    for pairs in ([["a.png", "dog"]], [["a.png", 0], ["b.png", None]]):
        with pytest.raises(DataError, match=r"b\.png has no label") as caught:
            labels(*pairs)
        assert "data.labels=none" in str(caught.value)
    with pytest.raises(DataError, match="not whole numbers from 0 on, nor words"):
        labels(["a.png", 0.5], ["b.png", 1])


def test_missing_labels_are_named_in_few_words():
    with pytest.raises(DataError, match=r"row 1, row 2, row 3, row 4, row 5 and 15 more have no label"):
        number_labels(["x", *[None] * 20], [f"row {i}" for i in range(21)], "data.label")
    with pytest.raises(DataError, match=r"row 0: its label is 0\.5"):
        number_labels([0.5], ["row 0"], "data.label")


def test_a_folder_with_one_picture_says_what_batch_it_can_fill(tmp_path):
    _save(tmp_path / "in" / "only.png")
    values = {
        "data.name": "image.folder", "data.path": str(tmp_path / "in"), "data.resolution": 32,
        "model.generator.width": 8, "model.critic.width": 8,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="1 examples, fewer than a batch of") as caught:
        genkit.run("image.dcgan", steps=1, out=tmp_path / "run", values=values, device="cpu", report=False)
    assert "train.batch_size=1" in str(caught.value)
    with pytest.raises(DataError, match="no picture to train on"):
        _open(tmp_path / "in", held_out=0.9)


def test_labels_drawn_alike_come_equally_often_and_the_run_goes_on_bit_equal(tmp_path):
    for index in range(20):
        _save(tmp_path / "in" / ("rare" if index < 2 else "common") / f"{index}.png", value=12 * index)
    data = _open(tmp_path / "in", sampling="labels")
    assert data.facts["label_counts"] == [10, 10]
    share = torch.zeros(2, dtype=torch.float64).index_add_(0, data.labels, data.weights) / data.weights.sum()
    torch.testing.assert_close(share, torch.full((2,), 0.5, dtype=torch.float64))
    train, device = genkit.Train(batch_size=8), torch.device("cpu")
    ranks = [
        Batches(data, train, seed=5, rows=rows, device=device) for rows in (Rows(0, 8, 8), Rows(0, 4, 8), Rows(4, 8, 8))
    ]
    drawn = [torch.cat([rank.indices(number) for number in range(100)]).reshape(100, -1) for rank in ranks]
    assert torch.equal(drawn[0], torch.cat(drawn[1:], 1)), "two devices share the batches of one"
    assert 350 < int((data.labels[drawn[0].flatten()] == data.facts["labels"].index("rare")).sum()) < 450
    values = {
        "data.name": "image.folder", "data.path": str(tmp_path / "in"), "data.resolution": 32,
        "data.sampling": "labels", "model.generator.width": 8, "model.critic.width": 8, "train.batch_size": 8,
        "metrics": [], "preview": 2, "train.checkpoint_every": 2, "train.resident": "off",
    }  # fmt: skip
    shared = {"device": "cpu", "report": False}
    genkit.run("image.dcgan", steps=4, out=tmp_path / "whole", values={**values, "train.workers": 1}, **shared)
    genkit.run("image.dcgan", steps=2, out=tmp_path / "cut", values={**values, "train.workers": 0}, **shared)
    genkit.resume(tmp_path / "cut", steps=4, **shared)
    files = [tmp_path / run / "checkpoints" / "4" / "generator.safetensors" for run in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_without_labels_none_can_be_drawn_alike(tmp_path):
    _save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"has no labels to be drawn alike"):
        _open(tmp_path, sampling="labels")


def test_a_run_does_not_go_on_with_other_labels(tmp_path):
    for name in ("a", "b"):
        for index in range(4):
            _save(tmp_path / "in" / name / f"{index}.png")
    values = {
        "data.name": "image.folder", "data.path": str(tmp_path / "in"), "data.resolution": 32, "train.batch_size": 4,
        "model.generator.width": 8, "model.critic.width": 8, "metrics": [], "preview": 2,
    }  # fmt: skip
    genkit.run("image.dcgan", steps=1, out=tmp_path / "run", values=values, device="cpu", report=False)
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "c")
    with pytest.raises(genkit.CheckpointError, match="belongs to other data"):
        genkit.resume(tmp_path / "run", steps=2, device="cpu", report=False)
