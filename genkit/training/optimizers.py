"""One optimiser for each network, its schedules, and an update that a flag on the device can hold back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from genkit.errors import ConfigError
from genkit.schedules import Scheduled, value_at
from genkit.settings import Optim, Optimizer

FUSED = frozenset({"cpu", "cuda", "xpu"})  # whose fused Adam heeds `found_inf`; that of mps passes over it (torch 2.14)


class Updater:
    """Steps one network's optimiser.

    Args:
        network: whose parameters it steps.
        settings: Adam's settings, or a function that makes an optimiser from parameters.
        clip: the gradient norm is clipped to this when given.

    Raises ConfigError when the network has nothing to train.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: Optimizer | Callable[[list[nn.Parameter]], torch.optim.Optimizer],
        *,
        clip: float | None = None,
    ) -> None:
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not self.parameters:
            raise ConfigError(f"{type(network).__name__} has no parameter that trains", where="model")
        self.clip = clip
        self.settings = settings if isinstance(settings, Optimizer) else None
        self.optimizer = (
            make_adam(self.parameters, settings) if isinstance(settings, Optimizer) else settings(self.parameters)
        )
        self._fused = all(group.get("fused") for group in self.optimizer.param_groups)

    def zero(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def freeze(self, frozen: bool) -> None:
        """Keep the network's parameters out of the next graphs, or let them in again."""
        for parameter in self.parameters:
            parameter.requires_grad_(not frozen)

    def gradients(self) -> list[Tensor]:
        """The gradients there are."""
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def schedule(self, samples: float) -> None:
        """Set what changes over training."""
        if self.settings is None:
            return
        beta1, beta2 = self.settings.betas
        for group in self.optimizer.param_groups:
            group["lr"] = value_at(self.settings.lr, samples)
            group["betas"] = (value_at(beta1, samples), value_at(beta2, samples))

    def step(self) -> Tensor:
        """One update, held back on the device when a gradient is not finite.

        Returns the gradient norm before clipping, a scalar on the device; not finite when the update was held back.
        """
        gradients = self.gradients()
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        bad = (~norm.isfinite()).to(torch.float32)
        if self.clip is not None:
            torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1.0))
        if self._fused:
            self.optimizer.found_inf, self.optimizer.grad_scale = bad, None  # type: ignore[attr-defined]
        else:
            # An optimiser that can not be held back sees no gradient at all rather than a broken one.
            for gradient in gradients:
                gradient.nan_to_num_(0.0, 0.0, 0.0).mul_(1.0 - bad)
        self.optimizer.step()
        return norm


def make_adam(parameters: list[nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """Adam or AdamW, fused where the device has it."""
    kinds: Mapping[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    beta1, beta2 = (start_of(beta) for beta in settings.betas)
    fused = bool(parameters) and all(
        parameter.device.type in FUSED and parameter.is_floating_point() for parameter in parameters
    )
    return kinds[settings.name](
        parameters,
        lr=start_of(settings.lr),
        betas=(beta1, beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=fused,
    )


def updaters(
    optim: Optim | Mapping[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]],
    generator: nn.Module,
    critic: nn.Module,
    *,
    clip_generator: float | None = None,
    clip_critic: float | None = None,
) -> tuple[Updater, Updater]:
    """The generator's and the critic's updater."""
    if isinstance(optim, Optim):
        return (
            Updater(generator, optim.generator, clip=clip_generator),
            Updater(critic, optim.critic, clip=clip_critic),
        )
    return (
        Updater(generator, optim["generator"], clip=clip_generator),
        Updater(critic, optim["critic"], clip=clip_critic),
    )


def start_of(value: Scheduled) -> float:
    """A scheduled value before the first sample."""
    return value_at(value, 0.0)
