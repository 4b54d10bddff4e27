"""What a person sees while a run trains: a live view on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from genkit.cli.faults import log_to
from genkit.training.observers import EndStatus, Observer
from genkit.training.trainer import Trainer

PLAIN_EVERY = 5.0  # seconds between lines when stderr is no terminal


def progress(console: Console | None = None) -> Observer:
    """The view that fits stderr."""
    console = console or Console(stderr=True)
    return LiveView(console) if console.is_terminal else PlainView(console)


class View(Observer):
    """What both views know."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began = time.monotonic()
        self._from = 0

    def started(self, trainer: Trainer) -> None:
        self._began, self._from = time.monotonic(), trainer.step
        if trainer.run:
            log_to(trainer.run.path / "log.txt")
        if trainer.world.main:
            compiled = ", compiled" if trainer.precision.compile else ""
            where = f"{trainer.device}, {trainer.precision.name}{compiled}"
            ranks = f" x {trainer.world.size}" if trainer.world.size > 1 else ""
            place = f" in {trainer.run.path}" if trainer.run else ""
            again = f", going on from step {trainer.step}" if trainer.step else ""
            self.say(f"training{place} on {where}{ranks}{again}")

    def warned(self, trainer: Trainer, text: str) -> None:
        self.say(f"warning: step {trainer.step}: {text}")

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        if trainer.world.main and status != "failed":
            self.say(f"{status} at step {trainer.step} after {clock(trainer.seconds)}")

    def say(self, text: str) -> None:
        """One line of words."""
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def rate(self, trainer: Trainer) -> float:
        """Samples a second since this process began."""
        spent = max(time.monotonic() - self._began, 1e-9)
        return (trainer.step - self._from) * trainer.train.batch_size / spent

    def rows(self, trainer: Trainer, means: Mapping[str, float]) -> list[tuple[str, str]]:
        """The figures a person wants, in order."""
        rows = [("step", f"{trainer.step:,}" + (f" of {trainer.train.steps:,}" if trainer.train.steps else ""))]
        rows.append(("samples/s", f"{self.rate(trainer):,.0f}"))
        rows += [
            (name.replace("loss/", "") + " loss", f"{means[name]:.4g}")
            for name in ("loss/critic", "loss/generator")
            if name in means
        ]
        rows += [(name.split("/", 1)[1], f"{value:.4g}") for name, value in means.items() if name.startswith("term/")]
        if "critic/accuracy" in means:
            rows.append(("critic accuracy", f"{means['critic/accuracy']:.0%}"))
        share = penalty_share(trainer, means)
        if share is not None:
            rows.append(("penalty share", f"{share:.0%}"))
        left = time_left(trainer, self.rate(trainer))
        if left is not None:
            rows.append(("time left", clock(left)))
        used = memory(trainer)
        if used is not None:
            rows.append(("memory", f"{used / 2**20:,.0f} MiB"))
        return rows


class PlainView(View):
    """One line every few seconds."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = 0.0

    def logged(self, trainer: Trainer, means: Mapping[str, float]) -> None:
        now = time.monotonic()
        if trainer.world.main and now - self._last >= PLAIN_EVERY:
            self._last = now
            self.say(" | ".join(f"{name} {value}" for name, value in self.rows(trainer, means)))


class LiveView(View):
    """A small table that is rewritten in place."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def started(self, trainer: Trainer) -> None:
        super().started(trainer)
        if trainer.world.main:
            self._live.start()

    def logged(self, trainer: Trainer, means: Mapping[str, float]) -> None:
        if trainer.world.main:
            table = Table.grid(padding=(0, 2))
            for name, value in self.rows(trainer, means):
                table.add_row(Text(name, style="dim"), value)
            self._live.update(table, refresh=True)

    def previewed(self, trainer: Trainer, path: Path) -> None:
        self.say(f"step {trainer.step}: {path}")

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        self._live.stop()
        super().ended(trainer, status, error)


def penalty_share(trainer: Trainer, means: Mapping[str, float]) -> float | None:
    """The weighted penalties' share in the critic's loss plus penalties; None without penalties."""
    from genkit.schedules import value_at

    weighted = [
        value_at(penalty.weight, trainer.samples) * abs(means[f"penalty/{name}"])
        for name, penalty in trainer.experiment.penalties.items()
        if f"penalty/{name}" in means
    ]
    if not weighted or "loss/critic" not in means:
        return None
    return sum(weighted) / (sum(weighted) + abs(means["loss/critic"]) + 1e-12)


def time_left(trainer: Trainer, rate: float) -> float | None:
    """Seconds until the run's end at this rate; None when nothing is known of it."""
    if trainer.train.minutes is not None:
        return max(60 * trainer.train.minutes - trainer.seconds, 0.0)
    if trainer.train.steps is None or rate <= 0:
        return None
    return (trainer.train.steps - trainer.step) * trainer.train.batch_size / rate


def memory(trainer: Trainer) -> int | None:
    """Peak bytes: of the device where it keeps count, else of this process; None where neither is known (Windows)."""
    if trainer.device.type == "cuda":
        return torch.cuda.max_memory_allocated(trainer.device)
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def clock(seconds: float) -> str:
    """``1h02m``, ``4m10s``, ``9s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
