"""The environment of processes that a check starts. Nothing here imports torch."""

from __future__ import annotations

import os
import sys


def child_environment() -> dict[str, str]:
    """This process's environment for a child, which is to find the modules that this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
