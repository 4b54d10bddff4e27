"""Compiled and low-precision iterations against eager fp32 ones."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from toys import Critic, Points, experiment

import genkit
from genkit.training.phases import iterate
from genkit.training.trainer import Trainer


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.compile without Inductor: the graphs are captured and differentiated as for it, and run as they are."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gradients(train: dict[str, Any], **changes: Any) -> list[torch.Tensor]:
    settings = genkit.Train(**({"batch_size": 16, "steps": 2, "compile": "off", "precision": "fp32"} | train))
    of = Trainer(experiment(data=Points(jitter=0.1), **changes), settings, seed=5, device="cpu")
    for step in range(2):
        iterate(of.team, step)
    return [g.clone() for one in (of.team.critic_updater, of.team.generator_updater) for g in one.gradients()]


class Normed(Critic):
    """Batch norm with running statistics: its input gradient has no compiled form."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(2)

    def forward(self, sample: Any, condition: Any = None, mask: Any = None) -> genkit.Verdict:
        return super().forward(self.norm(sample), condition, mask)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("critic", [Critic, Normed])
def test_a_compiled_iteration_has_the_gradients_of_an_eager_one(critic: Any) -> None:
    eager = gradients({}, critic=critic)
    compiled = gradients({"compile": "on"}, critic=critic)
    for one, other in zip(eager, compiled, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("traced")
def test_checkpoints_of_a_compiled_run_name_the_networks_as_an_eager_one_does() -> None:
    of = Trainer(experiment(), genkit.Train(batch_size=16, steps=1, compile="on"), device="cpu")
    names = set(of.experiment.generator.state_dict())
    iterate(of.team, 0)
    assert set(of.experiment.generator.state_dict()) == names == set(experiment().generator.state_dict())


def test_bf16_rounds_the_networks_and_not_the_penalties() -> None:
    seen: list[tuple[torch.dtype, bool]] = []

    class Watches(Critic):
        def forward(self, sample: Any, condition: Any = None, mask: Any = None) -> genkit.Verdict:
            verdict = super().forward(sample, condition, mask)
            seen.append((verdict.logits[0].dtype, sample.requires_grad))
            return verdict

    full = gradients({})
    low = gradients({"precision": "bf16"}, critic=Watches)
    assert (torch.bfloat16, False) in seen
    # Two steps, with R1 at each and R2 at the first. Differentiated in full: two looks of the penalties, then one. In
    # bf16: the generator turn's draws, whose graph goes on to the generator.
    assert [dtype for dtype, differentiated in seen if differentiated].count(torch.float32) == 3
    assert [dtype for dtype, differentiated in seen if differentiated].count(torch.bfloat16) == 2
    assert seen.count((torch.float32, False)) == 0
    assert all(gradient.dtype == torch.float32 for gradient in low)
    whole, rounded = (torch.cat([gradient.flatten() for gradient in found]) for found in (full, low))
    assert 0 < float((whole - rounded).norm() / whole.norm()) < 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_iteration_on_the_gpu_never_waits_for_it() -> None:
    settings = genkit.Train(batch_size=16, steps=8, compile="off")
    of = Trainer(experiment(data=Points(jitter=0.1)), settings, seed=5, device="cuda")
    iterate(of.team, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 4):
            of._meter.add(step, iterate(of.team, step))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert of._meter.read(of.world).bad_step is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_compiled_bf16_run_on_the_gpu_stays_finite() -> None:
    settings = genkit.Train(batch_size=16, steps=200, log_every=50)
    outcome = Trainer(experiment(), settings, seed=5, device="cuda").fit()
    assert outcome.step == 200
    assert all(value == value for value in outcome.means.values())
