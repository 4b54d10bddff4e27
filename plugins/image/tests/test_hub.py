from __future__ import annotations

import io
import sys

import pytest
import torch
from PIL import Image

from genkit import DataError, PluginError
from genkit_image.data.config import HubConfig
from genkit_image.data.hub import open_hub


def _png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (12, 12), value).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def saved(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=["dark", "light"]),
            "colour": datasets.Value("string"),
        }
    )

    def table(values):
        rows = {
            "picture": [{"bytes": _png(value), "path": None} for value in values],
            "kind": [int(value > 127) for value in values],
            "colour": [str(value // 100) for value in values],
        }
        return datasets.Dataset.from_dict(rows, features=features)

    both = datasets.DatasetDict({"train": table([10, 250, 130, 20]), "test": table([200])})
    both.save_to_disk(str(tmp_path / "both"))
    return str(tmp_path / "both")


def _open(path, **options):
    return open_hub(HubConfig(path=path, **{"resolution": 8, **options}))


def test_a_saved_dataset_gives_pictures_labels_and_a_held_out_split(saved):
    data = _open(saved, held_out_split="test")
    assert data.facts["shape"] == [1, 8, 8]
    assert data.facts["labels"] == ["dark", "light"]
    assert data.facts["label_counts"] == [2, 2]
    assert data.resident()["image"][:, 0, 0, 0].tolist() == [10, 250, 130, 20]
    assert data.held_out().resident()["label"].tolist() == [1]


def test_any_column_can_be_the_label_or_none(saved):
    data = _open(saved, label="colour")
    assert data.facts["labels"] == ["0", "1", "2"]
    assert data.resident()["label"].tolist() == [0, 2, 1, 0]
    assert _open(saved, label="none").facts["labels"] is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"split": "validation"}, "validation"),
        ({"image": "kind"}, "picture"),
        ({"label": "size"}, "size"),
    ],
)
def test_what_is_not_there_is_named(saved, options, complaint):
    with pytest.raises(DataError, match=complaint):
        _open(saved, **options)


def test_without_datasets_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(PluginError, match="datasets") as caught:
        _open(str(tmp_path))
    assert "genkit-gan-image[hub]" in str(caught.value)


def test_held_out_share_is_stable(saved):
    first, second = (_open(saved, held_out=0.5) for _ in range(2))
    assert len(first) == len(first.held_out()) == 2
    assert torch.equal(first.resident()["image"], second.resident()["image"])
