"""What the recipes of text build, and what their settings change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import genkit
from genkit import CheckpointError, ConfigError, Trainer
from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.specs import resolve
from genkit.training.phases import iterate


def built(name: str, **more: Any) -> tuple[genkit.RecipeConfig, genkit.Experiment]:
    """A recipe at its smallest."""
    spec = catalog().recipe(name)
    config = resolve_config(spec, values={**spec.smoke, **more})
    torch.manual_seed(0)
    return config, resolve(spec.build)(config)


def trained(name: str, steps: int, **more: Any) -> tuple[torch.Tensor, dict[str, float]]:
    """The generator's weights and the last step's figures."""
    config, experiment = built(name, **more)
    trainer = Trainer(experiment, config.train, ema=config.ema, device="cpu", seed=1)
    for step in range(steps):
        figures = iterate(trainer.team, step)
    weights = torch.cat([parameter.detach().flatten() for parameter in experiment.generator.parameters()])
    return weights, {name: float(value) for name, value in figures.values.items()}


@pytest.mark.parametrize("name", ["text.sentences", "text.gumbel", "text.reply", "text.seqgan"])
def test_the_likelihood_control_is_likelihood_alone(name):
    """Whatever the critic is, and however the adversary is set, the generator's path is that of the likelihood."""
    start = {"train.adversarial_start": 1, "train.critic_start": None}
    first, figures = trained(name, 4, control="likelihood", **start)
    again, _ = trained(name, 4, control="likelihood", **start, **{"optim.critic.lr": 0.1})
    other, _ = trained(name, 4, **start)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert figures["loss/generator"] == 0
    assert figures["term/likelihood"] > 0


def test_the_anchor_weighs_the_likelihood_once_the_adversary_plays():
    silent = {"control": "constant", "data.length": 12, "reward.baseline": "none", "reward.clamp": 1.0}
    alone = {**silent, "train.adversarial_start": 5}
    _, before = trained("text.sentences", 1, likelihood=0.25, **alone)
    _, whole = trained("text.sentences", 1, likelihood=1.0, **alone)
    _, full = trained("text.sentences", 1, likelihood=1.0, **silent, **{"train.adversarial_start": 0})
    _, quarter = trained("text.sentences", 1, likelihood=0.25, **silent, **{"train.adversarial_start": 0})
    assert quarter["term/likelihood"] == pytest.approx(0.25 * full["term/likelihood"], rel=1e-5)
    assert before["term/likelihood"] == pytest.approx(whole["term/likelihood"], rel=1e-6)


@pytest.mark.parametrize("control", ["constant", "shuffled"])
@pytest.mark.parametrize("name", ["text.sentences", "text.gumbel", "text.reply", "text.seqgan"])
def test_a_control_does_not_hear_the_critic_as_the_recipe_does(name, control):
    start = {"train.adversarial_start": 0, "train.critic_start": None, "likelihood": 0.0}
    heard, _ = trained(name, 2, **start)
    deaf, _ = trained(name, 2, control=control, **start)
    assert not torch.equal(heard, deaf)


def test_a_constant_reward_less_its_baseline_teaches_nothing_where_rows_are_of_one_length():
    """Every return at a position is then the same; tests of longer runs are in tests/benchmarks/text_oracle.py."""
    small = {"data.examples": 64, "data.held_out": 64, "model.generator.width": 8, "model.critic.width": 8}
    spec = catalog().recipe("text.sentences")
    config = resolve_config(spec, values={"preset": "oracle", "control": "constant", **small})
    torch.manual_seed(0)
    experiment = resolve(spec.build)(config)
    before = [parameter.detach().clone() for parameter in experiment.generator.parameters()]
    trainer = Trainer(experiment, config.train, ema=config.ema, device="cpu", seed=1)
    for step in range(3):
        iterate(trainer.team, step)
    for old, new in zip(before, experiment.generator.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-4)


def test_gumbel_refuses_a_generator_of_tokens():
    with pytest.raises(ConfigError, match="needs a generator of relaxed one-hots"):
        built("text.gumbel", **{"model.generator.relaxation": "none"})


def test_the_model_s_own_tokenizer_needs_a_model():
    with pytest.raises(ConfigError, match=r"text.transformer has no tokenizer of its own"):
        built("text.reply", **{"data.tokenizer": "model", "data.vocabulary": None})


def test_the_last_part_of_a_warm_up_teaches_the_critic_too():
    config, experiment = built("text.reply", **{"train.adversarial_start": 4, "train.critic_start": 2})
    trainer = Trainer(experiment, config.train, ema=config.ema, device="cpu", seed=1)
    moved = []
    for step in range(3):
        before = [parameter.detach().clone() for parameter in experiment.critic.parameters()]
        figures = iterate(trainer.team, step)
        moved.append(any(not torch.equal(a, b) for a, b in zip(before, experiment.critic.parameters(), strict=True)))
        assert "loss/generator" not in figures.values
    assert moved == [False, False, True]


def test_the_divergence_is_from_the_warm_up_model():
    config, experiment = built(
        "text.reply", **{"train.adversarial_start": 2, "reward.kl": 0.1, "optim.generator.lr": 1e-2}
    )
    trainer = Trainer(experiment, config.train, ema=config.ema, device="cpu", seed=1)
    for step in range(2):
        iterate(trainer.team, step)
    experiment.estimator.begin(experiment.generator)
    assert float(iterate(trainer.team, 2).values["kl"]) == pytest.approx(0, abs=1e-6)
    assert float(iterate(trainer.team, 3).values["kl"]) > 0


def test_a_run_with_a_pretrained_model_needs_only_its_own_directory(tmp_path: Path):
    """The model's folder may be gone: samples, export and tokenizer come from the run."""
    transformers = pytest.importorskip("transformers")
    from genkit_text.data.config import EmailsConfig
    from genkit_text.data.emails import make_emails
    from genkit_text.export import tokenizer_of
    from genkit_text.tokenization import train_tokenizer

    tokenizer = train_tokenizer("bpe", [email.message for email in make_emails(50, 0)], 320)
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=128, vocab_size=tokenizer.vocabulary)
    )
    assert EmailsConfig().size > 50
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    tokenizer_of(tokenizer, prompts=False).save_pretrained(folder)
    values = {
        "data": {"name": "text.emails", "size": 60, "length": 12, "prompt_length": 64, "tokenizer": "model"},
        "model.generator": {"name": "text.causal_lm", "path": str(folder)},
        "model.critic": {"name": "text.transformer_critic", "width": 16, "heads": 2, "layers": 1},
        "train": {"batch_size": 8, "adversarial_start": 1, "critic_start": None, "eval_samples": 8},
        "metrics": [],
    }
    result = genkit.run("text.reply", steps=2, out=tmp_path / "run", values=values, device="cpu")
    shutil.rmtree(folder)
    sampler = genkit.load(result.run, device="cpu")
    lines = sampler.writer.lines(sampler.sample(2, condition={"prompt": "Hi Ben!\nMeeting on Friday?"}))
    assert [line["prompt"] for line in lines] == ["Hi Ben!\nMeeting on Friday?"] * 2
    genkit.export(result.run, "hf", out=tmp_path / "exported")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    assert again.config.n_embd == 16


def test_a_run_whose_file_was_changed_does_not_go_on_with_another_tokenizer(tmp_path):
    file, out = tmp_path / "lines.txt", tmp_path / "run"
    file.write_text("".join(f"line {i} of the file\n" for i in range(64)), encoding="utf-8")
    values = {
        **catalog().recipe("text.sentences").smoke,
        "data": {"name": "text.lines", "path": str(file), "length": 16},
    }
    genkit.run("text.sentences", steps=1, device="cpu", out=out, values=values, report=False)
    file.write_text("".join(f"Satz {i} der Datei\n" for i in range(64)), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"belongs to other data.*tokenizer\.json is another") as refused:
        genkit.resume(out, steps=2, device="cpu", report=False)
    assert len(str(refused.value)) < 1000
