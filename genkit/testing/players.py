"""Checks of one iteration: where its tensors live, what moves, what must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genkit.adversarial.judging import compiles_with_gradient, look
from genkit.interfaces import Critic, Tree
from genkit.testing.outcome import CheckFailure, CheckSkipped, as_failure
from genkit.testing.recipe import Recipe, copied
from genkit.training.phases import generator_turn, iterate
from genkit.training.team import Team

ON_HOST = (
    "keep the value in a tensor (torch.where, clamp, a mask), or compute it once when the network is built: "
    "`.item()`, `.cpu()`, `float(tensor)` and `if tensor:` make a GPU wait"
)
ONE_DEVICE = (
    "make the tensor on the input's device (`torch.zeros(..., device=latent.device)`, `latent.new_zeros(...)`), take "
    "random numbers from `rng`, and keep constants as buffers (`register_buffer`)"
)


class OneDevice(TorchDispatchMode):
    """Refuses operations that take tensors of two devices, some of which the meta device lets pass.

    A tensor without dimensions may be on the CPU: it is handed to kernels by value. Copies may go from one device to
    another.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket not in (torch.ops.aten.copy_, torch.ops.aten._to_copy):
            devices = {
                leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.dim()
            }
            if "meta" in devices and len(devices) > 1:
                raise RuntimeError(f"{func.overloadpacket} takes a tensor of the CPU beside one of the device")
        return func(*args, **kwargs)


def builds(recipe: Recipe) -> None:
    """The recipe's smoke config fits and its build returns an experiment."""
    recipe.build()


def runs_on_meta(recipe: Recipe) -> None:
    """Whole iterations run on the ``meta`` device: before the adversary's start, at it, and where lazy penalties are
    due. There `.item()`, `.cpu()` and tensors of two devices raise, so that what passes never makes a GPU wait."""
    try:
        trainer = recipe.trainer("meta", **{"train.precision": "auto"})
        team, train = trainer.team, trainer.train
        every = max((penalty.every for penalty in trainer.experiment.penalties.values()), default=1)
        for step in dict.fromkeys((0, train.adversarial_start, train.adversarial_start + every)):
            with OneDevice():  # type: ignore[no-untyped-call]  # torch's own
                figures = iterate(team, step)
            strange = [name for name, value in figures.values.items() if value.device.type != "meta"]
            if strange or not figures.values:
                raise CheckFailure(
                    f"these figures are not on the device: {', '.join(strange) or 'none at all'}", ONE_DEVICE
                )
    except (RuntimeError, NotImplementedError) as error:
        said = str(error).lower()
        of_host = "item()" in said or "copy out of meta" in said or "local_scalar_dense" in said
        raise as_failure(error, ON_HOST if of_host else ONE_DEVICE) from error


def leaves_inputs_alone(recipe: Recipe) -> None:
    """Generator, augmentation and critic change neither samples nor conditions in place: real samples are judged
    again, by penalties and in the next epoch."""
    trainer = recipe.trainer()
    team, experiment = trainer.team, trainer.experiment
    part = team.parts(0, 0)[0]
    batch = part.batch
    latent = experiment.generator.latent(len(part.rows), rng=part.random("latent"))
    with torch.no_grad():
        draw = _untouched(experiment.generator, "latent or condition", experiment.generator, latent, batch.condition)
        real = batch.sample if draw.target is None else draw.target
        for sample, mask in ((real, batch.mask), (draw.sample, draw.mask)):
            seen = sample
            if type(experiment.critic).penalty_input is not Critic.penalty_input:
                seen = _untouched(experiment.critic, "sample", experiment.critic.penalty_input, sample)
            if experiment.augment is not None:
                parameters = experiment.augment.draw(seen, probability=1.0, rng=part.random("augment"))
                seen = _untouched(experiment.augment, "sample", experiment.augment, seen, parameters)
            _untouched(experiment.critic, "input", experiment.critic, seen, batch.condition, mask)


def _untouched(module: nn.Module, what: str, call: Callable[..., Any], *given: Tree) -> Any:
    """What `call` makes of `given`. Raises CheckFailure when one of these is not what it was."""
    before = copied([one for one in given if one is not None])
    made = call(*given)
    for old, new in zip(tree_leaves(before), tree_leaves([one for one in given if one is not None]), strict=True):
        if not torch.equal(old, new):
            raise CheckFailure(
                f"{type(module).__name__} changes its {what} in place",
                "use operations that make new tensors: `x * 2` for `x *= 2`, `clamp` for `clamp_`, no `inplace=True` "
                "in the first layer",
            )
    return made


def three_steps(recipe: Recipe) -> None:
    """Three steps, and those around the adversary's start, have finite figures; both networks and the average move;
    the generator's turn leaves the critic's weights as they were."""
    trainer = recipe.trainer()
    team, experiment, train = trainer.team, trainer.experiment, trainer.train
    networks: dict[str, nn.Module] = {"generator": experiment.generator, "critic": experiment.critic}
    if team.average is not None:
        networks["average"] = team.average.network
    before = {name: _weights(network) for name, network in networks.items()}
    for step in sorted({0, 1, 2, train.adversarial_start, train.adversarial_start + 1}):
        if step == train.adversarial_start:
            team.estimator.begin(experiment.generator)
        figures = iterate(team, step)
        bad = [name for name, value in figures.values.items() if not value.isfinite().all()]
        if bad:
            raise CheckFailure(
                f"not finite at step {step}: {', '.join(bad)}",
                "look for a logarithm or a division of 0, a root at 0 (its gradient is infinite), or a learning rate "
                "that is too high",
            )
    for name, network in networks.items():
        if all(torch.equal(old, new) for old, new in zip(before[name], _weights(network), strict=True)):
            raise CheckFailure(
                f"no weight of the {name} moves in three steps",
                "its parameters must be registered and reach the loss: look for `.detach()`, `no_grad` and a learning "
                "rate of 0",
            )
    last = train.adversarial_start + 2
    kept = _weights(experiment.critic)
    generator_turn(team, last, team.parts(last, 0))
    if not all(torch.equal(old, new) for old, new in zip(kept, _weights(experiment.critic), strict=True)):
        raise CheckFailure(
            "the generator's turn changes the critic's weights",
            "a critic's parameters change in its own update alone: what its forward keeps must be a buffer",
        )


def _weights(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def penalties_differentiate_twice(recipe: Recipe) -> None:
    """Each penalty's value has a finite gradient in the critic's weights that is not zero: a second derivative, where
    the penalty looks at the critic's gradient."""
    trainer = recipe.trainer()
    team, experiment = trainer.team, trainer.experiment
    if not experiment.penalties:
        raise CheckSkipped("the recipe has no penalty")
    part = team.parts(0, 0)[0]
    with torch.no_grad():
        fake = team.draw(part, part.batch.condition, "critic")
    sample = part.batch.sample if fake.target is None else fake.target
    judged = team.judge_pair(part, sample, fake, frozenset({"real", "fake"}))
    weights = list(experiment.critic.parameters())
    for name, penalty in experiment.penalties.items():
        cure = (
            "every operation of the critic needs a second derivative: take functions of your own out of "
            "autograd.Function, and no `.detach()` on the way from input to logit"
        )
        try:
            value = penalty(*judged, team.judge(part, name), part.random(name))
            found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise as_failure(error, cure) from error
        given = [gradient for gradient in found if gradient is not None]
        if not given or not any(gradient.any() for gradient in given):
            raise CheckFailure(f"the penalty {name} has no gradient in the critic's weights", cure)
        if not all(gradient.isfinite().all() for gradient in given):
            raise CheckFailure(
                f"the gradient of the penalty {name} is not finite",
                "add a small number under roots and norms: their derivative at 0 is infinite",
            )


def compiles(recipe: Recipe) -> None:
    """Compiled networks have the gradients of eager ones, in float64. The graphs are captured and differentiated as for
    the compiler of kernels, and run as they are."""
    from torch._dynamo.eval_frame import is_dynamo_supported  # seconds, which no other check needs

    if not is_dynamo_supported():
        raise CheckSkipped("torch.compile does not work with this Python")
    eager = _gradients(recipe, compiled=False)
    try:
        compiled = _gradients(recipe, compiled=True)
    except Exception as error:
        cure = "keep data-dependent branches and Python objects out of forward; train.compile=off runs without"
        raise as_failure(error, cure) from error
    floor = 1e-6 * torch.stack([one.norm() for one in eager]).norm()  # some gradients are rounding alone
    worst = max(float((one - other).norm() / (one.norm() + floor)) for one, other in zip(eager, compiled, strict=True))
    if not worst < 1e-6:
        raise CheckFailure(
            f"compiled gradients differ from eager ones by {worst:.1e} of their size",
            "forward must be a function of its inputs and weights: no counter, cache or global that it changes",
        )


def _gradients(recipe: Recipe, *, compiled: bool) -> list[Tensor]:
    """The gradients of the adversary's first step in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch._dynamo.reset()
    try:
        trainer = recipe.trainer()
        team = trainer.team
        if compiled:
            trainer.experiment.generator.compile(backend="aot_eager")
            if compiles_with_gradient(trainer.experiment.critic):
                team.look = torch.compile(look, backend="aot_eager")
        step = trainer.train.adversarial_start
        team.estimator.begin(trainer.experiment.generator)
        iterate(team, step)
        return _reduced(team)
    finally:
        torch._dynamo.reset()
        torch.set_default_dtype(before)


def _reduced(team: Team) -> list[Tensor]:
    return [one.detach().clone() for side in (team.critic_updater, team.generator_updater) for one in side.gradients()]
