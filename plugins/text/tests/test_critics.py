from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from genkit import Batch, ConfigError, Critic, Random, UsageError, penalties
from genkit.adversarial.judging import CriticJudge
from genkit_text.models.config import CNNCriticConfig, LSTMCriticConfig, TransformerCriticConfig
from genkit_text.models.convolutional_critic import build_cnn_critic
from genkit_text.models.recurrent_critic import build_lstm_critic
from genkit_text.models.transformer_critic import build_transformer_critic

V, L, P, B = 11, 7, 5, 4
PAD, BOS = 0, 1

CRITICS: dict[str, Callable[[dict[str, Any]], Critic]] = {
    "lstm": lambda facts: build_lstm_critic(LSTMCriticConfig(width=8, layers=2), facts),
    "transformer per token": lambda facts: build_transformer_critic(
        TransformerCriticConfig(width=8, heads=2, layers=2, per_token=True), facts
    ),
    "transformer": lambda facts: build_transformer_critic(TransformerCriticConfig(width=8, heads=2, layers=2), facts),
    "cnn": lambda facts: build_cnn_critic(CNNCriticConfig(width=8, windows=(1, 2, 4), filters=(6, 5, 4)), facts),
}
PER_TOKEN = ("lstm", "transformer per token")


def facts(**more: Any) -> dict[str, Any]:
    return {"modality": "text", "vocabulary": V, "length": L, "bos": BOS, "eos": 2, "pad": PAD, **more}


def made(kind: str, **more: Any) -> Critic:
    torch.manual_seed(5)
    return CRITICS[kind](facts(**more)).double().eval()


def tokens(*, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of 7, 4, 1 and 6 tokens, and their mask."""
    rows = torch.randint(3, V, (B, L), generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(L) < torch.tensor([7, 4, 1, 6])[:, None]
    return torch.where(mask, rows, PAD), mask


def prompts() -> Tensor:
    """Prompts of 5, 3, 1 and 2 tokens."""
    rows = torch.randint(3, V, (B, P), generator=torch.Generator().manual_seed(9))
    rows = torch.where(torch.arange(P) < P - torch.tensor([5, 3, 1, 2])[:, None], PAD, rows)
    rows[:, -1] = BOS
    return rows


def counted(logits: Tensor, mask: Tensor) -> Tensor:
    return logits[mask] if logits.shape == mask.shape else logits


@pytest.mark.parametrize("kind", CRITICS)
def test_there_is_a_logit_a_token_or_a_logit_a_row(kind):
    rows, mask = tokens()
    verdict = made(kind)(rows, None, mask)
    if kind in PER_TOKEN:
        assert verdict.logits[0].shape == (B, L)
        assert verdict.mask is mask
    else:
        assert verdict.logits[0].shape == (B, 1)
        assert verdict.mask is None
    assert verdict.logits[0].std() > 1e-3


@pytest.mark.parametrize("kind", PER_TOKEN)
@pytest.mark.parametrize("prompted", [False, True])
def test_a_token_s_logit_has_read_nothing_after_it(kind, prompted):
    critic = made(kind, prompt_length=P if prompted else 0)
    condition = prompts() if prompted else None
    rows = torch.randint(3, V, (B, L), generator=torch.Generator().manual_seed(0))
    logits = critic(rows, condition).logits[0]
    for place in range(L):
        changed = rows.clone()
        changed[:, place] = (rows[:, place] - 3 + 1) % (V - 3) + 3
        found = critic(changed, condition).logits[0]
        torch.testing.assert_close(found[:, :place], logits[:, :place], rtol=0, atol=1e-12)
        assert ((found[:, place] - logits[:, place]).abs() > 1e-6).all(), "it has read the token itself"
        if place + 1 < L:
            assert ((found[:, place + 1 :] - logits[:, place + 1 :]).abs() > 1e-9).any(), "and those before it"


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("prompted", [False, True])
def test_what_stands_after_the_end_changes_nothing(kind, prompted):
    critic = made(kind, prompt_length=P if prompted else 0)
    condition = prompts() if prompted else None
    rows, mask = tokens()
    noise = torch.where(mask, rows, tokens(seed=3)[0].roll(1, 0) + 1)
    assert not torch.equal(rows, noise)
    one, other = (critic(sample, condition, mask).logits[0] for sample in (rows, noise))
    torch.testing.assert_close(counted(one, mask), counted(other, mask), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CRITICS)
def test_more_padding_before_a_prompt_changes_nothing(kind):
    critic = made(kind, prompt_length=P + 3)
    rows, mask = tokens()
    short = prompts()
    long = torch.cat([torch.full((B, 3), PAD), short], 1)
    one, other = (critic(rows, condition, mask).logits[0] for condition in (short, long))
    torch.testing.assert_close(counted(one, mask), counted(other, mask), rtol=0, atol=1e-7)  # rotations are fp32


@pytest.mark.parametrize("kind", CRITICS)
def test_a_logit_has_read_the_prompt(kind):
    critic = made(kind, prompt_length=P)
    rows, mask = tokens()
    one = prompts()
    other = one.clone()
    other[0, 0] = 3 + (one[0, 0] - 2) % (V - 3)  # the first token of the longest prompt
    changed = (critic(rows, one, mask).logits[0] - critic(rows, other, mask).logits[0]).abs().amax(1)
    assert changed[0] > 1e-9
    assert (changed[1:] < 1e-12).all()


@pytest.mark.parametrize("kind", CRITICS)
def test_a_logit_has_read_the_label(kind):
    critic = made(kind, labels=["a", "b"])
    rows, mask = tokens()
    one, other = (critic(rows, torch.full((B,), label), mask).logits[0] for label in (0, 1))
    assert ((one - other).abs().amax(1) > 1e-6).all()


@pytest.mark.parametrize("kind", CRITICS)
def test_the_wrong_condition_is_refused(kind):
    rows, _ = tokens()
    with pytest.raises(UsageError, match="no condition"):
        made(kind)(rows, torch.zeros(B, dtype=torch.int64))
    with pytest.raises(UsageError, match="prompts"):
        made(kind, prompt_length=P)(rows)
    with pytest.raises(UsageError, match="labels"):
        made(kind, labels=["a", "b"])(rows, prompts())


@pytest.mark.parametrize("kind", CRITICS)
def test_exact_one_hots_are_judged_as_their_tokens(kind):
    critic = made(kind, prompt_length=P)
    rows, mask = tokens()
    soft = torch.nn.functional.one_hot(rows, V).double().requires_grad_()
    verdict = critic(critic.penalty_input(soft), prompts(), mask)
    torch.testing.assert_close(verdict.logits[0], critic(rows, prompts(), mask).logits[0], rtol=0, atol=1e-12)
    counted(verdict.logits[0], mask).sum().backward()
    assert soft.grad is not None
    assert (soft.grad[mask].abs().sum(-1) > 0).all(), "gradients reach every token that counts"
    if kind not in PER_TOKEN:
        assert (soft.grad[~mask] == 0).all()


@pytest.mark.parametrize("kind", CRITICS)
def test_two_rows_do_not_see_each_other(kind):
    critic = made(kind, prompt_length=P)
    rows, mask = tokens()
    whole = critic(rows, prompts(), mask).logits[0]
    torch.testing.assert_close(critic(rows[1:2], prompts()[1:2], mask[1:2]).logits[0], whole[1:2])


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("penalty", [penalties.R1(), penalties.WassersteinGradientPenalty()], ids=["r1", "wgan_gp"])
def test_gradient_penalties_have_the_gradients_of_finite_differences(kind, penalty):
    critic = made(kind, prompt_length=P)
    rows, mask = tokens()
    other = torch.softmax(torch.randn(B, L, V, dtype=torch.float64, generator=torch.Generator().manual_seed(2)), -1)
    real, fake = Batch(rows, prompts(), mask), Batch(other, prompts(), mask.flip(0))

    def value() -> Tensor:
        judge = CriticJudge(critic)
        sides = [judge(side.sample, side.condition, side.mask, gradient=True) for side in (real, fake)]
        found: Tensor = penalty(*sides, judge, Random(0))
        return found

    value().backward()
    for name, parameter in list(critic.named_parameters())[::2]:
        place = int(parameter.detach().abs().flatten().argmax())
        flat = parameter.data.view(-1)
        at, step = flat[place].item(), 1e-6
        flat[place] = at + step
        ahead = value().item()
        flat[place] = at - step
        behind = value().item()
        flat[place] = at
        found = 0.0 if parameter.grad is None else parameter.grad.view(-1)[place].item()
        assert found == pytest.approx((ahead - behind) / (2 * step), rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize("kind", CRITICS)
def test_r1_runs_in_fp32(kind):
    critic = made(kind).float().train()
    rows, mask = tokens()
    judge = CriticJudge(critic)
    judged = judge(rows, None, mask, gradient=True)
    penalties.R1()(judged, judged, judge, Random(0)).backward()
    assert critic.embedding.weight.grad.isfinite().all()
    assert critic.embedding.weight.grad.abs().max() > 0


@pytest.mark.parametrize("kind", CRITICS)
def test_a_critic_plays_on_meta(kind):
    with torch.device("meta"):
        critic = CRITICS[kind](facts(prompt_length=P))
    rows, mask, condition = (one.to("meta") for one in (*tokens(), prompts()))
    judge = CriticJudge(critic)
    sides = [judge(sample, condition, mask, gradient=True) for sample in (rows, torch.empty(B, L, V, device="meta"))]
    loss = sum(penalty(*sides, judge, Random(0, "meta")) for penalty in (penalties.R1(), penalties.R2()))
    (loss + sum(one.verdict.logits[0].sum() for one in sides)).backward()
    assert all(parameter.grad is not None for parameter in critic.parameters())


def test_dropout_is_for_training_only():
    rows, mask = tokens()
    for build, options in (
        (build_lstm_critic, LSTMCriticConfig(width=8, layers=2, dropout=0.5)),
        (build_transformer_critic, TransformerCriticConfig(width=8, heads=2, dropout=0.5)),
        (build_cnn_critic, CNNCriticConfig(width=8, windows=(1, 2), filters=(6, 6), dropout=0.5)),
    ):
        critic = build(options, facts())
        assert not torch.equal(critic(rows, None, mask).logits[0], critic(rows, None, mask).logits[0])
        critic.eval()
        assert torch.equal(critic(rows, None, mask).logits[0], critic(rows, None, mask).logits[0])


def test_seqgan_s_filters_are_the_published_1720():
    with torch.device("meta"):
        critic = build_cnn_critic(CNNCriticConfig(), facts() | {"length": 20, "vocabulary": 5000})
    assert critic.head.in_features == 1720
    assert len(critic.convolutions) == 12


def test_critics_say_what_does_not_fit():
    with pytest.raises(ConfigError, match="window of 20 tokens is longer than the data's rows of 7"):
        build_cnn_critic(CNNCriticConfig(), facts())
    with pytest.raises(ConfigError, match="2 windows and 1"):
        build_cnn_critic(CNNCriticConfig(windows=(1, 2), filters=(3,)), facts())
    with pytest.raises(ConfigError, match="width of 9"):
        build_transformer_critic(TransformerCriticConfig(width=9, heads=3), facts())
