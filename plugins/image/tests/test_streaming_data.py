"""`image.hub` with data.streaming: order, resumption, and what is refused."""

from __future__ import annotations

import io
from itertools import islice

import pytest
import torch
from PIL import Image

import genkit
from genkit import ConfigError, DataError
from genkit_image.data.config import HubConfig
from genkit_image.data.hub import open_hub
from genkit_image.data.streaming import open_stream

datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")


def _png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (12, 12), value).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def saved(tmp_path) -> str:
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=["dark", "light"]),
            "word": datasets.Value("string"),
        }
    )

    def table(values, broken=()):
        files = [b"broken" if value in broken else _png(value) for value in values]
        rows = {
            "picture": [{"bytes": content, "path": None} for content in files],
            "kind": [int(value > 127) for value in values],
            "word": [str(value) for value in values],
        }
        return datasets.Dataset.from_dict(rows, features=features)

    both = {"train": table(range(0, 240, 8)), "test": table([3, 200]), "bad": table(range(30), broken={4})}
    datasets.DatasetDict(both).save_to_disk(str(tmp_path / "both"))
    return str(tmp_path / "both")


def _open(path, **options):
    return open_hub(HubConfig(path=path, **{"resolution": 8, "streaming": True, "buffer": 10, **options}))


def _values(data, rows) -> list[int]:
    return data.collate(rows)["image"][:, 0, 0, 0].tolist()


def test_an_epoch_has_every_picture_once_in_an_order_of_its_own(saved):
    data = _open(saved)
    first, again, second = (
        _values(data, list(data.examples(seed=3, epoch=epoch, shard=0, shards=1))) for epoch in (0, 0, 1)
    )
    assert first == again
    assert first != second
    assert sorted(first) == sorted(second) == list(range(0, 240, 8))


def test_readers_share_the_pictures_out(saved):
    data = _open(saved)
    parts = [_values(data, list(data.examples(seed=1, epoch=2, shard=rank, shards=3))) for rank in range(3)]
    assert sorted(value for part in parts for value in part) == list(range(0, 240, 8))


def test_readers_take_whole_files_where_these_can_be_shared_out(saved):
    table = datasets.load_from_disk(saved)["train"].cast_column("picture", datasets.Image(decode=False))
    config = HubConfig(path=saved, resolution=8, buffer=2)
    data = open_stream(table.to_iterable_dataset(num_shards=6), "picture", "kind", config, None)
    files = [set(range(40 * i, 40 * i + 40, 8)) for i in range(6)]
    orders = set()
    for epoch in range(3):
        parts = [_values(data, list(data.examples(seed=1, epoch=epoch, shard=rank, shards=2))) for rank in range(2)]
        assert sorted(value for part in parts for value in part) == list(range(0, 240, 8))
        for part in parts:
            assert sum(file <= set(part) for file in files) == 3
        orders.add(tuple(parts[0]))
    assert len(orders) == 3


def test_labels_and_held_out_pictures_come_with_it(saved):
    data = _open(saved, held_out_split="test", held_out_limit=1)
    batch = data.prepare(
        data.collate(list(islice(data.examples(seed=0, epoch=0, shard=0, shards=1), 20))), rng=genkit.Random(0)
    )
    assert torch.equal(batch.condition, (batch.sample[:, 0, 0, 0] > 0).long())
    assert data.facts["labels"] == ["dark", "light"]
    assert data.facts["shape"] == [1, 8, 8]
    assert data.held_out().resident()["image"][:, 0, 0, 0].tolist() == [3]


def test_a_resumed_run_is_bit_equal(saved, tmp_path):
    values = {
        "data.name": "image.hub", "data.path": saved, "data.resolution": 32, "data.streaming": True, "data.buffer": 10,
        "model.generator.width": 8, "model.critic.width": 8, "train.batch_size": 8, "metrics": [], "preview": 2,
        "train.checkpoint_every": 2,
    }  # fmt: skip
    shared = {"device": "cpu", "report": False}
    genkit.run("image.dcgan", steps=4, out=tmp_path / "whole", values={**values, "train.workers": 1}, **shared)
    genkit.run("image.dcgan", steps=2, out=tmp_path / "cut", values={**values, "train.workers": 0}, **shared)
    genkit.resume(tmp_path / "cut", steps=4, **shared)
    for name in ("generator", "critic"):
        one, other = (tmp_path / run / "checkpoints" / "4" / f"{name}.safetensors" for run in ("whole", "cut"))
        assert one.read_bytes() == other.read_bytes(), name


def test_another_of_the_batch_stands_in_for_a_broken_picture(saved, capsys):
    broken = _open(saved, split="bad", skip_broken=True)
    rows = list(broken.examples(seed=0, epoch=0, shard=0, shards=1))
    assert sorted(set(range(30)) - set(_values(broken, rows))) == [4]
    assert len(_values(broken, rows)) == 30
    assert "left out" in capsys.readouterr().err
    strict = _open(saved, split="bad")
    with pytest.raises(DataError, match=r"example \d+ of its epoch: can not be read"):
        strict.collate(rows)


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"sampling": "labels"}, ConfigError, "how often a stream has each label"),
        ({"held_out": 0.1}, ConfigError, "no share of a stream"),
        ({"label": "word"}, DataError, "names no classes"),
        ({"label": "size"}, DataError, "has no column 'size'"),
    ],
)
def test_what_a_stream_can_not_say_is_refused(saved, options, error, complaint):
    with pytest.raises(error, match=complaint):
        _open(saved, **options)
