"""SeqGAN's rewards."""

from __future__ import annotations

import pytest
import torch

import genkit
from genkit import ConfigError, GeneratorTurn, Judged, Random, Verdict
from genkit_text.models.config import LSTMConfig
from genkit_text.models.lstm import build_lstm
from genkit_text.rollouts import RollOuts

FACTS = {"modality": "text", "vocabulary": 3, "length": 3, "bos": 0, "eos": None, "pad": 0}


def generator(seed: int = 0) -> genkit.Generator:
    torch.manual_seed(seed)
    made = build_lstm(LSTMConfig(width=8), FACTS)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2)
    return made


def liking(tokens, condition=None, mask=None, *, gradient=False) -> Judged:
    """A critic whose logit is the number of ones, less one."""
    return Judged(tokens, Verdict([(tokens == 1).sum(1, keepdim=True).float() - 1]))


def turn(of: genkit.Generator, draw: genkit.Draw, seed: int = 0) -> GeneratorTurn:
    return GeneratorTurn(
        generator=of, objective=None, judge=liking, condition=None, draw=draw, real=None, fake_verdict=None,
        real_verdict=None, group=1, rng=Random(seed), report={},
    )  # fmt: skip


def test_rewards_are_the_expected_verdicts_on_completions():
    """Against the exact expectation over all completions, within four standard errors of 4,000 roll-outs."""
    of = generator()
    estimator = RollOuts(generator(), rolls=4_000)
    estimator.begin(of)
    tokens = torch.tensor([[1, 0, 2], [2, 1, 1]])
    found = estimator.rewards(turn(of, genkit.Draw(tokens)), tokens)
    every = torch.cartesian_prod(*[torch.arange(3)] * 3)
    with torch.no_grad():
        chance = of.log_prob(genkit.Draw(every)).sum(1).exp()
    score = liking(every).verdict.logits[0].squeeze(1).sigmoid()
    for row, sample in enumerate(tokens):
        for given in (1, 2):
            same = (every[:, :given] == sample[:given]).all(1)
            weight = chance[same] / chance[same].sum()
            mean = (weight * score[same]).sum()
            error = ((weight * (score[same] - mean) ** 2).sum() / 4_000).sqrt()
            assert abs(found[row, given - 1] - mean) <= 4 * error + 1e-6
    torch.testing.assert_close(found[:, 2], liking(tokens).verdict.logits[0].squeeze(1).sigmoid())


def test_ascending_the_estimate_raises_the_reward():
    of = generator()
    estimator = RollOuts(generator(), rolls=4)
    estimator.begin(of)
    optimizer = torch.optim.Adam(of.parameters(), 0.02)
    means = []
    for step in range(60):
        draw = of(of.latent(64, rng=Random(step)))
        now = turn(of, draw, step)
        loss = estimator(now)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        means.append(float(now.report["reward"]))
    assert sum(means[-10:]) > sum(means[:10]) + 1


def test_the_policy_follows_the_generator_at_its_pace():
    of, policy = generator(0), generator(1)
    estimator = RollOuts(policy, rolls=1, follow=0.75)
    before = [parameter.clone() for parameter in policy.parameters()]
    estimator(turn(of, of(of.latent(2, rng=Random(0)))))
    for old, new, target in zip(before, policy.parameters(), of.parameters(), strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * target)


def test_a_micro_batch_would_meet_a_policy_that_has_moved_and_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="RollOuts needs the whole batch") as caught:
        genkit.run(
            "text.seqgan", steps=1, device="cpu", out=tmp_path / "run",
            overrides=["data.vocabulary=20", "data.examples=16", "data.held_out=4", "train.batch_size=4",
                       "train.micro_batches=2"],
        )  # fmt: skip
    assert caught.value.where == "train.micro_batches"


def test_a_constant_reward_is_one_and_a_shuffled_one_another_row_s():
    of = generator()
    draw = of(of.latent(16, rng=Random(0)))
    constant = RollOuts(generator(), signal="constant").rewards(turn(of, draw), draw.sample)
    assert torch.equal(constant, torch.ones(16, 3))
    own = RollOuts(generator(), rolls=1).rewards(turn(of, draw, 7), draw.sample)
    shuffled = RollOuts(generator(), rolls=1, signal="shuffled").rewards(turn(of, draw, 7), draw.sample)
    assert not torch.equal(own, shuffled)
    assert sorted(map(tuple, own.tolist())) == sorted(map(tuple, shuffled.tolist()))
