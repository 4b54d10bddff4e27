"""The views of `genkit inspect`: what is in the files they write, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import genkit
from genkit import ConfigError, Draw, Generator, Labels, Random, Sampler, SamplerParts, Subject, UsageError, Verdict
from genkit_image.data.config import DigitsConfig
from genkit_image.data.digits import open_digits
from genkit_image.data.images import Images
from genkit_image.looking.config import (
    ClassesConfig,
    NeighboursConfig,
    ProjectionConfig,
    StripConfig,
    TruncationConfig,
    WalkConfig,
)
from genkit_image.looking.latents import bounded, slerp
from genkit_image.looking.neighbours import draw_neighbours
from genkit_image.looking.projection import draw_projection, project
from genkit_image.looking.samples import draw_classes, draw_strip, draw_truncation, draw_walk
from genkit_image.looking.sheets import write_film, write_sheet

SIDE = 4
FACTS = {"modality": "image", "shape": [1, SIDE, SIDE], "labels": None}
GAP, TIMES = 2, 12  # a sheet's gaps, and how often a pixel of 4x4 is repeated to fill 48


class Linear(Generator):
    """Pictures whose pixels are the latent's numbers over 4, and their label's number over 10 more."""

    def __init__(self, latent: int = SIDE**2) -> None:
        super().__init__()
        self.size = latent

    def latent(self, count: int, *, rng: Random) -> Tensor:
        return rng.normal(count, self.size)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        pixels = latent.view(-1, 1, SIDE, SIDE) / 4
        return Draw(pixels if condition is None else pixels + condition.view(-1, 1, 1, 1) / 10)


class Truncated(Linear):
    sampling = {"truncation": 1.0}  # noqa: RUF012

    def forward(self, latent: Tensor, condition: Tensor | None = None, *, truncation: float = 1.0) -> Draw:
        return super().forward(truncation * latent, condition)


def subject(generator: Generator, *, conditions: Labels | None = None, data=None, critic=None) -> SimpleNamespace:
    """What a view asks of a `genkit.Subject`."""
    sampler = Sampler(SamplerParts(generator, conditions, None), facts=FACTS)
    return SimpleNamespace(
        sampler=sampler,
        inputs=lambda count: sampler.inputs(count, seed=3),
        condition=None,
        data=data,
        critic=critic,
        run=SimpleNamespace(path="RUN"),
    )


def cells(path: Path, rows: int, columns: int) -> np.ndarray:
    """The pictures of a sheet of 4x4 pixels, [rows, columns, 4, 4] in [-1, 1]."""
    sheet = np.asarray(Image.open(path).convert("L")).astype(float)
    step = SIDE * TIMES + GAP
    sheet = sheet[sheet.shape[0] - rows * step - GAP :, sheet.shape[1] - columns * step - GAP :]
    found = [
        [sheet[GAP + r * step :: TIMES, GAP + c * step :: TIMES][:SIDE, :SIDE] for c in range(columns)]
        for r in range(rows)
    ]
    return np.array(found) / 127.5 - 1


def test_between_two_latents_the_way_is_along_the_sphere():
    a, b = torch.nn.functional.normalize(torch.randn(2, 3, 10, dtype=torch.float64), dim=2).view(2, 3, 2, 5)
    way = slerp(a, b, torch.linspace(0, 1, 5))
    torch.testing.assert_close(way[:, 0], a)
    torch.testing.assert_close(way[:, -1], b)
    flat = torch.nn.functional.normalize(way.flatten(2), dim=2)
    angles = (flat[:, 1:] * flat[:, :-1]).sum(2).acos()
    one = torch.eye(4)[:2]
    middle = slerp(one[:1], one[1:], torch.tensor([0.5]))[0, 0]
    torch.testing.assert_close(middle, torch.tensor([1.0, 1.0, 0, 0]) / math.sqrt(2))
    torch.testing.assert_close(way.flatten(2).norm(dim=2), torch.ones(3, 5, dtype=torch.float64))
    torch.testing.assert_close(angles, angles.mean(1, keepdim=True).expand_as(angles))
    torch.testing.assert_close(slerp(a, a, torch.tensor([0.3]))[:, 0], a)


def test_a_bounded_latent_keeps_its_quantile():
    latent = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    cut = bounded(latent, 0.5)
    assert cut.abs().max() <= 0.5
    assert torch.equal(cut.argsort(), latent.argsort())
    # E[z²] within ±b: 1 - 2 b φ(b) / (2 Φ(b) - 1)
    density, inside = math.exp(-0.125) / math.sqrt(2 * math.pi), math.erf(0.5 / math.sqrt(2))
    assert cut.square().mean() == pytest.approx(1 - density / inside, rel=0.02)
    assert bounded(latent, math.inf) is latent


def test_a_strip_begins_and_ends_with_what_sampling_draws(tmp_path: Path):
    looked = subject(Linear())
    (path,) = draw_strip(StripConfig(rows=2, columns=5), looked, tmp_path / "strip")
    drawn = looked.sampler.sample(4, seed=3).sample.clamp(-1, 1).numpy()[:, 0]
    shown = cells(path, 2, 5)
    np.testing.assert_allclose(shown[:, 0], drawn[:2], atol=0.01)
    np.testing.assert_allclose(shown[:, -1], drawn[2:], atol=0.01)
    assert np.abs(shown[:, 2] - drawn[:2]).mean() > 0.05


def test_a_walk_moves_and_returns(tmp_path: Path):
    config = WalkConfig(walks=2, stops=3, frames=4, rate=10)
    (path,) = draw_walk(config, subject(Linear()), tmp_path / "walk")
    film = Image.open(path)
    assert (film.n_frames, film.info["duration"], film.info["loop"]) == (12, 100, 0)
    pages = []
    for number in range(12):
        film.seek(number)
        pages.append(np.asarray(film.convert("L")).astype(float))
    steps = [np.abs(pages[i] - pages[(i + 1) % 12]).mean() for i in range(12)]
    assert min(steps) > 0
    assert max(steps) < 3 * np.mean(steps), "the last picture leads to the first as any to the next"


def test_a_coloured_film_keeps_its_colours(tmp_path: Path):
    frames = torch.full((3, 1, 3, 8, 8), -1.0)
    frames[0, :, 0] = frames[1, :, 1] = frames[2, :, 2] = 1.0
    film = Image.open(write_film(frames, tmp_path / "film", columns=1, rate=5))
    for number in range(3):
        film.seek(number)
        assert film.convert("RGB").getpixel((20, 20))[number] > 200


def test_truncation_shrinks_by_the_generators_setting_or_by_bounds(tmp_path: Path):
    (path,) = draw_truncation(TruncationConfig(rows=3, values=(0.1, 0.5, 1.0)), subject(Truncated()), tmp_path / "a")
    drawn = subject(Truncated()).sampler.sample(3, seed=3).sample.numpy()[:, 0]
    shown = cells(path, 3, 3)
    np.testing.assert_allclose(shown[:, 0], 0.1 * drawn, atol=0.01)
    np.testing.assert_allclose(shown[:, 2], drawn.clip(-1, 1), atol=0.01)
    (path,) = draw_truncation(TruncationConfig(rows=3), subject(Linear()), tmp_path / "b")
    shown = cells(path, 3, 6)
    assert np.abs(shown[:, 0]).max() < 0.25 / 4 + 0.01
    np.testing.assert_allclose(shown[:, -1], drawn.clip(-1, 1), atol=0.01)


def test_each_label_has_a_row_of_the_same_latents(tmp_path: Path):
    looked = subject(Linear(), conditions=Labels(["zero", "one", "two"]))
    (path,) = draw_classes(ClassesConfig(columns=4), looked, tmp_path / "classes")
    shown = cells(path, 3, 4)
    inside = (np.abs(shown) < 0.7).all(0)
    np.testing.assert_allclose((shown[2] - shown[0])[inside], 0.2, atol=0.02)
    with pytest.raises(UsageError, match="without labels"):
        draw_classes(ClassesConfig(), subject(Linear()), tmp_path / "none")


def test_labels_that_were_never_seen_have_no_row(tmp_path: Path):
    looked = subject(Linear(), conditions=Labels(["zero", "one", "two", "three"], [3, 0, 2, 1]))
    (path,) = draw_classes(ClassesConfig(columns=4, most=2), looked, tmp_path / "classes")
    shown = cells(path, 2, 4)
    inside = (np.abs(shown) < 0.7).all(0)
    np.testing.assert_allclose((shown[1] - shown[0])[inside], 0.2, atol=0.02)  # zero and two


class Dots(genkit.Dataset):
    """Grey pictures of one level each."""

    facts = FACTS

    def __init__(self, levels: list[float]) -> None:
        self.levels = levels

    def __len__(self) -> int:
        return len(self.levels)

    def read(self, index: int) -> Tensor:
        return torch.tensor(self.levels[index])

    def prepare(self, stored: Tensor, *, rng: Random) -> genkit.Batch:
        return genkit.Batch(stored.view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE).clone())


class Level(Linear):
    """Pictures of one level: 0.1 times the sample's number."""

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        return Draw((0.1 * torch.arange(len(latent)).float()).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE))


def test_neighbours_are_the_nearest_in_order(tmp_path: Path):
    levels = [-1.0] * 300 + [0.16, 0.0, 0.11]  # beyond the first batch of 256
    looked = subject(Level(), data=Dots(levels))
    sheet, table = draw_neighbours(NeighboursConfig(rows=2, neighbours=2), looked, tmp_path / "near")
    shown = cells(sheet, 2, 3)[:, :, 0, 0]
    np.testing.assert_allclose(shown, [[0, 0, 0.11], [0.1, 0.11, 0.16]], atol=0.01)
    lines = table.read_text().splitlines()
    assert "pixels" in lines[0]
    assert lines[2].split("  ") == ["sample 1:", "0.01569 (302)", "0.06275 (300)"]  # 2 and 8 bytes apart


class Copies(Linear):
    """Pictures of a dataset, one after the other."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.pictures = pictures.float() / 127.5 - 1

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        return Draw(self.pictures[: len(latent)])


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_of_pictures_that_training_mirrors_are_found_and_shown_as_they_are(tmp_path: Path, mirrored: bool):
    pixels = torch.randint(0, 256, (300, 1, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made = Copies(pixels[:12].flip(-1) if mirrored else pixels[:12])
    looked = subject(made, data=Images(pixels, name="made", licence="none", flip=True))
    sheet, table = draw_neighbours(NeighboursConfig(rows=12, neighbours=1), looked, tmp_path / "near")
    lines = table.read_text().splitlines()[1:]
    assert lines == [f"sample {row}:  0 ({row})" for row in range(12)]
    shown = cells(sheet, 12, 2)
    np.testing.assert_allclose(shown[:, 1], pixels[:12, 0].numpy() / 127.5 - 1, atol=0.01)
    np.testing.assert_allclose(shown[:, 0], shown[:, 1, :, ::-1] if mirrored else shown[:, 1], atol=0.01)


class Squares(genkit.Critic):
    """Its one feature map is the picture squared."""

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: None = None) -> Verdict:
        return Verdict([sample.flatten(1).sum(1)], [[sample.square()]])


class Featureless(Squares):
    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: None = None) -> Verdict:
        return Verdict([sample.flatten(1).sum(1)])


@pytest.mark.parametrize("features", [0.0, 0.1])
def test_a_projection_finds_a_picture_that_the_generator_can_make(features):
    looked = subject(Linear())
    target = Linear()(torch.randn(2, SIDE**2, generator=torch.Generator().manual_seed(9))).sample
    config = ProjectionConfig(image="unused", steps=150, features=features, prior=0.0)
    latent, condition = looked.inputs(32)
    found = project(target, latent, condition, looked.sampler, Squares() if features else None, config)
    assert (found.found - target).abs().max() < 0.05
    assert (found.start - target).abs().mean() > 0.1
    assert found.losses[-1] < 0.05 * found.losses[0]
    assert len(found.losses) == 151


def test_the_prior_keeps_a_latent_at_its_length():
    """Of a picture brighter than any sample, the latent would grow without it."""
    looked, target = subject(Linear()), torch.full((1, 1, SIDE, SIDE), 1.0)
    latent, condition = looked.inputs(8)
    lengths = []
    for prior in (0.0, 10.0):
        config = ProjectionConfig(image="unused", steps=200, features=0.0, prior=prior)
        found = project(target, latent, condition, looked.sampler, None, config)
        lengths.append(float(found.latent.square().mean()))
    assert lengths[0] > 8
    assert lengths[1] < 1.5


def test_what_can_not_be_projected_is_refused(tmp_path: Path):
    looked = subject(Linear(), critic=Featureless())
    Image.new("L", (9, 9), 90).save(tmp_path / "grey.png")
    config = ProjectionConfig(image=str(tmp_path / "grey.png"), steps=1, starts=4)
    with pytest.raises(UsageError, match="Featureless gives no features"):
        draw_projection(config, looked, tmp_path / "out")
    (tmp_path / "text.png").write_text("no picture")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "half.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "half.png").read_bytes()[:2000])
    for name, said in (
        ("none.png", "there is no such file"),
        ("text.png", "it is no picture"),
        ("half.png", "can not be read"),
    ):
        with pytest.raises(UsageError, match=rf"{name}: .*{said}") as told:
            draw_projection(ProjectionConfig(image=str(tmp_path / name)), looked, tmp_path / "out")
        assert told.value.where == "--set image"
    points = subject(Linear(latent=2))
    points.sampler.facts = {"modality": "image", "shape": [2, 1, 1]}
    with pytest.raises(UsageError, match="makes samples of 2 channels"):
        draw_projection(config, points, tmp_path / "out")
    assert draw_projection(
        ProjectionConfig(image=str(tmp_path / "grey.png"), steps=1, starts=4, features=0.0), looked, tmp_path / "out"
    ) == [tmp_path / "out.png"]


def test_without_numbers_in_its_latents_a_run_has_no_way_to_go(tmp_path: Path):
    for draw, config in ((draw_strip, StripConfig()), (draw_walk, WalkConfig()), (draw_truncation, TruncationConfig())):
        with pytest.raises(UsageError, match="no latents"):
            draw(config, subject(Linear(latent=0)), tmp_path / "none")


def test_names_stand_beside_rows_and_above_columns(tmp_path: Path):
    images = torch.zeros(4, 1, SIDE, SIDE)
    bare = Image.open(write_sheet(images, tmp_path / "bare", columns=2))
    named = Image.open(
        write_sheet(images, tmp_path / "named", columns=2, rows_named=["first", "second"], columns_named=["a", "b"])
    )
    assert named.width > bare.width
    assert named.height > bare.height
    margin = np.asarray(named.convert("L"))[named.height - bare.height :, : named.width - bare.width]
    half = len(margin) // 2
    assert (margin[:half] < 128).sum() > 5
    assert (margin[half:] < 128).sum() > (margin[:half] < 128).sum()


# --- of a run --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of handwriting with the smallest nets."""
    small = {
        "model.generator.width": 8, "model.generator.blocks": 0, "model.critic.width": 8, "model.critic.blocks": 0,
        "train.batch_size": 8, "train.eval_samples": 16, "metrics": [], "preview": 10,
    }  # fmt: skip
    path = tmp_path_factory.mktemp("looking") / "run"
    return genkit.run("image.handwriting", steps=2, values=small, out=path, device="cpu").run


def test_views_of_a_run_stand_in_its_report(run: Path):
    before = set(run.rglob("*"))
    strip = genkit.inspect(run, "strip", values={"rows": 1}, overrides=["columns=3"], condition={"label": "7"})
    walk = genkit.inspect(run, "walk", values={"walks": 1, "stops": 2, "frames": 2})
    assert [path.name for path in (*strip, *walk)] == ["00000002-strip.png", "00000002-walk.gif"]
    assert set(run.rglob("*")) - before == {*strip, *walk}
    from genkit.report import write_report

    page = write_report([run]).path.read_text(encoding="utf-8")
    last = page.split('id="frame-0"')[1].split("</figure>")[0]
    assert last.index('alt="Preview at step 2') < last.index('<p class="label">strip</p>')
    assert "data:image/gif;base64," in last


def test_a_run_can_be_compared_with_its_data_and_asked_its_critic(run: Path, tmp_path: Path):
    data = open_digits(DigitsConfig())
    Image.fromarray(data.pictures[0, 0].numpy()).save(tmp_path / "digit.png")
    named = genkit.inspect(run, "projection", out=tmp_path, values={"image": tmp_path / "digit.png", "steps": 2})
    near = genkit.inspect(run, "neighbours", out=tmp_path, overrides=["rows=2", "extractor=lenet-digits"])
    assert [path.name for path in (*named, *near)] == ["projection.png", "neighbours.png", "neighbours.txt"]
    assert "features of lenet-digits" in near[1].read_text()
    subject = Subject(run, device="cpu")
    weights = (subject.run.checkpoint() / "critic.safetensors").stat().st_size
    assert sum(parameter.numel() for parameter in subject.critic.parameters()) * 4 < weights
    assert not any(parameter.requires_grad for parameter in subject.critic.parameters())


def test_a_view_says_what_is_wrong_with_what_it_was_told(run: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="no view `strop` of image; did you mean `strip`"):
        genkit.inspect(run, "strop")
    with pytest.raises(ConfigError, match="the options of the view `strip` do not fit") as told:
        genkit.inspect(run, "strip", overrides=["columns=1", "rouws=2"])
    assert len(told.value.problems) == 2
    with pytest.raises(ConfigError, match="the options of the view `projection` do not fit"):
        genkit.inspect(run, "projection", overrides=["image=[]"])
    with pytest.raises(UsageError, match="unknown label"):
        genkit.inspect(run, "strip", condition={"label": "eleven"})
