"""SIGTERM, SIGINT and SIGUSR1 ask a run to stop: the step is finished and a checkpoint written before it does."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)
)  # Windows has no SIGUSR1


ONE_STOP = 2.0
"""Seconds within which a signal that comes again is still the same request: a scheduler that tells all processes tells
the launcher too, which passes it on to those that have heard it."""


class StopRequest:
    """While it is entered, remembers the first stopping signal instead of dying by it. A second one is not held back:
    another signal, or the same one later than an echo of the first would come.

    The handler only sets `received`; the trainer looks at it between steps. In a thread that may not handle signals it
    never hears one.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._since = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = number, now
        elif number != self.received or now - self._since >= ONE_STOP:
            signal.signal(number, self._previous.get(number, signal.SIG_DFL))
            signal.raise_signal(number)


def ignore_in_worker() -> None:
    """In a loader process: leave stopping to the trainer, which still needs its batches to finish the step."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
