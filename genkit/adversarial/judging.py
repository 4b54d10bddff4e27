"""How a critic is looked at: one forward for the verdict and, when asked for, the gradient with respect to its input.

The gradient is that of the sum of all logits: over rows, so that row i's gradient is that of row i alone wherever the
critic is not batch-coupled, over patches, time steps and tokens that count, and over sub-critics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map

from genkit.adversarial.settings import Reduce
from genkit.errors import UsageError
from genkit.interfaces import Augment, Batch, Critic, Judge, Judged, Tree, Verdict
from genkit.random import Random

Flat: TypeAlias = tuple[list[Tensor], list[list[Tensor]], dict[str, Tensor]]
"""A verdict as a tree of tensors: logits, features, and those of mask and weights that it has."""
Look: TypeAlias = Callable[
    [Critic, Augment | None, Tree, Tree | None, Tensor | None, Tree | None, bool], tuple[Flat, Tensor | None]
]
"""The signature of `look`, which the trainer may hand to ``torch.compile``."""


# --- one look --------------------------------------------------------------------------------------------------------


def look(
    critic: Critic,
    augment: Augment | None,
    input: Tree,
    condition: Tree | None,
    mask: Tensor | None,
    parameters: Tree | None,
    gradient: bool,
) -> tuple[Flat, Tensor | None]:
    """The verdict on `input` and, if `gradient`, ∇_input Σ logits with a graph: what ``torch.compile`` takes whole.

    Eager code differentiates by ``torch.autograd.grad``, compiled code by ``torch.func.grad``: the one form that
    ``torch.compile`` can differentiate again.
    """

    def verdict(point: Tree) -> Flat:
        seen = point if augment is None else augment(point, parameters)
        said = critic(seen, condition, mask)
        rest = {"mask": said.mask, "weights": said.weights}
        known = {name: one for name, one in rest.items() if one is not None}
        return list(said.logits), [list(maps) for maps in said.features], known

    if not gradient:
        return verdict(input), None
    if torch.compiler.is_compiling():
        return input_gradient(verdict, input)
    with twice_differentiable(critic):
        # The embedding of tokens has a graph of its own, which the loss needs; only a bare sample becomes a leaf.
        point = input if input.requires_grad else input.detach().requires_grad_()
        flat = verdict(point)
        (found,) = torch.autograd.grad(_total(flat), point, create_graph=True)
    return flat, found


def input_gradient(verdict: Callable[[Tensor], Flat], input: Tensor) -> tuple[Flat, Tensor]:
    """The verdict at `input` and ∇_input Σ logits by ``torch.func.grad``, both differentiable by whatever made them.

    Raises RuntimeError for batch norm in training with running statistics, which ``torch.func.grad`` can not run.
    """

    def total(point: Tensor) -> tuple[Tensor, Flat]:
        flat = verdict(point)
        return _total(flat), flat

    # Fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        found, flat = torch.func.grad(total, has_aux=True)(input)
    return flat, found


def compiles_with_gradient(critic: nn.Module) -> bool:
    """Whether ``torch.compile(look)`` can give the input gradient of `critic` in training mode.

    Batch norm with running statistics writes to them in its forward, which ``torch.func.grad`` refuses, and no compiled
    code can differentiate a recurrent network of cuDNN twice. Run such critics with the eager `look`.
    """
    return not any(
        isinstance(part, nn.RNNBase) or (isinstance(part, nn.modules.batchnorm._NormBase) and part.track_running_stats)
        for part in critic.modules()
    )


@contextmanager
def twice_differentiable(critic: nn.Module) -> Iterator[None]:
    """Chooses kernels that have a second derivative: mathematical attention, and no cuDNN for recurrent networks."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(part, nn.RNNBase) for part in critic.modules()):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast inside: what penalties are computed in."""
    with ExitStack() as stack:
        if torch.amp.is_autocast_available(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        yield


def _total(flat: Flat) -> Tensor:
    """Σ logits over sub-critics, rows and valid positions, in fp32 or wider."""
    logits, _, rest = flat
    return torch.stack([kept(widen(one), token_mask(one, rest.get("mask"))).sum() for one in logits]).sum()


def widen(tensor: Tensor) -> Tensor:
    """`tensor` in fp32, or as it is when it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def token_mask(logits: Tensor, mask: Tensor | None) -> Tensor | None:
    """`mask` where it speaks of these logits: per-token ones [B, L]. None for one logit a row, and for feature maps.

    Raises UsageError when per-token logits and mask differ in length.
    """
    if mask is None or logits.dim() != 2 or (logits.shape[1] == 1 and mask.shape[1] != 1):
        return None
    if mask.shape != logits.shape:
        raise UsageError(
            f"per-token logits {list(logits.shape)} do not fit their mask {list(mask.shape)}",
            fix="let the critic return Verdict(mask=...) of the logits' own length",
        )
    return mask


def require_floating(input: Tree) -> None:
    """Raises UsageError when `input`, a critic's penalty input, is no floating-point tensor."""
    if not (isinstance(input, Tensor) and input.is_floating_point()):
        kind = str(input.dtype) if isinstance(input, Tensor) else type(input).__name__
        raise UsageError(
            f"a penalty on the critic's input needs one floating-point tensor, not {kind}",
            fix="override the critic's penalty_input: return the embedding of tokens, or one tensor for a tree",
        )


def reduced(values: Sequence[Tensor], reduce: Reduce, weights: Tensor | None = None) -> Tensor:
    """The sub-critics' scalars, each times its weight, as their sum or mean.

    Raises UsageError when there is not one weight for each.
    """
    each = torch.stack(list(values))
    if weights is not None:
        if weights.shape != each.shape:
            raise UsageError(f"a verdict of {len(each)} sub-critics has weights {list(weights.shape)}")
        each = each * weights.to(each)
    return each.sum() if reduce == "sum" else each.mean()


def kept(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` with zeros where `mask` is False."""
    return values if mask is None else torch.where(mask, values, torch.zeros_like(values))


# --- the judge -------------------------------------------------------------------------------------------------------


class CriticJudge(Judge):
    """A critic behind the augmentation of the moment.

    The critic is always run on ``critic.penalty_input(sample)``, so that the verdict, the gradient and the augmentation
    speak of the same thing. A gradient is with respect to that input, before the augmentation.

    Args:
        critic: the critic.
        augment: augmentation of what it sees; drawn afresh in each call, from `rng`.
        probability: the augmentation's strength at this moment.
        rng: where the augmentation's random numbers come from; needed with `augment`.
        run: `look`, or ``torch.compile(look)``.
    """

    def __init__(
        self,
        critic: Critic,
        *,
        augment: Augment | None = None,
        probability: float = 1.0,
        rng: Random | None = None,
        run: Look = look,
    ) -> None:
        if augment is not None and rng is None:
            raise UsageError("a judge that augments needs a source of random numbers", fix="CriticJudge(..., rng=rng)")
        self.critic = critic
        self.augment = augment
        self.probability = probability
        self.rng = rng
        self.run = run

    def __call__(
        self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None, *, gradient: bool = False
    ) -> Judged:
        """The verdict on `sample`, with the gradient if it is asked for.

        Raises UsageError when a gradient is asked for and the critic's input is no floating-point tensor.
        """
        input = self._input(sample)
        return self._judge(Judged(input, _NOTHING, None, condition, mask, self._draw(input)), gradient)

    def at(self, input: Tensor, like: Judged, *, gradient: bool = False) -> Judged:
        """The verdict at `input`, under the condition, mask and augmentation of `like`."""
        return self._judge(replace(like, input=input), gradient)

    def joint(self, real: Batch, fake: Batch, *, gradient: bool = False) -> tuple[Judged, Judged]:
        """The verdicts on reals and fakes from one critic forward, and one backward for both gradients.

        Raises UsageError for batch-coupled critics, and when one part has a condition and the other has none.
        """
        if self.critic.batch_coupled:
            raise UsageError(
                f"{type(self.critic).__name__} couples the rows of a batch: real and fake may not share a forward",
                where="train.joint_critic_pass",
                fix="--set train.joint_critic_pass=false",
            )
        parts = [
            Judged(input, _NOTHING, None, batch.condition, batch.mask, self._draw(input))
            for batch, input in ((real, self._input(real.sample)), (fake, self._input(fake.sample)))
        ]
        return _split(self._judge(_join(*parts), gradient), *parts)

    def _input(self, sample: Tree) -> Tree:
        overridden = type(self.critic).penalty_input is not Critic.penalty_input
        return self.critic.penalty_input(sample) if overridden or isinstance(sample, Tensor) else sample

    def _draw(self, input: Tree) -> Tree | None:
        if self.augment is None or self.rng is None:
            return None
        return self.augment.draw(input, probability=self.probability, rng=self.rng)

    def _judge(self, asked: Judged, gradient: bool) -> Judged:
        run = self.run
        if gradient:
            require_floating(asked.input)
            if run is not look and not compiles_with_gradient(self.critic):
                run = look  # the same mathematics on the same weights, for the penalties alone
        flat, found = run(
            self.critic, self.augment, asked.input, asked.condition, asked.mask, asked.parameters, gradient
        )
        logits, features, rest = flat
        verdict = Verdict(logits, features, **rest)
        return replace(asked, verdict=verdict, gradient=found, rounded=_autocasts(logits[0].device))


_NOTHING = Verdict([])


def _autocasts(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


# --- two parts in one forward ----------------------------------------------------------------------------------------


def _join(real: Judged, fake: Judged) -> Judged:
    return Judged(
        _cat("sample", real.input, fake.input),
        _NOTHING,
        None,
        _cat("condition", real.condition, fake.condition),
        _cat("mask", *_masks(real, fake)),
        _cat("augmentation", real.parameters, fake.parameters),
    )


def _masks(real: Judged, fake: Judged) -> tuple[Tensor | None, Tensor | None]:
    """The masks of both; where only one has one, every token of the other counts."""
    masks = [judged.mask for judged in (real, fake)]
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None, None
    filled = [
        mask if mask is not None else known.new_ones(_rows(judged.input), *known.shape[1:])
        for mask, judged in zip(masks, (real, fake), strict=True)
    ]
    return filled[0], filled[1]


def _cat(what: str, real: Tree | None, fake: Tree | None) -> Tree:
    if real is None and fake is None:
        return None
    if real is None or fake is None:
        raise UsageError(f"only the {'real' if fake is None else 'fake'} part of a joint critic pass has a {what}")
    return tree_map(lambda *leaves: torch.cat(leaves), real, fake)


def _split(both: Judged, real: Judged, fake: Judged) -> tuple[Judged, Judged]:
    count = _rows(real.input)

    def part(start: int | None, stop: int | None, own: Judged) -> Judged:
        rows = slice(start, stop)
        verdict = Verdict(
            [one[rows] for one in both.verdict.logits],
            [[one[rows] for one in maps] for maps in both.verdict.features],
            None if both.verdict.mask is None else both.verdict.mask[rows],
            both.verdict.weights,
        )
        gradient = None if both.gradient is None else both.gradient[rows]
        return replace(own, verdict=verdict, gradient=gradient, rounded=both.rounded)

    return part(None, count, real), part(count, None, fake)


def _rows(tree: Tree) -> int:
    return len(tree_leaves(tree)[0])
