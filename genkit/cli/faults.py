"""How a command ends that does not end well: one line of what, one of where, one of what to do, and an exit code."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from pathlib import Path

import click

from genkit.errors import GenkitError, Interrupted

_log: Path | None = None


def log_to(path: Path | None) -> None:
    """Name the file that tracebacks are added to from now on: a run's ``log.txt``; None ends that."""
    global _log
    _log = path


OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
"""What a disk says when it is full, protected or broken: no bug of ours, and its own words are the cause."""


def report(error: BaseException, *, debug: bool = False) -> int:
    """Say on stderr what went wrong. Returns the exit code.

    Args:
        error: what ended the command.
        debug: show the traceback too.
    """
    if isinstance(error, click.Abort):
        _say("interrupted")
        return 130
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "genkit"
        _say(f"error: {error.format_message()}\n  fix:   `{path} --help` shows how it is used")
        return error.exit_code
    if isinstance(error, click.ClickException):
        _say(f"error: {error.format_message()}")
        return error.exit_code
    text = "".join(traceback.format_exception(error))
    if debug:
        _say(text.rstrip())
    if isinstance(error, GenkitError):
        if _log is not None:
            _keep(text)
        _say(str(error) if isinstance(error, Interrupted) else f"error: {error}")
        return error.exit_code
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        where = f"\n  where: {error.filename}" if error.filename else ""
        if _log is not None:
            _keep(text)
        _say(f"error: {error.strerror}{where}")
        return 1
    summary = " ".join(traceback.format_exception_only(error)[-1].split())
    _say(f"error: internal: {summary}\n  where: {_keep(text)} has the traceback\n  fix:   please report it as a bug")
    return 1


def _keep(text: str) -> str:
    """Write a traceback where it can be found. Returns the file's name."""
    if _log is not None:
        try:
            with _log.open("a", encoding="utf-8") as file:
                file.write(text)
            return str(_log)
        except OSError as error:
            _say(f"warning: {_log} can not be written: {error.strerror}")
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="genkit-", suffix=".log", delete=False) as file:
            file.write(text)
            return file.name
    except OSError as error:
        return f"no file ({error.strerror}), but --debug"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
