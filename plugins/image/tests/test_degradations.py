"""What `image.reconstruct` takes from pictures, and the dataset around it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from genkit import Batch, ConfigError, Random, StreamedDataset
from genkit_image.data.config import DigitsConfig
from genkit_image.data.degradation import DEFAULTS, Degradation
from genkit_image.data.degrade import degrade_of
from genkit_image.data.degraded import Degraded, degraded
from genkit_image.data.digits import open_digits
from genkit_image.data.images import Images

RGB = (3, 16, 16)
KINDS = sorted(DEFAULTS)
HOLES = ("boxes", "strokes", "half")


def pictures(count: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, *RGB, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def taken(seed: int = 0, **options: object) -> dict[str, torch.Tensor]:
    degrade = degrade_of(Degradation(**options), RGB)
    return degrade(pictures(), degrade.draw(64, rng=Random(seed)))


@pytest.mark.parametrize("kind", HOLES)
def test_a_hole_leaves_the_other_pixels_as_they_were(kind):
    left = taken(kind=kind)
    mask = left["mask"]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(left["image"], pictures() * mask)
    share = 1 - mask.mean((1, 2, 3))
    assert (share > 0).all()
    assert (share < 1).all()
    assert len({bytes(row.numpy()) for row in mask}) > 3, "holes differ"


def test_boxes_have_the_sides_asked_for():
    mask = taken(kind="boxes", size=(0.25, 0.5))["mask"][:, 0]
    for row in 1 - mask:
        rows, columns = row.any(1), row.any(0)
        assert torch.equal(row, (rows[:, None] & columns[None, :]).float()), "one full rectangle"
        assert 4 <= rows.sum() <= 8
        assert 4 <= columns.sum() <= 8
    sides = (1 - mask).amax(2).sum(1)
    assert {4, 8} <= set(sides.int().tolist())
    touched = (1 - mask).mean(0)
    assert all(edge.any() for edge in (touched[0], touched[-1], touched[:, 0], touched[:, -1])), "up to each border"
    assert taken(kind="boxes", count=3)["mask"].mean() < mask.mean()


def test_half_takes_each_of_four_halves():
    missing = 1 - taken(kind="half")["mask"]
    assert (missing.sum((1, 2, 3)) == 128).all()
    corners = {tuple(int(row[0, y, x]) for y, x in ((0, 0), (0, 15), (15, 0), (15, 15))) for row in missing}
    assert corners == {(1, 0, 1, 0), (0, 1, 0, 1), (1, 1, 0, 0), (0, 0, 1, 1)}


def test_strokes_are_as_thick_as_asked():
    thin, thick = (1 - taken(kind="strokes", size=(width, width))["mask"].mean() for width in (0.05, 0.2))
    assert 0 < thin < thick / 1.5


def test_a_lower_resolution_is_the_mean_of_squares():
    left = taken(kind="resolution", factor=4)
    assert not left["mask"].any()
    flat = torch.full((1, *RGB), 0.25)
    degrade = degrade_of(Degradation(kind="resolution", factor=4), RGB)
    torch.testing.assert_close(degrade(flat, degrade.draw(1, rng=Random(0)))["image"], flat)
    squares = pictures().view(64, 3, 4, 4, 4, 4).mean((3, 5))
    # Bilinear enlargement keeps the first sample of a side at the border.
    torch.testing.assert_close(left["image"][..., 0, 0], squares[..., 0, 0])


def test_colour_leaves_the_brightness_pillow_sees():
    left = taken(kind="colour")["image"]
    wanted = 0.299 * pictures()[:, 0] + 0.587 * pictures()[:, 1] + 0.114 * pictures()[:, 2]
    for channel in range(3):
        torch.testing.assert_close(left[:, channel], wanted)


def test_edges_are_black_where_the_brightness_steps():
    step = torch.full((1, *RGB), -1.0)
    step[..., 8:] = 1.0
    degrade = degrade_of(Degradation(kind="edges"), RGB)
    drawn = degrade(step, degrade.draw(1, rng=Random(0)))["image"][0, 0]
    assert (drawn[:, 7:9] == -1).all()
    assert (drawn[:, :7] == 1).all()
    assert (drawn[:, 9:] == 1).all()


def test_noise_has_its_standard_deviation_and_stays_a_picture():
    grey = torch.zeros(64, *RGB)
    degrade = degrade_of(Degradation(kind="noise", sigma=0.2), RGB)
    left = degrade(grey, degrade.draw(64, rng=Random(0)))["image"]
    assert left.std() == pytest.approx(0.2, abs=0.003)
    assert taken(kind="noise", sigma=2.0)["image"].abs().max() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_degraded_by_its_own_numbers(kind):
    degrade = degrade_of(Degradation(kind=kind), RGB)
    numbers = degrade.draw(64, rng=Random(3))
    whole, part = degrade(pictures(), numbers), degrade(pictures()[5:9], numbers[5:9])
    for name in ("image", "mask"):
        assert torch.equal(whole[name][5:9], part[name])


@pytest.mark.parametrize("kind", KINDS)
def test_degrading_runs_on_meta(kind):
    degrade = degrade_of(Degradation(kind=kind), RGB)
    left = degrade(torch.empty(4, *RGB, device="meta"), degrade.draw(4, rng=Random(0, "meta")))
    assert left["image"].shape == (4, *RGB)
    assert left["mask"].shape == (4, 1, 16, 16)
    assert {leaf.device.type for leaf in left.values()} == {"meta"}


def test_an_option_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="the kind boxes reads count, size"):
        Degradation(kind="boxes", factor=2)
    with pytest.raises(ValueError, match="half reads no option"):
        Degradation(kind="half", count=2)
    with pytest.raises(ValueError, match=r"0\.5 is above 0\.2"):
        Degradation(size=(0.5, 0.2))


def test_what_can_not_be_taken_is_refused():
    with pytest.raises(ConfigError, match="no colour"):
        degrade_of(Degradation(kind="colour"), (1, 16, 16))
    with pytest.raises(ConfigError, match="no multiple of 4"):
        degrade_of(Degradation(kind="resolution", factor=4), (1, 30, 30))


# --- the dataset -----------------------------------------------------------------------------------------------------


def digits(kind: str = "boxes") -> Degraded:
    return Degraded(open_digits(DigitsConfig()), Degradation(kind=kind))


def test_training_takes_something_else_each_time_and_held_out_data_the_same():
    data = digits()
    held_out = data.held_out()
    stored = data.collate([data.read(i) for i in range(8)])
    first, second = (data.prepare(stored, rng=Random(seed)) for seed in (1, 2))
    assert torch.equal(first.sample, second.sample)
    assert not torch.equal(first.condition["mask"], second.condition["mask"])
    rows = held_out.collate([held_out.read(i) for i in range(8)])
    first, second = (held_out.prepare(rows, rng=Random(seed)) for seed in (1, 2))
    assert torch.equal(first.condition["mask"], second.condition["mask"])
    alone = held_out.prepare(held_out.collate([held_out.read(5)]), rng=Random(9))
    assert torch.equal(alone.condition["image"][0], first.condition["image"][5])


def test_known_pictures_travel_in_the_facts():
    data = digits()
    assert data.facts["labels"] is None
    assert data.facts["given"] == {"kind": "boxes", "shape": [1, 28, 28]}
    assert len(data.facts["known"]["real"]) == 16
    assert data.held_out().facts is data.facts
    assert data.resident() is not None


def test_many_large_pictures_are_not_kept_in_the_facts():
    large = Images(torch.zeros(40, 3, 512, 512, dtype=torch.uint8), name="large", licence="none")
    assert len(Degraded(large, Degradation()).facts["known"]["real"]) == 2


class Stream(StreamedDataset):
    """Digits in order, without an index."""

    def __init__(self) -> None:
        self.pictures = open_digits(DigitsConfig())
        self.facts = self.pictures.facts

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[dict[str, torch.Tensor]]:
        return (self.pictures.read(index) for index in range(shard, 40, shards))

    def prepare(self, stored: dict[str, torch.Tensor], *, rng: Random) -> Batch:
        return self.pictures.prepare(stored, rng=rng)

    def held_out(self) -> Images | None:
        return self.pictures.held_out()


def test_a_stream_is_degraded_too():
    stream, digits_themselves = degraded(Stream(), Degradation()), digits()
    rows = list(stream.examples(seed=0, epoch=0, shard=1, shards=20))
    batch = stream.prepare(stream.collate(rows), rng=Random(0))
    assert torch.equal(batch.condition["image"], batch.sample * batch.condition["mask"])
    assert len(stream.facts["known"]["real"]) == 16
    first, second = (data.held_out().read(3)["numbers"] for data in (stream, digits_themselves))
    assert torch.equal(first, second)
    assert stream.summary()["taken"] == "boxes"


def test_pairs_are_not_degraded_again():
    data = digits()
    with pytest.raises(ConfigError, match=r"of its own"):
        Degraded(data, Degradation())


def test_still_pictures_lose_the_same_each_time():
    pixels = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    data = Degraded(Images(pixels, name="made", licence="none", flip=True), Degradation(kind="boxes"))
    still = data.still()
    stored = still.collate([still.read(index) for index in range(64)])
    first, again = (still.prepare(stored, rng=Random(seed)) for seed in (0, 1))
    assert torch.equal(first.sample, pixels / 127.5 - 1)
    assert torch.equal(first.condition["mask"], again.condition["mask"])
    assert still.facts == data.facts
