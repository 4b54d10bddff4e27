"""The plugin through its public door: specs, data, models, metrics, writer, recipes."""

from __future__ import annotations

import csv
import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
from PIL import Image

import genkit
from genkit_points import plugin
from genkit_points.data import GRID25, RING8, open_grid25, open_ring8
from genkit_points.metrics import build_modes
from genkit_points.models import build_critic, build_generator
from genkit_points.settings import CriticConfig, GeneratorConfig, MixtureConfig, ModesConfig
from genkit_points.writers import build as build_writer

OPEN = {"points.grid25": open_grid25, "points.ring8": open_ring8}
MODES = {"points.grid25": (GRID25, 0.05), "points.ring8": (RING8, 0.01)}
both = pytest.mark.parametrize("name", OPEN)


def scored(name: str, points: torch.Tensor) -> dict[str, float]:
    """The mode metric of `points`, through the core's own sample set."""
    facts = OPEN[name](MixtureConfig(examples=1, held_out=0)).facts
    fake = genkit.evaluation.GeneratedSamples(
        lambda start, count: genkit.Batch(points[start : start + count]), len(points), batch_size=1000
    )
    return build_modes(ModesConfig(), facts)(fake, fake)


# --- what it announces -----------------------------------------------------------------------------------------------


def test_the_entry_module_and_the_configs_import_without_torch():
    code = (
        "import sys, genkit_points.plugin, genkit_points.settings, genkit_points.recipes;"
        "[hook() for name, hook in vars(genkit_points.plugin).items() if name.startswith('genkit_')];"
        "genkit_points.recipes.Grid25(), genkit_points.recipes.Ring8();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_entry_point_names_the_module():
    from importlib.metadata import entry_points

    (point,) = [point for point in entry_points(group="genkit") if point.name == "points"]
    assert point.value == plugin.__name__


def test_every_import_string_leads_somewhere():
    specs = [spec for name, hook in vars(plugin).items() if name.startswith("genkit_") for spec in hook()]
    assert len(specs) == 8
    for spec in specs:
        for field in ("config", "build", "open"):
            target = getattr(spec, field, None)
            assert target is None or callable(resolve_name(target)), (spec, field)


def test_metric_figures_have_the_directions_the_spec_states():
    (spec,) = plugin.genkit_metrics()
    metric = build_modes(ModesConfig(), open_ring8(MixtureConfig(examples=1)).facts)
    assert dict(spec.better) == dict(metric.better)


# --- data ------------------------------------------------------------------------------------------------------------


@both
def test_data_has_the_published_modes_spread_and_shares(name):
    data = OPEN[name](MixtureConfig(examples=100_000))
    modes, sigma = torch.tensor(MODES[name][0]), MODES[name][1]
    points = data.resident()
    assert points.shape == (100_000, 2)
    assert points.dtype == torch.float32
    nearest = torch.cdist(points, modes).argmin(1)
    shares = torch.bincount(nearest, minlength=len(modes)) / len(points)
    assert torch.allclose(shares, torch.full_like(shares, 1 / len(modes)), atol=0.005)
    offsets = points - modes[nearest]
    assert float(offsets.std()) == pytest.approx(sigma, rel=0.01)
    assert offsets.mean(0).abs().max() < 0.02 * sigma
    assert float(offsets.norm(dim=1).max()) < 6 * sigma


def test_grid_and_ring_are_pacgans():
    assert len(set(GRID25)) == 25
    assert {value for mode in GRID25 for value in mode} == {-4.0, -2.0, 0.0, 2.0, 4.0}
    assert len(RING8) == 8
    assert [math.hypot(*mode) for mode in RING8] == pytest.approx([1.0] * 8)
    assert RING8[1] == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))


@both
def test_data_is_decided_by_the_seed_and_held_out_points_are_fresh(name):
    first, again = (OPEN[name](MixtureConfig(examples=500, held_out=200, seed=3)) for _ in range(2))
    other = OPEN[name](MixtureConfig(examples=500, held_out=200, seed=4))
    held_out = first.held_out()
    assert torch.equal(first.resident(), again.resident())
    assert torch.equal(held_out.resident(), again.held_out().resident())
    assert not torch.equal(first.resident(), other.resident())
    assert len(held_out) == 200
    assert held_out.held_out() is None
    assert not set(map(tuple, held_out.resident().tolist())) & set(map(tuple, first.resident().tolist()))
    unheld = OPEN[name](MixtureConfig(examples=500, held_out=0, seed=3))
    assert unheld.held_out() is None
    assert torch.equal(unheld.resident(), first.resident())


def test_read_collate_and_prepare_give_the_resident_rows():
    data = open_grid25(MixtureConfig(examples=10))
    batch = data.prepare(data.collate([data.read(i) for i in (2, 5)]), rng=genkit.Random(0))
    assert torch.equal(batch.sample, data.resident()[[2, 5]])
    assert batch.condition is None


def test_an_empty_mixture_is_refused():
    with pytest.raises(genkit.DataError, match="0 points"):
        open_grid25(MixtureConfig(examples=0))


# --- models ----------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_models_run_and_differentiate_twice(name, device):
    facts = OPEN[name](MixtureConfig(examples=1)).facts
    with torch.device(device):
        generator = build_generator(GeneratorConfig(latent=3, width=16), facts)
        critic = build_critic(CriticConfig(width=16), facts)
    draw = generator(generator.latent(5, rng=genkit.Random(0, device)))
    assert draw.sample.shape == (5, 2)
    assert draw.sample.device.type == device
    point = draw.sample.detach().requires_grad_()
    (logit,) = critic(point).logits
    assert logit.shape == (5, 1)
    (gradient,) = torch.autograd.grad(logit.sum(), point, create_graph=True)
    gradient.square().sum().backward()
    assert all(parameter.grad is not None for parameter in critic.parameters() if parameter.ndim == 2)


def test_width_and_depth_are_what_the_config_says():
    facts = {"shape": [2]}
    generator = build_generator(GeneratorConfig(latent=5, width=7, depth=2), facts)
    assert [tuple(p.shape) for p in generator.parameters() if p.ndim == 2] == [(7, 5), (7, 7), (2, 7)]
    critic = build_critic(CriticConfig(width=6, depth=1), facts)
    assert [tuple(p.shape) for p in critic.parameters() if p.ndim == 2] == [(6, 2), (1, 6)]


# --- metrics ---------------------------------------------------------------------------------------------------------


@both
def test_the_true_distribution_reaches_the_known_ceiling(name):
    points = OPEN[name](MixtureConfig(examples=50_000, seed=9)).resident()
    figures = scored(name, points)
    count = len(MODES[name][0])
    assert figures["modes"] == count
    # a 2-D Gaussian lies within 3 standard deviations with probability 1 - exp(-9/2)
    assert figures["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.002)
    assert 0 < figures["reverse_kl"] < 3 * (count - 1) / (2 * 50_000)


@both
def test_a_collapsed_generator_scores_one_mode_and_the_largest_divergence(name):
    modes, sigma = MODES[name]
    torch.manual_seed(0)
    points = torch.tensor(modes[3]) + 0.1 * sigma * torch.randn(500, 2)
    assert scored(name, points) == {
        "modes": 1,
        "high_quality": 1.0,
        "reverse_kl": pytest.approx(math.log(len(modes))),
    }


def test_figures_worked_out_by_hand():
    # σ = 0.05: 0.14 from a mode is 2.8 standard deviations, 0.16 is 3.2. Good, of five: two at one mode, one at another
    points = torch.tensor([[0.0, 0.14], [0.0, 0.0], [2.0, 2.0], [4.0, 4.16], [1.0, 1.0]])
    expected = 2 / 3 * math.log(25 * 2 / 3) + 1 / 3 * math.log(25 / 3)
    assert scored("points.grid25", points) == {
        "modes": 2,
        "high_quality": 0.6,
        "reverse_kl": pytest.approx(expected),
    }


def test_samples_without_quality_or_not_finite_count_for_nothing():
    points = torch.tensor([[1.0, 1.0], [float("nan"), 0.0], [float("inf"), 2.0]])
    assert scored("points.grid25", points) == {
        "modes": 0,
        "high_quality": 0.0,
        "reverse_kl": pytest.approx(math.log(25)),
    }


def test_the_floor_is_the_real_distributions_own_score():
    data = open_grid25(MixtureConfig(examples=2500, held_out=2500))
    evaluation = genkit.evaluation
    scores = evaluation.evaluate(
        [build_modes(ModesConfig(), data.facts)],
        reference=evaluation.RealSamples(data, split="train"),
        fake=evaluation.GeneratedSamples(lambda start, count: genkit.Batch(torch.zeros(count, 2)), 2500),
        other_real=evaluation.RealSamples(data.held_out(), split="held-out"),
    )
    modes, quality, divergence = scores
    assert (modes.value, modes.floor) == (1, 25)
    assert quality.floor == pytest.approx(0.989, abs=0.01)
    assert divergence.floor < 0.02 < divergence.value
    assert "PacGAN" in modes.protocol["follows"]


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_batch_becomes_a_table(tmp_path):
    data = open_ring8(MixtureConfig(examples=5))
    (path,) = build_writer(data.facts).write(genkit.Batch(data.resident()), tmp_path, stem="drawn")
    assert path == tmp_path / "drawn.csv"
    header, *rows = csv.reader(path.open(encoding="utf-8"))
    assert header == ["x", "y"]
    assert torch.allclose(torch.tensor([[float(x), float(y)] for x, y in rows]), data.resident(), atol=1e-6)


@both
def test_a_preview_shows_points_where_they_are(name, tmp_path):
    data = OPEN[name](MixtureConfig(examples=1))
    writer = build_writer(data.facts)
    empty = writer.preview(genkit.Batch(torch.zeros(0, 2)), tmp_path / "empty", columns=1)
    corner = torch.tensor(data.facts["modes"]).max()
    drawn = writer.preview(genkit.Batch(torch.full((50, 2), float(corner))), tmp_path / "000001", columns=1)
    assert drawn == tmp_path / "000001.png"
    before, after = Image.open(empty), Image.open(drawn)
    assert before.size == after.size == (640, 640)
    changed = [
        (x, y)
        for x in range(640)
        for y in range(640)
        if sum(before.getpixel((x, y))) - sum(after.getpixel((x, y))) > 90
    ]
    assert changed
    # the largest coordinates are at the right and, as y grows upwards, at the top
    assert all(x > 480 and y < 160 for x, y in changed)


def test_a_preview_says_how_many_points_it_can_not_show(tmp_path):
    writer = build_writer(open_grid25(MixtureConfig(examples=1)).facts)
    inside = writer.preview(genkit.Batch(torch.zeros(3, 2)), tmp_path / "inside", columns=1)
    outside = writer.preview(genkit.Batch(torch.tensor([[0.0, 0.0], [99.0, 0.0]])), tmp_path / "outside", columns=1)
    box = (0, 0, 200, 24)
    assert Image.open(inside).crop(box).getextrema() == ((255, 255),) * 3
    assert Image.open(outside).crop(box).getextrema() != ((255, 255),) * 3


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_recipes_name_parts_the_plugin_offers():
    from genkit_points.recipes import Grid25, Ring8

    datasets = {spec.name for spec in plugin.genkit_datasets()}
    models = {(spec.name, spec.role) for spec in plugin.genkit_models()}
    metrics = {spec.name for spec in plugin.genkit_metrics()}
    for spec, kind in zip(plugin.genkit_recipes(), (Grid25, Ring8), strict=True):
        config = kind()
        assert config.data.name == spec.name
        assert config.data.name in datasets
        assert (config.model.generator.name, "generator") in models
        assert (config.model.critic.name, "critic") in models
        assert {part.name for part in config.metrics} <= metrics
        assert config.train.eval_samples == 2500
        assert dataclasses.is_dataclass(config)


@both
def test_a_recipe_builds_its_experiment(name):
    (spec,) = [spec for spec in plugin.genkit_recipes() if spec.name == name]
    experiment = resolve_name(spec.build)(resolve_name(spec.config)())
    assert experiment.data.facts["modes"] == [list(mode) for mode in MODES[name][0]]
    assert set(experiment.penalties) == {"r1", "r2"}
    assert experiment.generator(torch.zeros(3, 2)).sample.shape == (3, 2)
    assert isinstance(experiment.writer, type(build_writer(experiment.data.facts)))
    assert list(experiment.metrics[0].better) == ["modes", "high_quality", "reverse_kl"]


def test_the_plugin_uses_only_the_public_door():
    for path in Path(plugin.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "from genkit." not in text, path.name
        assert "import genkit." not in text, path.name
