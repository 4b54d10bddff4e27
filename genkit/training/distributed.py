"""Many devices: torchrun's environment, parameters broadcast once, one flat all-reduce of gradients for each update.

There is no DDP wrapper. Measured (research/architecture.md, section 2): DDP with ``static_graph``, or with a penalty in
its own backward, gives wrong gradients without an error.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from genkit.errors import GenkitError, UsageError
from genkit.random import Rows

TIMEOUT = timedelta(minutes=30)
STOPPING = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
"""The signals that the launcher passes on to its processes: torch's own, and SIGUSR1."""


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = None
    """A gloo group for flags that are read on the host, so that no device is waited for."""

    @property
    def main(self) -> bool:
        """True on the one process that writes files and talks."""
        return self.rank == 0

    def rows(self, batch_size: int) -> Rows:
        """This rank's rows of a global batch. Raises UsageError when it can not be shared out evenly."""
        if batch_size % self.size:
            raise UsageError(
                f"a batch of {batch_size} can not be shared evenly by {self.size} processes",
                where="train.batch_size",
                fix=f"choose a multiple of {self.size}; batch_size counts all devices together",
            )
        each = batch_size // self.size
        return Rows(self.rank * each, (self.rank + 1) * each, batch_size)

    def broadcast_(self, modules: Iterable[nn.Module]) -> None:
        """Give every rank rank 0's parameters and buffers."""
        if self.size > 1:
            for module in modules:
                for tensor in (*module.parameters(), *module.buffers()):
                    dist.broadcast(tensor.detach(), src=0)

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, in one all-reduce for each dtype."""
        self._reduce_(tensors, dist.ReduceOp.SUM)
        if self.size > 1 and tensors:
            torch._foreach_div_(list(tensors), self.size)

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of `tensor` over the ranks, a new tensor."""
        summed = tensor.detach().clone()
        self._reduce_([summed], dist.ReduceOp.SUM)
        return summed

    def least_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each entry of each tensor by its least over the ranks."""
        self._reduce_(tensors, dist.ReduceOp.MIN)

    def _reduce_(self, tensors: Sequence[Tensor], how: Any) -> None:
        if self.size == 1 or not tensors:
            return
        for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
            same = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with self._contact():
                dist.all_reduce(flat, op=how)
            pieces = flat.split([tensor.numel() for tensor in same])
            torch._foreach_copy_(same, [piece.view_as(tensor) for piece, tensor in zip(pieces, same, strict=True)])

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag, true everywhere when it is true anywhere."""
        if self.size == 1:
            return flags
        shared = torch.tensor([int(flag) for flag in flags])
        with self._contact():
            dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=self.control)
        return tuple(bool(flag) for flag in shared.tolist())

    def share(self, text: str) -> str:
        """Rank 0's text, on every rank."""
        if self.size == 1:
            return text
        box = [text]
        with self._contact():
            dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    def wait(self) -> None:
        """Go on once every rank is here."""
        if self.size > 1:
            with self._contact():
                dist.barrier(group=self.control)

    @contextmanager
    def _contact(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise GenkitError(
                f"process {self.rank} of {self.size} lost contact with the others: {str(error).splitlines()[0]}",
                fix="the process that failed first says why; under torchrun --max-restarts the run goes on by itself",
            ) from error

    def leave(self) -> None:
        """End the process group, if one was joined."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join(device_type: str) -> World:
    """The world that torchrun's environment describes; a world of one without it.

    Raises UsageError when part of it is missing, GenkitError when the other processes can not be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise UsageError(
            f"WORLD_SIZE is {size}, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set",
            where="the environment",
            fix="start it with torchrun, which sets them all, or with --nproc; or unset WORLD_SIZE to train alone",
        )
    rank, local_rank = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    backend = "nccl" if device_type == "cuda" else "gloo"
    try:
        if not dist.is_initialized():
            store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
            # torchrun may hand restarted workers the store of their dead predecessors, whose addresses are still in it
            # (seen with torch 2.15, --standalone): without names of their own they wait for ports that nobody serves.
            store = PrefixStore(f"restart-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
        control = dist.new_group(backend="gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise GenkitError(f"rank {rank} of {size} could not join the others at {address}: {error}") from error
    return World(rank, size, local_rank, control)


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Start ``python -m genkit ARGUMENTS`` on this machine in `processes` processes, as torchrun does; the exit code of
    the first that failed, else 0.

    The rendezvous takes a free port unless ``MASTER_PORT`` names one. Raises UsageError when that one is in use.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    port = _free_port(os.environ.get("MASTER_PORT"))
    known = {field.name for field in fields(LaunchConfig)}
    # Without it a SIGUSR1 ends the launcher alone, and the processes go on as orphans (torch 2.14).
    signals: dict[str, Any] = {"signals_to_handle": STOPPING} if "signals_to_handle" in known else {}
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"genkit-{os.getpid()}",
        rdzv_backend="static",
        rdzv_endpoint=f"127.0.0.1:{port}",
        rdzv_configs={"rank": 0, "timeout": 900},
        max_restarts=0,
        monitor_interval=0.2,
        **signals,
    )
    threads = max(1, (os.cpu_count() or 1) // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    try:
        elastic_launch(config, sys.executable)("-m", "genkit", *arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _free_port(asked: str | None) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(asked) if asked else 0))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"the port {asked} can not be used for --nproc: {error}",
                where="MASTER_PORT",
                fix="unset MASTER_PORT to take a free one, or name another",
            ) from error
        return int(probe.getsockname()[1])
