"""Which device, which precision, compiled or not: decided once, said once."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from genkit.errors import UsageError
from genkit.interfaces import Draw
from genkit.settings import Train


def choose_device(name: str | None, local_rank: int = 0) -> torch.device:
    """The device a run uses: the one named, else the machine's accelerator, else the CPU.

    Raises UsageError when `name` is no device of this machine.
    """
    available = torch.accelerator.current_accelerator(check_available=True)
    if name is None or name == "auto":
        device = available or torch.device("cpu")
    else:
        try:
            device = torch.device(name)
        except RuntimeError:
            raise UsageError(
                f"unknown device {name!r}", where="--device", fix=f"one of cpu, {_offered(available)}"
            ) from None
    if device.type in ("cpu", "meta"):
        return torch.device(device.type)
    if available is None or device.type != available.type:
        raise UsageError(
            f"device {name!r} is not available on this machine", where="--device", fix=f"one of {_offered(available)}"
        )
    count = torch.accelerator.device_count()
    index = device.index if device.index is not None else local_rank
    if index >= count:
        raise UsageError(f"device {device.type}:{index} is not there: this machine has {count}", where="--device")
    return torch.device(device.type, index)


def _offered(available: torch.device | None) -> str:
    return "cpu" if available is None else f"cpu, {available.type}"


def has_fast_bf16(device: torch.device) -> bool:
    """True where bf16 products run faster than fp32 ones: CUDA capability 8.0 and later, AMX or AVX512-BF16 on the CPU.

    DCGAN-64 with AVX512-BF16 alone (an EPYC, Zen 4): 1.7 times the fp32 speed (docs/benchmarks.md).
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return False


@dataclass(frozen=True)
class Precision:
    """How the networks compute. Losses and penalties are always in the dtype of the weights."""

    device: torch.device
    name: Literal["fp32", "bf16"]
    compile: bool

    @property
    def low(self) -> bool:
        """True when the networks run under bf16 autocast."""
        return self.name == "bf16"

    def autocast(self) -> AbstractContextManager[object]:
        """The context the networks run in."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.low else nullcontext()

    def full(self) -> AbstractContextManager[object]:
        """The context penalties run in."""
        return torch.autocast(self.device.type, enabled=False) if self.low else nullcontext()


def lacking() -> str | None:
    """What torch.compile lacks on this machine, in words; None when it has all it needs.

    Triton builds its launcher with a C compiler and Python's headers at the first step, and fails there without them.
    """
    if find_spec("triton") is None:
        return "triton is not installed"
    if os.name == "nt":
        return None  # Triton for Windows brings a compiler of its own
    named = os.environ.get("CC")
    if named is not None and shutil.which(named) is None:
        return f"there is no C compiler {named!r}, which CC names"
    if named is None and not (shutil.which("gcc") or shutil.which("clang")):
        return "there is no C compiler (CC, gcc or clang)"
    scheme = sysconfig.get_default_scheme().replace(
        "posix_local", "posix_prefix"
    )  # as Triton does, for Debian's Python
    header = Path(sysconfig.get_path("include", scheme), "Python.h")
    return None if header.is_file() else f"Python's headers are not installed ({header})"


@cache
def _say(text: str) -> None:
    """A line on stderr, once in this process and by one process of this machine."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(text, file=sys.stderr)


def choose_precision(train: Train, device: torch.device) -> Precision:
    """What `train` asks for on this device. Says once on stderr when ``compile=auto`` can not compile on CUDA."""
    low = train.precision == "bf16" or (train.precision == "auto" and has_fast_bf16(device))
    compiled = train.compile == "on"
    if train.compile == "auto" and device.type == "cuda":
        lacks = lacking()
        compiled = lacks is None
        if lacks:
            _say(f"warning: not compiled, and slower for it: {lacks} (train.compile=auto)")
    return Precision(device, "bf16" if low else "fp32", compiled)


@contextmanager
def backends(train: Train, device: torch.device) -> Iterator[None]:
    """TF32 on and cuDNN's autotuner on, or the deterministic kernels; put back afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark)
    deterministic_before = torch.are_deterministic_algorithms_enabled()
    matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = not train.deterministic
    if train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed one
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
        torch.use_deterministic_algorithms(deterministic_before)


def channels_last_(network: nn.Module) -> None:
    """Store 2-d convolution weights channels last, which both cuDNN and oneDNN are faster with."""
    if any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules()):
        network.to(memory_format=torch.channels_last)


def draw_in(dtype: torch.dtype, draw: Draw) -> Draw:
    """`draw` with its sample out of autocast's dtype, so that everything outside the networks computes in `dtype`."""

    def cast_leaf(leaf: object) -> object:
        return leaf.to(dtype) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return replace(draw, sample=tree_map(cast_leaf, draw.sample))
