"""The contract: what flows, who plays, where data comes from, and what the mathematics is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from genkit.schedules import Scheduled

if TYPE_CHECKING:
    from genkit.random import Random

Tree = Any
"""A pytree of tensors: a tensor, or tuples, lists and dicts of trees. Every leaf's first dimension is the batch."""
Facts = Mapping[str, Any]
"""What models and samplers need to know of the data, as JSON: shape, sample rate, label names, a tokenizer."""


# --- what flows ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Real examples as the critic sees them."""

    sample: Tree
    """Image [B, C, H, W] or waveform [B, T] in [-1, 1], tokens [B, L] int64, or a pytree of these."""
    condition: Tree | None = None
    """What the dataset gives beside the sample: label, mel, masked picture, prompt tokens."""
    mask: Tensor | None = None
    """[B, L], True where a token counts."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with `function` applied to every tensor in it."""
        trees = (self.sample, self.condition, self.mask)
        return Batch(*(tree if tree is None else tree_map(function, tree) for tree in trees))

    @staticmethod
    def join(batches: Sequence[Batch]) -> Batch:
        """The rows of several batches, one after the other."""
        trees = zip(*((batch.sample, batch.condition, batch.mask) for batch in batches), strict=True)
        return Batch(
            *(None if tree[0] is None else tree_map(lambda *leaves: torch.cat(leaves), *tree) for tree in trees)
        )


@dataclass(frozen=True)
class Draw:
    """Generated samples as a critic sees them. `sample` carries gradients wherever the generator is differentiable."""

    sample: Tree
    """As `Batch.sample`; also relaxed one-hots [B, L, V]."""
    mask: Tensor | None = None
    """[B, L], True where a token counts."""
    target: Tree | None = None
    """The aligned real counterpart, when the generator chose which part to imitate (a segment)."""


@dataclass(frozen=True)
class Verdict:
    """What every critic returns, whether it is one network or nine."""

    logits: list[Tensor]
    """One tensor a sub-critic, batch first: [B], [B, 1], [B, L], [B, 1, T], [B, 1, H, W]."""
    features: list[list[Tensor]] = field(default_factory=list)
    """For each sub-critic its feature maps, for feature matching."""
    mask: Tensor | None = None
    """[B, L], True where a per-token logit counts; None when all do."""
    weights: Tensor | None = None
    """[K], a buffer of the critic: how much each of its K sub-critics counts in objectives, feature matching and
    rewards; None: alike. Penalties do not look at it."""


# --- the players -----------------------------------------------------------------------------------------------------


class Generator(nn.Module, ABC):
    """Turns latents into samples."""

    sampling: Mapping[str, float] = MappingProxyType({})
    """Keyword arguments of `forward` that whoever samples may set, such as a temperature, each with the value that
    training uses."""

    @abstractmethod
    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Draw z ~ p(z), [count, ...], on ``rng.device`` and with `rng`'s numbers alone."""

    @abstractmethod
    def forward(self, latent: Tensor, condition: Tree | None = None) -> Draw:
        """Samples for `latent`, one a row, given `condition`."""


class TokenGenerator(Generator):
    """A generator of discrete choices: no gradient passes through its sample."""

    @abstractmethod
    def log_prob(self, draw: Draw, condition: Tree | None = None) -> Tensor:
        """log p(token | tokens before it, condition) for each token of `draw`, [B, L], differentiable.

        A generator with settings in `sampling` takes them here too, as keyword arguments.
        """


class Critic(nn.Module, ABC):
    """Judges samples."""

    batch_coupled: bool = False
    """True when a sample's logit depends on the rest of the batch (batch norm, minibatch-std, packing): real and fake
    may then not share a forward."""

    @abstractmethod
    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        """The verdict on `sample`, which is what a dataset or generator gives or what `penalty_input` made of it."""

    def penalty_input(self, sample: Tree) -> Tensor:
        """What gradient penalties differentiate by, and `forward` accepts in the sample's place: the sample itself, or
        the embedding of its tokens."""
        assert isinstance(sample, Tensor), "a critic of pytrees must override penalty_input"
        return sample


# --- the data --------------------------------------------------------------------------------------------------------


class Dataset(ABC):
    """Real examples. `read` is per example, on the CPU, in storage dtype; `prepare` is per batch, on the device."""

    facts: Facts
    """What models and samplers need to know of the data; stored in each checkpoint."""
    binding: Sequence[str] = ()
    """Facts without which networks trained on them are of no use, such as a sample rate: a checkpoint whose own say
    otherwise is refused."""
    weights: Tensor | None = None
    """[N] float64: how often each example is drawn, relative to the others; None: each once an epoch."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int) -> Tree:
        """Example `index` as CPU tensors without a batch dimension, as small as they are stored (uint8, int16)."""

    @abstractmethod
    def prepare(self, stored: Tree, *, rng: Random) -> Batch:
        """A batch of stored examples, on the device, as the critic sees them. Random augmentation takes `rng`."""

    def collate(self, examples: Sequence[Tree]) -> Tree:
        """Stack stored examples into a batch; override where lengths differ."""
        return tree_map(lambda *leaves: torch.stack(leaves), *examples)

    def resident(self) -> Tree | None:
        """All examples stacked, [N, ...] a leaf, when they can be held at once; None when they can not."""
        return None

    def held_out(self) -> Dataset | None:
        """Examples of the same kind that training never sees, for evaluation; None when there are none."""
        return None

    def still(self) -> Dataset:
        """The examples without random preparation, for what looks for copies of them."""
        return self

    def log_prob(self, batch: Batch) -> Tensor | None:
        """log p(token | tokens before it) of the data's own distribution, [B, L]; None where it is not known."""
        return None

    def summary(self) -> Mapping[str, Any]:
        """What a report says of the data: name, size, licence."""
        return {"examples": len(self)}


class StreamedDataset(ABC):
    """Examples that come in an order of their own and have no index: shards, a hub stream."""

    facts: Facts
    binding: Sequence[str] = ()
    """As `Dataset.binding`."""

    @abstractmethod
    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[Tree]:
        """The stored examples of one epoch for reader `shard` of `shards`, in an order that the arguments decide."""

    @abstractmethod
    def prepare(self, stored: Tree, *, rng: Random) -> Batch:
        """As `Dataset.prepare`."""

    def collate(self, examples: Sequence[Tree]) -> Tree:
        """As `Dataset.collate`."""
        return tree_map(lambda *leaves: torch.stack(leaves), *examples)

    def held_out(self) -> Dataset | None:
        """As `Dataset.held_out`."""
        return None

    def summary(self) -> Mapping[str, Any]:
        """As `Dataset.summary`."""
        return {"examples": "streamed"}


# --- the mathematics -------------------------------------------------------------------------------------------------


class Objective(ABC):
    """Two pure functions of verdicts. It returns scalars; it never steps, never logs, never moves a tensor."""

    needs_real: bool = False
    """True when the generator's loss looks at the verdict on reals (relativistic objectives)."""
    midpoint: float | None = 0.0
    """The logit at which the critic takes no side; None when only differences of logits mean anything."""
    batch_coupled: bool = False
    """True when a sample's loss depends on the rest of the batch, so that a batch can not be cut into parts."""

    @abstractmethod
    def critic_loss(self, real: Verdict, fake: Verdict) -> Tensor:
        """The critic's loss, a scalar."""

    @abstractmethod
    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        """The generator's loss, a scalar; `real` is None unless `needs_real`."""


@dataclass(frozen=True)
class Judged:
    """A batch as the critic judged it."""

    input: Tensor
    """What gradients are taken with respect to: ``critic.penalty_input(sample)``; of a tree without one, the tree."""
    verdict: Verdict
    gradient: Tensor | None = None
    """∇_input Σ logits, with its own graph, when it was asked for; the shape of `input`."""
    condition: Tree | None = None
    mask: Tensor | None = None
    parameters: Tree | None = None
    """What the augmentation drew for these rows."""
    rounded: bool = False
    """True when it was computed under autocast, so that differences of its logits mean little."""


class Judge(Protocol):
    """Runs the critic, with whatever augmentation, compilation and precision the trainer has put around it."""

    def __call__(
        self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None, *, gradient: bool = False
    ) -> Judged: ...

    def at(self, input: Tensor, like: Judged, *, gradient: bool = False) -> Judged:
        """The verdict at `input`, a point of the space of ``Judged.input``, under the condition, mask and augmentation
        of `like`."""


class Penalty(nn.Module):
    """A penalty on the critic. Its value is unweighted; the trainer weighs it and runs it when it is due.

    Args:
        weight: its share in the critic's loss; a number or a ramp.
        every: it runs each `every`-th critic update, with `every` times the weight (lazy, Karras et al. 2020).
    """

    gradient_at: frozenset[str] = frozenset()
    """Where it needs the critic's input gradient: ``{"real"}``, ``{"fake"}``, both or neither."""

    def __init__(self, weight: Scheduled = 1.0, every: int = 1) -> None:
        super().__init__()
        self.weight = weight
        self.every = every

    def forward(self, real: Judged, fake: Judged, judge: Judge, rng: Random) -> Tensor:
        """The penalty's value, a scalar."""
        raise NotImplementedError


class Augment(nn.Module):
    """Augmentation of what the critic sees. Penalties are taken with respect to the sample before it.

    Args:
        probability: how likely each transformation is; a number or a ramp.
    """

    def __init__(self, probability: Scheduled = 1.0) -> None:
        super().__init__()
        self.probability = probability

    def draw(self, sample: Tree, *, probability: float, rng: Random) -> Tree:
        """The random parameters for a batch like `sample`, as tensors."""
        raise NotImplementedError

    def forward(self, sample: Tree, parameters: Tree) -> Tree:
        """The augmented batch: a differentiable function of `sample` and of parameters that `draw` made."""
        raise NotImplementedError

    def heard(
        self, pairs: Sequence[tuple[Verdict, Verdict]], objective: Objective, total: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        """Called after each critic update, for an augmentation that adapts to it.

        Args:
            pairs: the verdicts on reals and on fakes, without graph and features, one pair a micro-batch.
            objective: what the critic learns by.
            total: sums a tensor over all devices.

        What it keeps must be buffers, alike on all devices. Returns figures to log: device tensors, never read here.
        """
        return {}


def identity(tensor: Tensor) -> Tensor:
    """The tensor itself: a sum over one device."""
    return tensor


@dataclass(frozen=True)
class GeneratorTurn:
    """Everything the generator's loss may look at."""

    generator: Generator
    objective: Objective
    judge: Judge
    condition: Tree | None
    """The conditions of the draw, one a row."""
    draw: Draw | None
    """What the generator made; None when neither the estimator nor a term needs it."""
    real: Batch | None
    """Reals of the same conditions, when something needs them."""
    fake_verdict: Verdict | None
    """The verdict on the draw; None while the critic rests."""
    real_verdict: Verdict | None
    """The verdict on the reals, without graph, when something needs it."""
    group: int
    """Draws for each condition (rows i·group to (i+1)·group share one)."""
    rng: Random
    report: dict[str, Tensor]
    """Figures to log: device tensors, never read here."""
    total: Callable[[Tensor], Tensor] = identity
    """Sums a tensor without graph over all devices, for baselines that are means over the batch."""


class Term(nn.Module):
    """A loss of the generator that no critic is needed for, or that only looks at the critic's features.

    Args:
        weight: its share in the generator's loss; a number or a ramp.
        every: it runs at each `every`-th generator update, with `every` times the weight (lazy, Karras et al. 2020).
    """

    name: str = "term"
    needs_draw: bool = True
    """False when it needs no generated sample (likelihood of real ones)."""
    needs_real: bool = True
    """True when it looks at the reals."""
    needs_verdict: bool = False
    """True when it looks at the critic's features; it then rests while the critic does."""
    autocast: bool = False
    """True when it runs a network of its own accord, and may do so in the trainer's low precision."""

    def __init__(self, weight: Scheduled = 1.0, every: int = 1) -> None:
        super().__init__()
        self.weight = weight
        self.every = every

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """The term's value, a scalar, unweighted."""
        raise NotImplementedError


class Estimator(nn.Module):
    """How the critic's opinion reaches the generator: the only place that knows whether a sample is differentiable."""

    pathwise: bool = True
    """True when gradients flow through the sample, so that the generator's forward must keep its graph."""
    batch_coupled: bool = False
    """True when a row's loss depends on the rest of the batch, or a call changes what the next one does, so that a
    batch can not be cut into micro-batches."""

    def begin(self, generator: Generator) -> None:
        """Called once, when the adversary starts; a reference model is copied here."""

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """The generator's adversarial loss, a scalar."""
        raise NotImplementedError
