"""How a check ends that does not pass. Nothing here imports torch."""

from __future__ import annotations

import sys
import sysconfig
import traceback
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genkit.errors import ConfigError, GenkitError

Status = Literal["pass", "fail", "skip"]


class CheckFailure(AssertionError):  # noqa: N818  (pytest's own word for a test that fails)
    """A plugin does not keep to the contract.

    Args:
        what: one sentence, naming the thing and, where it is known, the file and line.
        cure: what its author can do about it.
    """

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.what}\n  fix: {self.cure}"


class CheckSkipped(unittest.SkipTest):
    """A check has nothing to look at, or the machine lacks what it needs. pytest reports it as a skipped test.

    Args:
        why: one sentence.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Result:
    """What became of one check."""

    check: str
    """Its name, such as ``meta``."""
    subject: str
    """The distribution or the recipe it looked at."""
    status: Status
    detail: str = ""
    """What is wrong, or why it was skipped; empty for a check that passed."""
    cure: str = ""
    """What to do about it; empty unless it failed."""
    seconds: float = 0.0


def as_failure(error: BaseException, cure: str) -> CheckFailure:
    """What a plugin raised while it was checked, in one line with the line of its code that raised it.

    Args:
        error: any exception; genkit's own bring their cure along.
        cure: of the check, for all others.
    """
    if isinstance(error, CheckFailure):
        return error
    if isinstance(error, GenkitError):
        problems = f" {'; '.join(error.problems)}" if isinstance(error, ConfigError) else ""
        where = f" ({error.where})" if error.where else ""
        return CheckFailure(f"{error.what}{problems}{where}", error.fix or cure)
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    found = place(error)
    return CheckFailure(f"{said} ({found})" if found else said, cure)


def place(error: BaseException) -> str | None:
    """``file.py:12 in forward``: the innermost line that is neither torch's, genkit's nor Python's; None without."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not foreign(frame.filename)]
    return f"{shortened(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name}" if frames else None


def foreign(file: str) -> bool:
    """Whether a file belongs to torch, genkit, Python or nobody."""
    path = Path(file)
    loaded = [sys.modules.get(name) for name in ("genkit", "torch", "pluggy", "click", "pydantic")]
    if any(Path(str(module.__file__)).parent in path.parents for module in loaded if module is not None):
        return True
    standard = Path(sysconfig.get_path("stdlib")) in path.parents
    return file.startswith("<") or (standard and "site-packages" not in path.parts)


def shortened(file: str) -> str:
    """A file by its package and name: ``genkit_points/models.py``."""
    return "/".join(Path(file).parts[-2:])
