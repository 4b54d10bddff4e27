"""What `audio.vocoder` and `audio.hifigan` promise beyond what every recipe does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import genkit
from genkit import CheckpointError, ConfigError, value_at
from genkit.catalog import build_part, catalog
from genkit.config import resolve_config
from genkit.specs import resolve
from genkit.training.phases import iterate
from genkit_audio import fine_tuning
from genkit_audio.melspec import PRESETS
from genkit_audio.models import combined
from genkit_audio.models.config import CombinedConfig, MultiBandConfig, MultiPeriodConfig, Shares
from genkit_audio.models.vocos import Vocos

SMALL = {
    "data.length": 2048,
    "data.held_out_length": 4096,
    "data.limit": 6,
    "model.generator": {"name": "audio.vocos", "width": 8, "hidden": 8, "layers": 1},
    "model.critic": {
        "name": "audio.combined",
        "multi_period": {"periods": [3], "width": 1},
        "multi_band": None,
        "frames": {"ffts": [64], "width": 4},
    },
    "train.batch_size": 2,
    "train.eval_samples": 2,
    "preview": 2,
    "metrics": [],
}
FACTS = {"modality": "audio", "rate": 24000, "length": 1024, "labels": None, "mel": None}
OTHERS = {
    "audio.hifigan": {"width": 8, "rates": [16, 16], "kernels": [32, 32], "block_kernels": [3]},
    "audio.istftnet": {"width": 8, "rates": [8, 8], "block_kernels": [3]},
    "audio.bigvgan": {"width": 8, "rates": [16, 16], "kernels": [32, 32], "block_kernels": [3]},
}


def settings(recipe: str, **values: Any) -> genkit.RecipeConfig:
    return resolve_config(catalog().recipe(recipe), values=values)


def experiment(recipe: str, **values: Any) -> tuple[genkit.RecipeConfig, genkit.Experiment]:
    config = settings(recipe, **values)
    torch.manual_seed(0)
    found: genkit.Experiment = resolve(catalog().recipe(recipe).build)(config)
    return config, found


def built(role: str, part: genkit.Part, mel: str) -> torch.nn.Module:
    from genkit_audio.melspec import PRESETS

    with torch.device("meta"):
        return build_part(role, part, {**FACTS, "length": 16384, "mel": PRESETS[mel].to_facts()})


def millions(network: torch.nn.Module) -> float:
    """Parameters, weight norm's gains left out, as published figures have them."""
    return round(sum(p.numel() for name, p in network.named_parameters() if "original0" not in name) / 1e6, 2)


# --- as published ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("preset", "mel"), [("24k", "vocos-24k"), ("22k", "hifigan-22k")])
def test_vocos_is_trained_as_its_author_does(preset, mel):
    config = settings("audio.vocoder", preset=preset, **{"data.path": "speech"})
    assert (config.train.batch_size, config.data.options["length"], config.train.steps) == (16, 16_384, 1_000_000)
    assert config.train.adversarial_start == 0
    assert config.data.options["mel"] == mel
    assert tuple(config.data.options["gain_db"]) == (-6.0, -1.0)
    for net in (config.optim.generator, config.optim.critic):
        assert (net.name, tuple(net.betas), net.weight_decay) == ("adamw", (0.8, 0.9), 0.01)
        assert [value_at(net.lr, at * 16) for at in (0, 500_000, 1_000_000)] == pytest.approx([5e-4, 2.5e-4, 0.0])
    assert (config.losses.mel, config.losses.feature_matching, config.losses.multi_scale_mel) == (45.0, 1.0, 0.0)
    assert config.objective.options["clamp_generator"] is True
    assert config.ema.half_life is None
    critic = built("critic", config.model.critic, mel)
    assert millions(critic) == pytest.approx(41.1 + 1.4, abs=0.05)
    if preset == "24k":
        assert millions(built("generator", config.model.generator, mel)) == 13.53


def test_each_kind_of_critic_counts_as_its_mean_and_bands_a_tenth():
    config = CombinedConfig(
        multi_period=MultiPeriodConfig(width=1), multi_band=MultiBandConfig(ffts=(128, 64, 32), bands=(0.5,), width=2)
    )
    wave = 0.1 * torch.randn(1, 256)
    assert combined.build_combined(config, FACTS)(wave).weights.tolist() == pytest.approx([0.2] * 5 + [0.1 / 3] * 3)
    alike = combined.build_combined(CombinedConfig(multi_period=MultiPeriodConfig(width=1), shares=None), FACTS)
    assert alike.weights is None
    own = CombinedConfig(multi_period=MultiPeriodConfig(width=1), multi_band=None, shares=Shares(multi_period=2.0))
    assert combined.build_combined(own, FACTS)(wave).weights.tolist() == pytest.approx([0.4] * 5)


def test_first_maps_are_left_out_of_every_layer_stack_and_nothing_else_changes():
    def verdict(**options: Any) -> genkit.Verdict:
        torch.manual_seed(0)
        config = CombinedConfig(
            multi_period=MultiPeriodConfig(periods=(2,), width=1),
            multi_band=MultiBandConfig(ffts=(128,), bands=(0.5,), width=2),
            **options,
        )
        return combined.build_combined(config, FACTS)(0.1 * torch.randn(1, 512))

    whole, less = verdict(), verdict(first_maps=False)
    assert [len(maps) for maps in whole.features] == [6, 11]
    assert [len(maps) for maps in less.features] == [5, 9]
    for one, other in zip(whole.logits, less.logits, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("variant", "size"), [("v1", 13.92), ("v2", 0.92), ("v3", 1.46)])
def test_hifigan_is_trained_as_its_authors_do(variant, size):
    config = settings("audio.hifigan", preset=variant, **{"data.path": "speech"})
    assert (config.train.batch_size, config.data.options["length"], config.train.steps) == (16, 8192, 2_500_000)
    assert config.data.options["level_db"] == pytest.approx(-0.4455, abs=1e-4)  # a peak of 0.95
    for net in (config.optim.generator, config.optim.critic):
        assert (net.name, tuple(net.betas)) == ("adamw", (0.8, 0.99))
        rates = [value_at(net.lr, epochs * 12_950) for epochs in (0, 1, 1000)]
        assert rates == pytest.approx([2e-4, 2e-4 * 0.999, 2e-4 * 0.999**1000], rel=1e-9)
    assert config.objective == genkit.Part("least_squares", **{**config.objective.options, "scale": 1.0})
    assert (config.losses.mel, config.losses.feature_matching, config.losses.full_band) == (45.0, 2.0, True)
    assert millions(built("generator", config.model.generator, "hifigan-22k")) == pytest.approx(size, abs=0.02)
    critic = built("critic", config.model.critic, "hifigan-22k")
    assert millions(critic) == pytest.approx(41.1 + 29.6, abs=0.1)
    assert critic.weights is None


TINY_HIFIGAN = {
    **{key: value for key, value in SMALL.items() if not key.startswith("model")},
    "model.generator.width": 16,
    "model.generator.block_kernels": [3],
    "model.generator.block_dilations": [[1]],
    "model.critic": {"name": "audio.combined", "multi_period": {"periods": [3], "width": 1}, "multi_band": None},
}


def test_hifigan_s_loss_hears_above_its_mel():
    _, made = experiment("audio.hifigan", **TINY_HIFIGAN)
    spec = made.terms[0].mel.spec
    assert (made.generator.mel.top_hz, spec.top_hz) == (8000.0, 11025.0)
    assert [term.name for term in made.terms] == ["mel_l1", "feature_matching"]
    assert [term.weight for term in made.terms] == [45.0, 2.0]


# --- training --------------------------------------------------------------------------------------------------------


def test_the_critic_rests_while_the_mel_is_learnt():
    config, made = experiment("audio.vocoder", **SMALL, **{"train.adversarial_start": 1})
    before = [one.detach().clone() for one in made.critic.parameters()]
    team = genkit.Trainer(made, config.train, ema=config.ema, device="cpu").team
    first = iterate(team, 0).values
    assert not any(name.startswith(("loss/critic", "term/feature")) for name in first)
    assert all(torch.equal(a, b) for a, b in zip(before, made.critic.parameters(), strict=True))
    second = iterate(team, 1).values
    assert {"loss/critic", "loss/generator", "term/feature_matching", "term/mel_l1"} <= set(second)
    assert any(not torch.equal(a, b) for a, b in zip(before, made.critic.parameters(), strict=True))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("critic", ["audio.multi_resolution", "audio.multi_scale"])
def test_players_can_be_exchanged_by_name(name, critic):
    dilations = {"block_dilations": [[1]]}
    sizes = (
        {"width": 4} if critic == "audio.multi_scale" else {"width": 2, "ffts": [256], "hops": [64], "windows": [256]}
    )
    values = {
        **SMALL,
        "model.generator": {"name": name, **OTHERS[name], **dilations},
        "model.critic": {"name": critic, **sizes},
        "train.adversarial_start": 0,
    }
    config, made = experiment("audio.vocoder", **values)
    figures = iterate(genkit.Trainer(made, config.train, ema=config.ema, device="cpu").team, 0).values
    assert all(value.isfinite() for value in figures.values())
    assert "loss/critic" in figures


def test_a_held_out_example_is_longer_than_one_to_learn_from():
    _, made = experiment("audio.vocoder", **SMALL)
    shapes = [data.read(0)["wave"].shape[-1] for data in (made.data, made.data.held_out())]
    assert shapes == [2 * 2048, 4096]  # windows twice the example's, of which a part is cut; and whole ones


# --- from other weights ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vocoder") / "run"
    values = {**SMALL, "train.adversarial_start": 0, "train.preview_every": 100}
    return genkit.run("audio.vocoder", steps=1, out=out, values=values, device="cpu").run


def test_a_run_goes_on_from_another_one_s_average_and_critic(run):
    _, made = experiment("audio.vocoder", **SMALL, init=str(run))
    kept = run / "checkpoints" / "1"
    average = load_file(kept / "generator_ema.safetensors")
    assert all(torch.equal(leaf, average[name]) for name, leaf in made.generator.state_dict().items())
    critic = load_file(kept / "critic.safetensors")
    assert all(torch.equal(leaf, critic[name]) for name, leaf in made.critic.state_dict().items())


def test_a_run_with_another_critic_gives_its_generator_alone(run, capsys):
    fresh = experiment("audio.vocoder", **SMALL, **{"model.critic.frames.width": 6})[1].critic.state_dict()
    _, made = experiment("audio.vocoder", **SMALL, **{"model.critic.frames.width": 6}, init=str(run))
    assert all(torch.equal(leaf, fresh[name]) for name, leaf in made.critic.state_dict().items())
    assert "critic starts anew" in capsys.readouterr().err


def test_a_run_of_another_mel_is_refused_with_both_values(run):
    values = {**SMALL, "data.mel": {"preset": "small-16k", "high_hz": 7000.0}}
    with pytest.raises(ConfigError, match=r"high_hz: 7000.0 here, 8000.0 there") as raised:
        experiment("audio.vocoder", **values, init=str(run))
    assert raised.value.where == "init"


def test_a_run_of_another_net_is_refused(run):
    values = {**SMALL, "model.generator": {"name": "audio.vocos", "width": 16, "hidden": 8, "layers": 1}}
    with pytest.raises(CheckpointError, match="embed"):
        experiment("audio.vocoder", **values, init=str(run))


def test_nothing_at_init_is_said():
    with pytest.raises(ConfigError, match="neither a run directory nor a file"):
        experiment("audio.vocoder", **SMALL, init="nowhere")


def test_published_weights_are_a_start_and_the_mel_beside_them_is_compared(tmp_path):
    _, made = experiment("audio.vocoder", **SMALL)
    assert isinstance(made.generator, Vocos)
    names = {
        "embed.": "backbone.embed.", "norm.": "backbone.norm.", "blocks.0.mix.": "backbone.convnext.0.dwconv.",
        "blocks.0.norm.": "backbone.convnext.0.norm.", "blocks.0.widen.": "backbone.convnext.0.pwconv1.",
        "blocks.0.narrow.": "backbone.convnext.0.pwconv2.", "blocks.0.scale": "backbone.convnext.0.gamma",
        "last_norm.": "backbone.final_layer_norm.", "head.out.": "head.out.",
    }  # fmt: skip
    weights = {}
    for name, leaf in made.generator.state_dict().items():
        ours, theirs = next(pair for pair in names.items() if name.startswith(pair[0]))
        weights[theirs + name.removeprefix(ours)] = torch.randn_like(leaf)
    file = tmp_path / "vocos.safetensors"
    save_file(weights, file)
    _, started = experiment("audio.vocoder", **SMALL, init=str(file))
    assert torch.equal(started.generator.embed.weight, weights["backbone.embed.weight"])
    (tmp_path / "config.json").write_text(json.dumps({"sampling_rate": 16000, "hop_size": 200, "num_mels": 80}))
    with pytest.raises(ConfigError, match="hop: 256 here, 200 there"):
        experiment("audio.vocoder", **SMALL, init=str(file))


@pytest.mark.parametrize(
    ("said", "mel", "problems"),
    [
        ({"fmax": 12000}, {"high_hz": None}, []),
        ({"fmax": None}, {"high_hz": 12000.0}, []),
        ({"fmax": None}, {"high_hz": 8000.0}, ["high_hz: 8000.0 here, 12000.0 there"]),
        ({"fmax": 8000}, {"high_hz": None}, ["high_hz: 12000.0 here, 8000 there"]),
        ({"fmax": None}, {"norm": None, "scale": "htk", "floor": 1e-7, "centre": True}, [
            "norm: None here, slaney there", "scale: htk here, slaney there", "floor: 1e-07 here, 1e-05 there",
            "centre: True here, False there"]),
        ({"fmax": 12000}, {"power": 2, "log": "log10"}, ["power: 2 here, 1 there", "log: log10 here, ln there"]),
    ],
)  # fmt: skip
def test_a_config_beside_weights_says_and_implies_its_mel(tmp_path, said, mel, problems):
    family = {"sampling_rate": 24000, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "num_mels": 80, "fmin": 0}
    (tmp_path / "config.json").write_text(json.dumps({**family, **said}))
    spec = replace(PRESETS["hifigan-22k"], rate=24000, **{"high_hz": None, **mel})
    try:
        fine_tuning._check_config(tmp_path / "weights.pt", spec)
        found = []
    except ConfigError as error:
        found = list(error.problems)
    assert found == problems


def test_a_config_of_another_family_implies_no_conventions(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"sampling_rate": 24000, "model_in_dim": 100}))
    fine_tuning._check_config(tmp_path / "weights.pt", PRESETS["vocos-24k"])
