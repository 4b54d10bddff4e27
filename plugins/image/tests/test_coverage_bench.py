"""Data whose modes are known, how they are counted, and the table that `genkit bench image` writes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import genkit
from genkit import Batch, ConfigError, DivergedError, Interrupted, Random, UsageError
from genkit.evaluation import GeneratedSamples, RealSamples
from genkit_image.bench.command import cover, variant
from genkit_image.bench.config import (
    MixtureConfig,
    ModesConfig,
    PerceptronCriticConfig,
    PerceptronGeneratorConfig,
    StackedDigitsConfig,
)
from genkit_image.bench.metrics import build_modes
from genkit_image.bench.mixtures import Mixture, open_grid25, open_ring8
from genkit_image.bench.perceptrons import build_critic, build_generator
from genkit_image.bench.protocols import PROTOCOLS
from genkit_image.bench.scatter import SIDE, PointsWriter
from genkit_image.bench.stacked import open_stacked_digits
from genkit_image.bench.trials import Ended, Trial, as_json, markdown, mean_and_error, planned
from genkit_image.data.config import DigitsConfig
from genkit_image.data.digits import open_digits

SMALL = StackedDigitsConfig(examples=3000, held_out=1000)


@pytest.mark.parametrize(("open_it", "modes", "sigma"), [(open_ring8, 8, 0.01), (open_grid25, 25, 0.05)])
def test_a_mixture_is_what_its_facts_say(open_it, modes, sigma):
    data: Mixture = open_it(MixtureConfig(examples=20_000, held_out=5000))
    means = torch.tensor(data.facts["modes"]["means"])
    assert (len(means), data.facts["modes"]["sigma"]) == (modes, sigma)
    points = data.points.flatten(1)
    nearest = torch.cdist(points, means).argmin(1)
    assert torch.bincount(nearest).min() > 0.85 * 20_000 / modes
    assert (points - means[nearest]).std() == pytest.approx(sigma, rel=0.02)
    assert torch.cdist(means, means).fill_diagonal_(9).min() > 15 * sigma
    assert not torch.equal(data.held_out().points[:100], data.points[:100])
    assert torch.equal(open_it(MixtureConfig(examples=20_000, held_out=0)).points, data.points)


def test_of_a_true_mixture_nearly_all_is_of_high_quality():
    data = open_grid25(MixtureConfig(examples=100, held_out=20_000))
    reals = RealSamples(data.held_out(), split="held-out")
    figures = build_modes(ModesConfig(), data.facts)(reals, reals)
    assert figures["modes"] == 25
    assert figures["high_quality"] == pytest.approx(0.989, abs=0.003)  # 1 - exp(-9/2)
    assert figures["reverse_kl"] < 0.003
    one = GeneratedSamples(lambda start, count: Batch(torch.tensor([2.0, -4.0]).expand(count, 2)[..., None, None]), 9)
    assert build_modes(ModesConfig(), data.facts)(reals, one)["modes"] == 1


def test_stacked_digits_are_three_digits_of_the_right_part():
    data = open_stacked_digits(SMALL)
    digits = open_digits(DigitsConfig(labels=False))
    batch = data.prepare(data.collate([data.read(5), data.read(6)]), rng=Random(0))
    assert batch.sample.shape == (2, 3, 28, 28)
    for channel, number in enumerate(data.read(6).tolist()):
        assert torch.equal(((batch.sample[1, channel] + 1) * 127.5).round().byte(), digits.pictures[number, 0])
    apart = data.held_out()
    shown = apart.prepare(apart.read(0)[None], rng=Random(0)).sample[0, 0]
    assert torch.equal(((shown + 1) * 127.5).round().byte(), digits.held_out().pictures[int(apart.read(0)[0]), 0])
    assert torch.equal(open_stacked_digits(SMALL).triples, data.triples)
    assert not torch.equal(
        open_stacked_digits(StackedDigitsConfig(examples=3000, held_out=9, seed=1)).triples, data.triples
    )


def test_the_judge_reads_the_labels_of_stacked_digits():
    data = open_stacked_digits(SMALL).held_out()
    labels = open_digits(DigitsConfig()).held_out().labels[data.triples]
    truth = 100 * labels[:, 0] + 10 * labels[:, 1] + labels[:, 2]
    read = build_modes(ModesConfig(), data.facts).assign(data.prepare(data.triples, rng=Random(0)))
    right = (read == truth).float().mean()
    assert 0.94 < right < 0.99  # of 98.85 % in each of three channels: 96.6 %


def test_a_generator_of_one_picture_has_one_mode():
    data = open_stacked_digits(SMALL)
    picture = data.prepare(data.triples[:1], rng=Random(0)).sample
    fake = GeneratedSamples(lambda start, count: Batch(picture.expand(count, -1, -1, -1)), 100)
    assert build_modes(ModesConfig(), data.facts)(fake, fake) == {
        "modes": 1.0,
        "reverse_kl": pytest.approx(6.9078, 1e-4),
    }


def test_modes_that_nobody_knows_can_not_be_counted():
    with pytest.raises(ConfigError, match="modes are known"):
        build_modes(ModesConfig(), open_digits(DigitsConfig()).facts)


def test_perceptrons_refuse_data_whose_labels_they_would_not_learn():
    labelled, plain = (open_digits(DigitsConfig(labels=labels)).facts for labels in (True, False))
    for build, config in ((build_generator, PerceptronGeneratorConfig()), (build_critic, PerceptronCriticConfig())):
        with pytest.raises(ConfigError, match="learn no labels, and the data has 10") as caught:
            build(config, labelled)
        assert "data.labels=none (false for image.digits" in str(caught.value)
        build(config, plain)


def test_points_are_shown_where_they_are(tmp_path: Path):
    writer = PointsWriter([[-1.0, -1.0], [1.0, 1.0]])  # shows -1.5 to 1.5
    dots = writer.dots(torch.tensor([[1.0, 1.0], [9.0, 0.0], [float("nan"), 0.0]]))[0]
    down, across = (dots < 255).nonzero().float().mean(0).tolist()
    assert across == pytest.approx(SIDE * 2.5 / 3, abs=1.5)
    assert down == pytest.approx(SIDE * 0.5 / 3, abs=1.5)
    assert (dots < 255).sum() == 9
    (table,) = writer.write(Batch(torch.tensor([0.5, -2.0]).view(1, 2, 1, 1)), tmp_path)
    assert table.read_text().split() == ["x,y", "0.5,-2"]


# --- the table -------------------------------------------------------------------------------------------------------


def ended(name: str, seed: int, **metrics: float) -> Ended:
    trial = Trial("ring8", name, "image.mixture", seed, "place")
    protocol = {"fake": {"count": 2500}}
    return Ended(trial, 100, 2.0, metrics, {"modes": 8.0, "high_quality": 0.989, "reverse_kl": 0.001}, protocol)


def test_the_table_has_mean_error_and_worst_of_each_variant():
    runs = [
        ended("recipe", 0, modes=8, high_quality=0.98, reverse_kl=0.01),
        ended("recipe", 1, modes=6, high_quality=0.96, reverse_kl=0.03),
        ended("bare", 0, modes=2, high_quality=0.5, reverse_kl=1.2),
    ]
    lines = markdown(PROTOCOLS["ring8"], runs).splitlines()
    assert "2,500 samples" in lines[2]
    assert "| image.mixture | 2 | 100 | 7.0 ± 1.0 | 6 | 97.0 ± 1.0 % | 0.0200 ± 0.0100 | 0.0300 |" in lines
    assert "| image.mixture, bare | 1 | 100 | 2.0 | 2 | 50.0 % | 1.2000 | 1.2000 |" in lines
    assert "| real samples |  |  | 8 |  | 98.9 % | 0.0010 |  |" in lines
    assert any(line.startswith("| PacGAN4") and "0.07" in line for line in lines)
    assert {line.count("|") for line in lines if line.startswith("|")} == {9}


def test_runs_that_diverged_are_counted_in_their_row_and_spoil_no_figure():
    lost = Ended(
        Trial("ring8", "recipe", "image.mixture", 2, "place"), 0, 0.0, {}, failed="training diverged at step 3"
    )
    whole = ended("recipe", 0, modes=8, high_quality=0.98, reverse_kl=0.01)
    lines = markdown(PROTOCOLS["ring8"], [lost, whole]).splitlines()
    assert "2,500 samples" in lines[2]
    assert "| image.mixture | 2, 1 of 2 diverged | 100 | 8.0 | 8 | 98.0 % | 0.0100 | 0.0100 |" in lines
    assert "| real samples |  |  | 8 |  | 98.9 % | 0.0010 |  |" in lines
    told = as_json(PROTOCOLS["ring8"], [lost, whole])
    assert told["variants"]["recipe"]["runs"][0] == {"seed": 2, "failed": "training diverged at step 3"}
    assert told["floors"]["modes"] == 8.0
    nothing = markdown(PROTOCOLS["ring8"], [lost]).splitlines()
    assert any(line.startswith("| image.mixture | 1, 1 of 1 diverged |  |") for line in nothing)


def test_an_interruption_reaches_this_process_from_another():
    one = pickle.loads(pickle.dumps(Interrupted("stopped at step 3", signal_number=15)))
    assert (type(one), str(one), one.exit_code) == (Interrupted, "stopped at step 3", 143)


def test_a_table_needs_what_counts_modes(tmp_path: Path):
    for setting in ("metrics=[]", "metrics=[image.frechet]"):
        for given in ({"overrides": (setting,)}, {"variants": {"mine": (setting,)}}):
            with pytest.raises(ConfigError, match=r"made of what image\.modes counts"):
                planned(PROTOCOLS["ring8"], seeds=[0], out=tmp_path, **{"variants": {"recipe": ()}, **given})
    more = ("metrics=[image.modes, image.kernel]",)
    assert planned(PROTOCOLS["ring8"], {"recipe": ()}, [0], tmp_path, overrides=more)


def test_the_standard_error_is_that_of_the_mean():
    assert mean_and_error([1.0, 2.0, 3.0]) == (2.0, pytest.approx(1 / 3**0.5))
    assert mean_and_error([4.0]) == (4.0, None)


def test_every_run_has_a_place_of_its_own(tmp_path: Path):
    trials = planned(PROTOCOLS["grid25"], {"recipe": (), "hinge": ("objective=hinge",)}, [0, 1], tmp_path)
    assert len({trial.place for trial in trials}) == 4
    assert trials[1].overrides[0] == "data=image.grid25"
    assert trials[1].overrides[-1] == "objective=hinge"


def test_a_variant_is_named_or_spelt_out():
    assert variant("non_saturating")[1][0] == "objective=non_saturating"
    assert variant("mine:objective=hinge,penalties.r1=null") == ("mine", ("objective=hinge", "penalties.r1=null"))
    with pytest.raises(UsageError, match="no variant `mine`"):
        variant("mine")
    with pytest.raises(UsageError, match="can not name"):
        variant("a/b:objective=hinge")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ring9"], "no test `ring9`"),
        (["--seeds", "1,1"], "twice"),
        (["--seeds", "x"], "are no seeds"),
        (["--steps", "1", "--minutes", "1"], "both --steps and --minutes"),
        (["--variant", "recipe", "--variant", "recipe"], "named twice"),
    ],
)
def test_bad_options_are_told(words, said):
    told = CliRunner().invoke(cover, words)
    assert isinstance(told.exception, UsageError)
    assert said in str(told.exception)


def test_the_command_goes_on_with_the_runs_that_are_there(tmp_path: Path):
    small = ["data.examples=256", "data.held_out=64", "train.eval_samples=64", "preview=4", "train.log_every=1"]
    words = ["ring8", "--steps", "2", "--out", str(tmp_path), *(word for one in small for word in ("--set", one))]
    more = ["--variant", "recipe", "--variant", "hinge:objective=hinge"]
    first = json.loads(CliRunner().invoke(cover, [*words, "--json"], catch_exceptions=False).stdout)
    kept = (tmp_path / "ring8-image.mixture-recipe-0" / "checkpoints" / "2" / "state.json").stat().st_mtime_ns
    both = json.loads(CliRunner().invoke(cover, [*words, *more, "--json"], catch_exceptions=False).stdout)
    assert (tmp_path / "ring8-image.mixture-recipe-0" / "checkpoints" / "2" / "state.json").stat().st_mtime_ns == kept
    assert both["ring8"]["variants"]["recipe"] == first["ring8"]["variants"]["recipe"]
    assert set(both["ring8"]["variants"]) == {"recipe", "hinge"}
    assert both["ring8"]["floors"]["high_quality"] > 0.9
    assert "| image.mixture, hinge | 1 | 2 |" in (tmp_path / "table.md").read_text()


def test_a_seed_that_diverges_leaves_the_table_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = genkit.run

    def run(recipe: str, **options):
        if options["seed"] == 1:
            raise DivergedError("training diverged at step 7: critic not finite")
        return real(recipe, **options)

    monkeypatch.setattr(genkit, "run", run)
    small = ["data.examples=256", "data.held_out=64", "train.eval_samples=64", "preview=4", "train.log_every=1"]
    words = ["ring8", "--steps", "2", "--seeds", "0,1", *(word for one in small for word in ("--set", one))]
    told = CliRunner().invoke(cover, [*words, "--out", str(tmp_path)])
    assert isinstance(told.exception, DivergedError)
    assert "1 of 2 runs diverged" in str(told.exception)
    assert told.exception.exit_code == 4
    assert "seed 1: training diverged at step 7" in told.stderr
    assert "| image.mixture | 2, 1 of 2 diverged | 2 |" in (tmp_path / "table.md").read_text()
