"""What the generator hears: the critic, or one of the two controls; and what it is compared with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from words_parts import LENGTH, ChainGenerator

from genkit.adversarial.estimators import Pathwise, ScoreFunction, Signal
from genkit.adversarial.judging import CriticJudge
from genkit.adversarial.objectives import NonSaturating
from genkit.interfaces import Critic, Draw, GeneratorTurn, Tree, Verdict
from genkit.random import Random

ROWS = 6


class Silent(Critic):
    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        raise AssertionError("the verdict is given")


def turn(generator: Any, draw: Draw, verdict: Verdict, **given: Any) -> GeneratorTurn:
    values: dict[str, Any] = {
        "generator": generator,
        "objective": NonSaturating(),
        "judge": CriticJudge(Silent()),
        "condition": None,
        "draw": draw,
        "real": None,
        "fake_verdict": verdict,
        "real_verdict": None,
        "group": 1,
        "rng": Random(3),
        "report": {},
    }
    return GeneratorTurn(**values | given)


def sentences(generator: ChainGenerator, rows: int = ROWS) -> tuple[Draw, Tensor]:
    labels = torch.arange(rows) % 2
    with torch.no_grad():
        return generator(generator.latent(rows, rng=Random(1)), labels), labels


def score(signal: Signal, logits: list[Tensor], *, seed: int = 3, **options: Any) -> tuple[list[Tensor], Tensor]:
    """The gradients of a score function on six whole sentences, and each sentence's own ∂loss/∂log p [B, L]."""
    generator = ChainGenerator().double()
    draw, labels = sentences(generator)
    seen: list[Tensor] = []
    log_prob = generator.log_prob

    def watched(*arguments: Any) -> Tensor:
        seen.append(log_prob(*arguments))
        seen[0].retain_grad()
        return seen[0]

    generator.log_prob = watched  # type: ignore[method-assign]
    given = turn(generator, draw, Verdict(logits), condition=labels, rng=Random(seed))
    ScoreFunction(signal=signal, **options)(given).backward()
    assert seen[0].grad is not None
    return [parameter.grad.clone() for parameter in generator.parameters() if parameter.grad is not None], seen[0].grad


@pytest.mark.parametrize("shape", [(ROWS, LENGTH), (ROWS, 1)])
def test_a_constant_reward_teaches_nothing_to_sentences_of_one_length(shape: tuple[int, int]) -> None:
    logits = torch.randn(*shape, dtype=torch.float64)
    for baseline in ("position", "group"):
        group = {"group": 2} if baseline == "group" else {}
        generator = ChainGenerator().double()
        draw, labels = sentences(generator)
        given = turn(generator, draw, Verdict([logits]), condition=labels, **group)
        ScoreFunction(signal="constant", baseline=baseline)(given).backward()
        assert all(not parameter.grad.any() for parameter in generator.parameters())
        assert given.report["reward"].item() == pytest.approx(shape[1] / LENGTH)
    gradients, _ = score("critic", [logits])
    assert all(gradient.any() for gradient in gradients)


def test_a_constant_reward_of_sentences_of_many_lengths_still_says_that_longer_is_better() -> None:
    """The one thing that a constant tells, and why a control is compared in length too."""
    generator = ChainGenerator(ends=0).double()
    draw, labels = sentences(generator, 64)
    assert draw.mask is not None
    assert len(set(draw.mask.sum(1).tolist())) > 2
    given = turn(generator, draw, Verdict([torch.zeros(64, LENGTH, dtype=torch.float64)]), condition=labels)
    ScoreFunction(signal="constant")(given).backward()
    bias = generator.head.bias.grad
    assert bias is not None
    assert bias[0] > 0  # descent makes the word that ends a sentence rarer


def test_shuffled_rewards_are_the_same_ones_beside_other_sentences() -> None:
    logits = torch.randn(ROWS, LENGTH, dtype=torch.float64)
    _, heard = score("critic", [logits], baseline="none", gamma=0.0)
    _, shuffled = score("shuffled", [logits], baseline="none", gamma=0.0)
    expected = -logits / (ROWS * LENGTH)  # with γ = 0 a word's weight is its own reward
    torch.testing.assert_close(heard, expected)
    assert not torch.allclose(shuffled, expected)
    order = [next(i for i in range(ROWS) if torch.allclose(expected[i], row)) for row in shuffled]
    assert sorted(order) == list(range(ROWS))


def test_shuffled_rewards_of_all_sub_critics_move_together() -> None:
    tokens = torch.randn(ROWS, LENGTH, dtype=torch.float64)
    whole = torch.randn(ROWS, dtype=torch.float64)
    _, apart = score("shuffled", [tokens], baseline="none", gamma=0.0)
    _, both = score("shuffled", [tokens, whole], baseline="none", gamma=0.0)
    order = [next(i for i in range(ROWS) if torch.allclose(-tokens[i] / (ROWS * LENGTH), row)) for row in apart]
    torch.testing.assert_close((apart - both)[:, -1] * ROWS * LENGTH, whole[order])


def test_the_turns_random_source_decides_the_shuffle() -> None:
    logits = torch.randn(ROWS, LENGTH, dtype=torch.float64)
    one, again, other = (score("shuffled", [logits], seed=seed)[1] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_shuffled_verdict_takes_its_mask_along() -> None:
    logits = torch.arange(ROWS * LENGTH, dtype=torch.float64).view(ROWS, LENGTH) + 1
    mask = torch.arange(LENGTH) <= torch.arange(ROWS)[:, None]
    generator = ChainGenerator().double()
    draw, labels = sentences(generator)
    rewards = {}
    for signal in ("critic", "shuffled"):
        given = turn(generator, draw, Verdict([logits], mask=mask), condition=labels)
        ScoreFunction(signal=signal, baseline="none")(given)
        rewards[signal] = given.report["reward"].item()
    assert rewards["shuffled"] == pytest.approx(rewards["critic"])
    assert rewards["critic"] == pytest.approx(logits[mask].sum().item() / (ROWS * LENGTH))


def pathwise(signal: Signal, seed: int = 3) -> tuple[Tensor, Tensor]:
    """The loss, and ∂loss/∂sample [B, 2], of points whose critic is a steep bowl."""
    made = torch.linspace(-1, 1, 2 * ROWS, dtype=torch.float64).view(ROWS, 2).square().requires_grad_()
    sample = 1.0 * made
    given = turn(None, Draw(sample), Verdict([sample.pow(3).sum(1)]), rng=Random(seed))
    loss = Pathwise(signal=signal)(given)
    loss.backward()
    assert made.grad is not None
    return loss.detach(), made.grad


def test_a_constant_signal_gives_no_gradient_to_samples() -> None:
    loss, gradient = pathwise("constant")
    assert not gradient.any()
    assert pathwise("critic")[1].all()
    assert loss == 0


def test_a_shuffled_signal_gives_each_sample_anothers_gradient() -> None:
    _, heard = pathwise("critic")
    _, shuffled = pathwise("shuffled")
    assert not torch.equal(heard, shuffled)
    assert sorted(heard.tolist()) == sorted(shuffled.tolist())
    assert sorted(heard.norm(dim=1).tolist()) == sorted(shuffled.norm(dim=1).tolist())
    assert torch.equal(shuffled, pathwise("shuffled")[1])
    assert not torch.equal(shuffled, pathwise("shuffled", seed=4)[1])


def test_the_position_baseline_is_the_mean_over_all_devices() -> None:
    """Two halves that add up their sums have the advantages of the whole."""
    generator = ChainGenerator(ends=0).double()
    draw, labels = sentences(generator, 8)
    assert draw.mask is not None
    logits = torch.randn(8, LENGTH, dtype=torch.float64)

    def loss(rows: slice, **given: Any) -> Tensor:
        part = Draw(draw.sample[rows], draw.mask[rows])
        return ScoreFunction()(turn(generator, part, Verdict([logits[rows]]), condition=labels[rows], **given))

    def sums(rows: slice) -> Tensor:
        caught: list[Tensor] = []
        loss(rows, total=lambda tensor: caught.append(tensor) or tensor)
        return caught[0]

    halves = (slice(0, 4), slice(4, 8))
    whole = sum(sums(rows) for rows in halves)
    parts = [loss(rows, total=lambda _: whole) for rows in halves]
    torch.testing.assert_close(sum(parts) / 2, loss(slice(0, 8)))
    assert not torch.isclose(sum(loss(rows) for rows in halves) / 2, loss(slice(0, 8)))
