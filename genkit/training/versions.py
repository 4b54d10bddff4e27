"""What a run was made with."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch


def versions() -> dict[str, str]:
    """Versions that a checkpoint's bits depend on."""
    return {"genkit": version("genkit-gan"), "torch": str(torch.__version__), "python": platform.python_version()}
