"""What a benchmark was run on, and how its scripts speak: progress on stderr, one JSON object last on stdout."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Processor, cores, threads, torch, and whether bf16 products are fast here. Imports torch."""
    import torch

    able = torch.cpu.get_capabilities()
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "amx_bf16": bool(able.get("amx_bf16", False)),
        "avx512_bf16": bool(able.get("avx512_bf16", False)),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def cpu_model() -> str:
    """The processor's name."""
    known = Path("/proc/cpuinfo")
    if known.is_file():
        for line in known.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def answer(found: Mapping[str, Any], *, as_json: bool) -> None:
    """The result on stdout: one JSON object on one line, or the same indented for people."""
    print(json.dumps(found, ensure_ascii=False, indent=None if as_json else 2), flush=True)
