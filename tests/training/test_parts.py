"""The trainer's small parts: EMA, guards, figures, precision, stop requests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toys import experiment

import genkit
from genkit.interfaces import Judged, Verdict
from genkit.training import precision, signals
from genkit.training.distributed import World
from genkit.training.ema import Average
from genkit.training.figures import Figures, Meter
from genkit.training.guards import DeadPlayers, Diversity, spread
from genkit.training.optimizers import FUSED, Updater
from genkit.training.phases import observe
from genkit.training.precision import choose_device, choose_precision, has_fast_bf16
from genkit.training.signals import StopRequest
from genkit.training.trainer import Trainer


def test_a_weights_share_in_the_average_halves_in_its_half_life() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    average = Average(net, genkit.Ema(half_life=640.0, rampup=None))
    nn.init.constant_(net.weight, 0.0)
    for step in range(10):
        average.update(batch_size=64, samples=64.0 * (step + 1))
    assert average.network.weight.item() == pytest.approx(0.5, rel=1e-6)


def test_early_on_the_half_life_is_a_share_of_the_samples_seen() -> None:
    average = Average(nn.Linear(1, 1), genkit.Ema(half_life=1e6, rampup=0.05))
    assert average.decay(64, 64 * 20) == pytest.approx(0.5 ** (64 / 64))
    assert average.decay(64, 1e9) == pytest.approx(0.5 ** (64 / 1e6))


def test_the_average_takes_buffers_as_they_are() -> None:
    net = nn.BatchNorm1d(2)
    average = Average(net, genkit.Ema(half_life=1e9))
    net(torch.randn(8, 2) + 5)
    average.update(batch_size=8, samples=8.0)
    assert torch.equal(average.network.running_mean, net.running_mean)
    assert not average.network.training


def test_a_ramp_moves_between_its_ends() -> None:
    cosine = genkit.Ramp(start=2.0, end=1.0, over=100)
    assert [cosine.at(n) for n in (0, 50, 100, 1000)] == pytest.approx([2.0, 1.5, 1.0, 1.0])
    linear = genkit.Ramp(start=2.0, end=1.0, over=100, shape="linear", warmup=10)
    assert [linear.at(n) for n in (0, 5, 10, 35, 200)] == pytest.approx([0.0, 1.0, 2.0, 1.75, 1.0])
    falling = genkit.Ramp(start=2.0, end=0.5, over=100, shape="exponential")
    assert [falling.at(n) for n in (0, 50, 100, 1000)] == pytest.approx([2.0, 1.0, 0.5, 0.5])
    with pytest.raises(genkit.ConfigError, match="pass through 0"):
        genkit.Ramp(start=1.0, end=0.0, over=100, shape="exponential")


def test_the_optimiser_follows_its_ramps() -> None:
    ramp = genkit.Ramp(start=1e-2, end=1e-3, over=100, shape="linear")
    updater = Updater(
        nn.Linear(2, 2), genkit.Optimizer(lr=ramp, betas=(0.0, genkit.Ramp(start=0.9, end=0.99, over=100)))
    )
    updater.schedule(100)
    group = updater.optimizer.param_groups[0]
    assert (group["lr"], group["betas"]) == (pytest.approx(1e-3), (0.0, pytest.approx(0.99)))


def test_clipping_scales_the_gradient_to_the_norm() -> None:
    net = nn.Linear(2, 1, bias=False)
    updater = Updater(net, lambda parameters: torch.optim.SGD(parameters, lr=1.0), clip=1.0)
    before = net.weight.detach().clone()
    net.weight.grad = torch.tensor([[3.0, 4.0]])
    assert updater.step().item() == pytest.approx(5.0)
    torch.testing.assert_close(before - net.weight, torch.tensor([[0.6, 0.8]]))


def test_an_optimiser_of_ones_own_never_sees_a_broken_gradient() -> None:
    net = nn.Linear(2, 1)
    updater = Updater(net, lambda parameters: torch.optim.SGD(parameters, lr=1.0))
    before = [parameter.detach().clone() for parameter in net.parameters()]
    net.weight.grad, net.bias.grad = torch.tensor([[float("nan"), 1.0]]), torch.tensor([2.0])
    assert not updater.step().isfinite()
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_a_network_without_anything_to_train_is_named() -> None:
    with pytest.raises(genkit.ConfigError, match="Linear has no parameter that trains"):
        Updater(nn.Linear(2, 1).requires_grad_(False), genkit.Optimizer())


def test_the_meter_averages_and_names_the_first_bad_step() -> None:
    meter = Meter()
    for step in range(10):
        figures = Figures()
        figures.add("loss/critic", torch.tensor(float("inf") if step == 6 else float(step)))
        if step % 2 == 0:
            figures.add("penalty/r1", torch.tensor(float("nan") if step == 8 else 1.0))
        meter.add(step, figures)
        if step == 5:
            reading = meter.read(World())
            assert reading.means == pytest.approx({"loss/critic": 2.5, "penalty/r1": 1.0})
            assert reading.bad_step is None
    reading = meter.read(World())
    assert (reading.bad_step, reading.bad_names) == (6, ("loss/critic",))
    assert meter.read(World()).means == {}


class WithoutFloat64(TorchDispatchMode):
    """A device like Apple's GPUs, which have no float64."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        if any(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float64 for leaf in tree_leaves(made)):
            raise TypeError("Cannot convert a MPS Tensor to float64")
        return made


def test_the_meter_is_read_on_a_device_without_float64() -> None:
    with WithoutFloat64():
        meter = Meter()
        for step in range(4):
            figures = Figures()
            figures.add("loss/critic", torch.tensor(float("nan") if step == 3 else 1.0, dtype=torch.float32))
            meter.add(step, figures)
        assert meter.read(World()).bad_step == 3


def test_adam_is_fused_only_where_it_heeds_that_it_is_held_back() -> None:
    assert "mps" not in FUSED  # its fused Adam passes over `found_inf`
    net = nn.Linear(2, 1)
    updater = Updater(net, genkit.Optimizer())
    assert all(group["fused"] for group in updater.optimizer.param_groups) == (net.weight.device.type in FUSED)


def test_a_dead_player_is_warned_of_once_with_its_figure() -> None:
    guard = DeadPlayers()
    assert guard.warnings({"gradient/critic": 0.1, "gradient/generator": 0.1, "critic/accuracy": 0.7}) == []
    (text,) = guard.warnings({"gradient/critic": 0.1, "gradient/generator": 1e-20, "critic/accuracy": 0.7})
    assert "generator is dead" in text
    assert "1e-20" in text
    assert guard.warnings({"gradient/critic": 0.1, "gradient/generator": 1e-20}) == []
    assert guard.warnings({"gradient/critic": 0.1, "gradient/generator": 0.1}) == []
    (text,) = guard.warnings({"gradient/critic": 0.1, "gradient/generator": 1e-8, "critic/accuracy": 1.0})
    assert "always right" in text


def test_a_collapsed_preview_is_warned_of_also_within_its_classes() -> None:
    torch.manual_seed(0)
    real = torch.randn(64, 3, 8, 8)
    guard = Diversity(real)
    assert guard.warning(torch.randn(64, 3, 8, 8)) is None
    one_each_class = torch.randn(8, 3, 8, 8).repeat_interleave(8, 0) + 0.01 * torch.randn(64, 3, 8, 8)
    text = guard.warning(one_each_class)
    assert text is not None
    assert "0.01" in text
    assert float(spread(torch.tensor([[1, 2], [3, 2], [1, 4]]))) == pytest.approx(0.5)


def test_a_preview_of_one_sample_has_nothing_to_collapse_to() -> None:
    guard = Diversity(torch.randn(64, 3, 8, 8))
    assert guard.warning(torch.randn(1, 3, 8, 8)) is None
    assert guard.warning(torch.zeros(2, 3, 8, 8)) is not None


def test_a_preview_of_no_samples_is_refused() -> None:
    with pytest.raises(genkit.ConfigError, match="a preview can not be of 0 samples"):
        Trainer(experiment(preview=0), genkit.Train(batch_size=16, steps=1), device="cpu")
    condition, columns = genkit.Labels(["a", "b"]).grid(0)
    assert (len(condition), columns) == (1, 1)


def test_an_unknown_or_absent_device_is_named() -> None:
    with pytest.raises(genkit.UsageError, match="unknown device 'gpu0'") as caught:
        choose_device("gpu0")
    assert caught.value.exit_code == 2
    if not torch.cuda.is_available():
        with pytest.raises(genkit.UsageError, match="'cuda' is not available"):
            choose_device("cuda")
        assert choose_device(None) == torch.device("cpu") or torch.accelerator.is_available()


@pytest.fixture
def cuda_with_triton(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A CUDA device, as far as what is chosen for it goes, on a machine with Triton, gcc and nothing said so far."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    monkeypatch.setattr(precision.shutil, "which", lambda name: "/usr/bin/gcc" if name == "gcc" else None)
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    monkeypatch.delenv("CC", raising=False)
    precision._say.cache_clear()
    return torch.device("cuda")


def test_auto_compiles_on_cuda(cuda_with_triton: torch.device, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_precision(genkit.Train(), cuda_with_triton).compile
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("triton", "triton is not installed"),
        ("compiler", "there is no C compiler (CC, gcc or clang)"),
        ("named compiler", "there is no C compiler 'icx', which CC names"),
        ("headers", "Python's headers are not installed"),
    ],
)
def test_auto_runs_eager_where_triton_could_not_build_and_says_so_once(
    cuda_with_triton: torch.device,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: str,
    words: str,
) -> None:
    if missing == "triton":
        monkeypatch.setattr(precision, "find_spec", lambda name: None)
    elif missing == "compiler":
        monkeypatch.setattr(precision.shutil, "which", lambda name: None)
    elif missing == "named compiler":
        monkeypatch.setenv("CC", "icx")
    else:
        monkeypatch.setattr(Path, "is_file", lambda path: False)
    for _ in range(2):
        assert not choose_precision(genkit.Train(), cuda_with_triton).compile
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert choose_precision(genkit.Train(compile="on"), cuda_with_triton).compile, "asked for, it is tried"
    assert not choose_precision(genkit.Train(compile="off"), cuda_with_triton).compile
    assert capsys.readouterr().err == ""


def test_auto_precision_is_bf16_only_where_that_is_fast() -> None:
    cpu = torch.device("cpu")
    auto = choose_precision(genkit.Train(), cpu)
    found = torch.cpu.get_capabilities()
    assert auto.low == has_fast_bf16(cpu) == bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    assert choose_precision(genkit.Train(precision="bf16"), cpu).low
    assert not choose_precision(genkit.Train(precision="fp32"), cpu).low
    assert not auto.compile


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_precision_on_a_gpu() -> None:
    device = torch.device("cuda")
    assert choose_precision(genkit.Train(), device).low == (torch.cuda.get_device_capability() >= (8, 0))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stopping_signal_is_remembered_and_handlers_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.received is None
        os.kill(os.getpid(), number)
        assert stop.received == number
    assert signal.getsignal(number) is before


def test_an_echo_of_a_signal_is_the_same_request_and_a_later_or_another_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scheduler that tells every process tells the launcher too, which passes it on."""
    now = 100.0
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)
    ended: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            now = 101.9
            os.kill(os.getpid(), signal.SIGTERM)
            assert (stop.received, ended) == (signal.SIGTERM, [])
            now = 102.1
            os.kill(os.getpid(), signal.SIGTERM)
            assert ended == [signal.SIGTERM]
        now = 100.0
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
            assert stop.received == signal.SIGUSR1
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupt)


@pytest.mark.parametrize(
    ("midpoint", "reals", "fakes", "right"),
    [
        (0.0, [1.0, 2.0, -1.0, 3.0], [-1.0, -2.0, -3.0, 1.0], 0.75),
        (0.5, [0.9, 0.6, 0.4, 0.7], [0.1, 0.2, 0.3, 0.4], 0.875),
        (None, [11.0, 12.0, 13.0, 14.0], [10.0, 13.0, 12.0, 10.0], 0.75),
        (None, [11.0, 12.0], [10.0, 10.0, 10.0, 12.0], 0.875),
    ],
    ids=["around 0", "around a half", "in pairs", "not as many"],
)
def test_the_critic_is_right_where_the_objective_takes_no_side(midpoint, reals, fakes, right):
    real, fake = (Judged(torch.zeros(0), Verdict([torch.tensor(logits)])) for logits in (reals, fakes))
    figures = Figures()
    observe(figures, real, fake, midpoint=midpoint)
    assert figures.values["critic/accuracy"].item() == pytest.approx(right)


def test_tokens_that_do_not_count_are_not_looked_at():
    logits = torch.tensor([[1.0, -50.0], [1.0, 3.0]])
    mask = torch.tensor([[True, False], [True, True]])
    real, fake = (Judged(torch.zeros(0), Verdict([sign * logits], mask=mask)) for sign in (1, -1))
    figures = Figures()
    observe(figures, real, fake, midpoint=0.0)
    assert figures.values["critic/accuracy"].item() == 1.0
    assert figures.values["logit/real"].item() == pytest.approx(5 / 3)
    observe(paired := Figures(), real, fake, midpoint=None)
    assert paired.values["critic/accuracy"].item() == 1.0
