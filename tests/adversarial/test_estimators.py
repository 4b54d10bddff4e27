"""Estimators on a language so small that every draw can be listed: expected gradients are exact, not sampled."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from genkit.adversarial.estimators import Pathwise, ScoreFunction, discounted
from genkit.adversarial.judging import CriticJudge
from genkit.adversarial.objectives import NonSaturating, RelativisticPaired
from genkit.errors import UsageError
from genkit.interfaces import Critic, Draw, Generator, GeneratorTurn, TokenGenerator, Tree, Verdict
from genkit.random import Random

VOCABULARY, LENGTH, END = 3, 3, 0


class Toy(TokenGenerator):
    """Each token depends on the one before; a draw ends with the first END, which counts."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        numbers = torch.Generator().manual_seed(seed)
        logits = torch.randn(LENGTH, VOCABULARY, VOCABULARY, generator=numbers, dtype=torch.float64)
        self.logits = torch.nn.Parameter(logits)

    def latent(self, count: int, *, rng: Random) -> Tensor:
        return rng.uniform(count, LENGTH)

    def forward(self, latent: Tensor, condition: Tree | None = None) -> Draw:
        raise AssertionError("draws are listed, not sampled")

    def log_prob(self, draw: Draw, condition: Tree | None = None) -> Tensor:
        sample = draw.sample
        before = torch.nn.functional.pad(sample[:, :-1], (1, 0))
        table = self.logits.log_softmax(-1)[torch.arange(sample.shape[1]), before]
        return table.gather(2, sample[:, :, None]).squeeze(2)


class Silent(Critic):
    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        raise AssertionError("the verdict is given")


def every_draw() -> Draw:
    """All draws of the toy language, each once, END after its end."""
    kept = []
    for tokens in itertools.product(range(VOCABULARY), repeat=LENGTH):
        length = tokens.index(END) + 1 if END in tokens else LENGTH
        if all(token == END for token in tokens[length:]):
            kept.append((tokens, length))
    mask = torch.arange(LENGTH) < torch.tensor([[length] for _, length in kept])
    return Draw(torch.tensor([tokens for tokens, _ in kept]), mask)


ALL = every_draw()
assert ALL.mask is not None
MASK = ALL.mask
# A token's reward may depend on what came before it, not on what comes after: the returns count later rewards only.
TABLE = torch.randn(LENGTH, VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
TOKEN_LOGITS = TABLE[torch.arange(LENGTH), torch.nn.functional.pad(ALL.sample[:, :-1], (1, 0)), ALL.sample]
ROW_LOGITS = torch.randn(len(MASK), 1, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def probabilities(generator: Toy) -> Tensor:
    return torch.where(MASK, generator.log_prob(ALL), 0.0).sum(1).exp()


def turn(generator: Generator, rows: list[int], logits: list[Tensor], group: int = 1, **given: Any) -> GeneratorTurn:
    draw = Draw(ALL.sample[rows], MASK[rows])
    values: dict[str, Any] = {
        "generator": generator,
        "objective": NonSaturating(),
        "judge": CriticJudge(Silent()),
        "condition": None,
        "draw": draw,
        "real": None,
        "fake_verdict": Verdict([one[rows] for one in logits]),
        "real_verdict": None,
        "group": group,
        "rng": Random(0),
        "report": {},
    }
    return GeneratorTurn(**values | given)


def expected_gradient(estimator: ScoreFunction, generator: Toy, logits: list[Tensor], size: int) -> Tensor:
    """The estimate's gradient, averaged over every batch of `size` draws with its probability."""
    p = probabilities(generator).detach()
    total = torch.zeros((), dtype=torch.float64)
    for rows in itertools.combinations_with_replacement(range(len(MASK)), size):
        orders = len(set(itertools.permutations(rows)))
        group = size if estimator.baseline == "group" else 1
        total = total + orders * p[list(rows)].prod() * estimator(turn(generator, list(rows), logits, group))
    (found,) = torch.autograd.grad(total, generator.logits)
    return found


def exact_gradient(generator: Toy, reward: Tensor) -> Tensor:
    """∇ of -E[Σ_t reward]/L, where `reward` [15, L] may depend on the generator."""
    total = -(probabilities(generator) * torch.where(MASK, reward, 0.0).sum(1)).sum() / LENGTH
    (found,) = torch.autograd.grad(total, generator.logits)
    return found


def placed_last(logits: Tensor) -> Tensor:
    last = MASK.sum(1, keepdim=True) - 1
    return torch.zeros(len(MASK), LENGTH, dtype=torch.float64).scatter(1, last, logits)


@pytest.mark.parametrize(
    ("baseline", "size", "kind"),
    [
        ("none", 1, "tokens"),
        ("none", 1, "rows"),
        ("none", 1, "both"),
        ("position", 1, "both"),
        ("position", 2, "both"),
        ("group", 2, "both"),
    ],
)
def test_expected_gradient_is_exact_with_any_baseline(baseline: Any, size: int, kind: str) -> None:
    generator = Toy()
    logits = {"tokens": [TOKEN_LOGITS], "rows": [ROW_LOGITS], "both": [TOKEN_LOGITS, ROW_LOGITS]}[kind]
    reward = {"tokens": TOKEN_LOGITS, "rows": placed_last(ROW_LOGITS), "both": TOKEN_LOGITS + placed_last(ROW_LOGITS)}
    found = expected_gradient(ScoreFunction(baseline=baseline), generator, logits, size)
    exact = exact_gradient(generator, reward[kind])
    assert exact.abs().max() > 1e-2
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-12)


def test_mean_of_sampled_estimates_is_exact_within_three_errors_and_a_baseline_steadies_it() -> None:
    generator = Toy()
    numbers = torch.Generator().manual_seed(0)
    exact = exact_gradient(generator, TOKEN_LOGITS + 3)
    p = probabilities(generator).detach()
    spread = {}
    for baseline, group in (("none", 1), ("position", 1), ("group", 4)):
        rows = torch.multinomial(p.expand(100, -1), 8, replacement=True, generator=numbers).tolist()
        estimator = ScoreFunction(baseline=baseline)
        losses = [estimator(turn(generator, one, [TOKEN_LOGITS + 3], group)) for one in rows]
        estimates = torch.stack([torch.autograd.grad(loss, generator.logits)[0] for loss in losses])
        apart = (estimates.mean(0) - exact).abs() / (estimates.std(0) / 10).clamp(min=1e-12)
        assert apart[exact != 0].max() < 3
        spread[baseline] = estimates.var(0).sum().item()
    assert max(spread["position"], spread["group"]) < 0.5 * spread["none"]


def test_entropy_bonus_has_the_gradient_of_the_entropy() -> None:
    generator = Toy()
    found = expected_gradient(ScoreFunction(entropy=0.7, baseline="none"), generator, [0 * TOKEN_LOGITS], 1)
    torch.testing.assert_close(found, exact_gradient(generator, -0.7 * generator.log_prob(ALL)), rtol=0, atol=1e-12)
    assert found.abs().max() > 1e-2


def test_divergence_in_the_reward_has_the_gradient_of_the_reverse_divergence() -> None:
    generator, reference = Toy(), Toy(seed=1)
    estimator = ScoreFunction(kl=0.3, kl_form="reward", reference=reference, baseline="position")
    found = expected_gradient(estimator, generator, [0 * TOKEN_LOGITS], 2)
    ratio = generator.log_prob(ALL) - reference.log_prob(ALL)
    torch.testing.assert_close(found, exact_gradient(generator, -0.3 * ratio), rtol=0, atol=1e-12)
    assert found.abs().max() > 1e-2


def test_k3_has_the_value_of_the_reverse_and_the_gradient_of_the_forward_divergence_at_the_prefixes_drawn() -> None:
    generator, reference = Toy(), Toy(seed=1)
    estimator = ScoreFunction(kl=0.3, reference=reference, baseline="none")
    found = expected_gradient(estimator, generator, [0 * TOKEN_LOGITS], 1)

    p, q = generator.logits.log_softmax(-1), reference.logits.log_softmax(-1).detach()
    before = torch.nn.functional.pad(ALL.sample[:, :-1], (1, 0))
    forward = (q.exp() * (q - p)).sum(-1)[torch.arange(LENGTH), before]
    reached = probabilities(generator).detach()
    total = 0.3 * (reached * torch.where(MASK, forward, 0.0).sum(1)).sum() / LENGTH
    torch.testing.assert_close(found, torch.autograd.grad(total, generator.logits)[0], rtol=0, atol=1e-12)

    reverse = (reached * torch.where(MASK, generator.log_prob(ALL) - reference.log_prob(ALL), 0.0).sum(1)).sum()
    values = [estimator(turn(generator, [row], [0 * TOKEN_LOGITS])) for row in range(len(MASK))]
    value = (reached * torch.stack(values)).sum() * LENGTH / 0.3
    torch.testing.assert_close(value, reverse, rtol=0, atol=1e-12)


def test_group_advantages_are_those_of_whole_rewards_whatever_the_lengths() -> None:
    lengths = MASK.sum(1).tolist()
    rows = [lengths.index(1), lengths.index(3), lengths.index(2), lengths.index(3)]
    rewards = torch.zeros(len(MASK), dtype=torch.float64)
    rewards[rows] = torch.tensor([1.0, 4.0, -2.0, 4.0], dtype=torch.float64)
    generator = Toy()
    given = turn(generator, rows, [rewards], group=2)
    loss = ScoreFunction(baseline="group")(given)
    log_prob = torch.where(MASK[rows], generator.log_prob(Draw(ALL.sample[rows])), 0.0).sum(1)
    advantage = torch.tensor([1.0 - 4, 4.0 - 1, -2.0 - 4, 4.0 + 2], dtype=torch.float64)
    torch.testing.assert_close(loss, -(advantage * log_prob).mean() / LENGTH)

    standardised = ScoreFunction(baseline="group", standardise=True)(given)
    deviation = torch.tensor([3 / 2**0.5, 3 / 2**0.5, 6 / 2**0.5, 6 / 2**0.5], dtype=torch.float64) + 1e-4
    torch.testing.assert_close(standardised, -(advantage / deviation * log_prob).mean() / LENGTH)


def test_reward_is_clamped_discounted_and_masked() -> None:
    generator = Toy()
    row = MASK.sum(1).tolist().index(2)
    logits = torch.tensor([[5.0, -7.0, 100.0]], dtype=torch.float64).expand(len(MASK), 3)
    given = turn(generator, [row], [logits])
    loss = ScoreFunction(baseline="none", clamp=3.0, gamma=0.5)(given)
    log_prob = generator.log_prob(Draw(ALL.sample[[row]]))[0]
    torch.testing.assert_close(loss, -((3 - 0.5 * 3) * log_prob[0] + -3 * log_prob[1]) / 3)
    assert given.report["reward"].item() == 0
    assert given.report["entropy"].item() == pytest.approx(-log_prob[:2].mean().item())
    assert given.report["advantage_std"].item() == pytest.approx(2.25)
    by_row = ScoreFunction(baseline="none", clamp=3.0, gamma=0.5, per_row=True)(given)
    torch.testing.assert_close(by_row, loss * 3 / 2)


def test_verdict_mask_takes_tokens_out_of_the_reward() -> None:
    generator = Toy()
    full = MASK.all(1).nonzero()[0].item()
    verdict = Verdict([TOKEN_LOGITS[[full]]], mask=torch.tensor([[True, False, True]]))
    given = turn(generator, [int(full)], [TOKEN_LOGITS], fake_verdict=verdict)
    ScoreFunction(baseline="none")(given)
    assert given.report["reward"].item() == pytest.approx(TOKEN_LOGITS[full, [0, 2]].sum().item() / 3)


def test_returns_are_discounted_sums_of_what_follows() -> None:
    reward = torch.randn(2, 13, dtype=torch.float64)
    for gamma in (0.0, 0.5, 1.0):
        expected = torch.zeros_like(reward)
        for t in range(13):
            expected[:, t] = sum(gamma ** (k - t) * reward[:, k] for k in range(t, 13))
        torch.testing.assert_close(discounted(reward, gamma), expected)


def test_equal_parts_of_a_batch_average_to_the_batch_where_the_baseline_allows() -> None:
    generator, reference = Toy(), Toy(1)
    rows = [0, 3, 7, 8, 14, 2, 2, 9]
    for estimator, group in (
        (ScoreFunction(baseline="none", entropy=0.1, kl=0.2, reference=reference, gamma=0.9), 1),
        (ScoreFunction(baseline="group", entropy=0.1, clamp=1.0, per_row=True), 2),
    ):
        parts = [estimator(turn(generator, part, [TOKEN_LOGITS], group)) for part in (rows[:4], rows[4:])]
        torch.testing.assert_close(sum(parts) / 2, estimator(turn(generator, rows, [TOKEN_LOGITS], group)))


def test_reference_is_a_frozen_copy_from_the_adversarys_start() -> None:
    generator, reference = Toy(0), Toy(1)
    estimator = ScoreFunction(kl=0.1, reference=reference)
    estimator.begin(generator)
    estimator.train()
    assert torch.equal(reference.logits, generator.logits)
    assert reference.logits.data_ptr() != generator.logits.data_ptr()
    assert not reference.training
    given = turn(generator, [3, 4], [TOKEN_LOGITS])
    estimator(given).backward()
    assert given.report["kl"].item() == 0
    assert reference.logits.grad is None
    assert not any(parameter.requires_grad for parameter in estimator.parameters())
    assert "reference.logits" in estimator.state_dict()


def test_score_function_refuses_what_it_can_not_estimate() -> None:
    class Blind(Generator):
        def latent(self, count: int, *, rng: Random) -> Tensor:
            return rng.normal(count)

        def forward(self, latent: Tensor, condition: Tree | None = None) -> Draw:
            return Draw(latent)

    with pytest.raises(UsageError, match="Blind is no TokenGenerator"):
        ScoreFunction()(turn(Blind(), [0], [TOKEN_LOGITS]))
    with pytest.raises(UsageError, match=r"logits \[2, 3\] or one a row, not \[2, 2\]"):
        ScoreFunction()(turn(Toy(), [0, 1], [TOKEN_LOGITS[:, :2]]))
    with pytest.raises(UsageError, match="samples_per_condition"):
        ScoreFunction(baseline="group")(turn(Toy(), [0, 1], [TOKEN_LOGITS]))
    with pytest.raises(UsageError, match="not judged"):
        ScoreFunction()(turn(Toy(), [0], [TOKEN_LOGITS], fake_verdict=None))
    with pytest.raises(UsageError, match="both `kl` and `reference`"):
        ScoreFunction(kl=0.1)
    with pytest.raises(UsageError, match="standardise"):
        ScoreFunction(standardise=True)


def test_pathwise_is_the_objectives_loss_and_shows_reals_only_to_who_needs_them() -> None:
    fake = Verdict([torch.tensor([0.5, -3.0], requires_grad=True)])
    real = Verdict([torch.tensor([2.0, -1.0])])
    for objective in (NonSaturating(), RelativisticPaired()):
        given = turn(Toy(), [0], [], objective=objective, fake_verdict=fake, real_verdict=real)
        assert torch.equal(Pathwise()(given), objective.generator_loss(real, fake))
    assert Pathwise().pathwise
    assert not ScoreFunction().pathwise
    with pytest.raises(UsageError, match="not judged"):
        Pathwise()(turn(Toy(), [0], [TOKEN_LOGITS], fake_verdict=None))
