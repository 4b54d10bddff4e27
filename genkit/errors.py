"""One small tree of errors. Each says what, where and what to do, and carries the exit code of the command it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial


class GenkitError(Exception):
    """The root of everything genkit raises on purpose.

    Args:
        what: one sentence, naming the file, key, value or plugin.
        where: the place of the fault, such as ``config.yaml: optim.critic.lr``.
        fix: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class UsageError(GenkitError):
    """The command line, or a call's arguments, ask for something that is not there."""

    exit_code = 2


class ConfigError(UsageError):
    """A config has unknown keys or values that do not fit; every problem is listed at once."""

    def __init__(
        self, what: str, *, problems: Sequence[str] = (), where: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        head, *rest = super().__str__().split("\n")
        return "\n".join([head, *(f"  {problem}" for problem in self.problems), *rest])


class UnknownNameError(UsageError):
    """No plugin offers a thing of this name."""


class DataError(GenkitError):
    """A dataset is empty, or a file of it cannot be read."""


class CheckpointError(GenkitError):
    """A checkpoint is truncated, of another version, or could not be written."""


class PluginError(GenkitError):
    """A plugin is missing, broken, blocked or incompatible."""

    exit_code = 3


class DivergedError(GenkitError):
    """Training met a non-finite loss or gradient and stopped."""

    exit_code = 4


class Interrupted(GenkitError):  # noqa: N818  (it is no error: the run was asked to stop and saved itself)
    """A signal asked the run to stop; the step was finished and a checkpoint written."""

    def __init__(self, what: str, *, signal_number: int) -> None:
        super().__init__(what)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[Callable[..., Interrupted], tuple[str]]:
        """What another process needs to raise it there."""
        return partial(type(self), signal_number=self.exit_code - 128), (self.what,)
