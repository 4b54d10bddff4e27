"""Runs a distribution's checks in processes of their own, so that one that hangs, exits or crashes costs its own line.

This process neither imports torch nor loads the plugin.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence, Set
from pathlib import Path
from typing import IO, Any

from genkit.errors import PluginError
from genkit.testing.conformance import FIRST, OF_PLUGINS, OF_RECIPES, chosen
from genkit.testing.distribution import Subject, find
from genkit.testing.environment import child_environment
from genkit.testing.outcome import Result, shortened

LIMIT = 300.0
"""Seconds that one check may take."""
START = 120.0
"""Seconds that a child has to begin, and beyond the limit to end itself, before it is killed."""
ENDLESS = "look for a loop without an end, a lock, or a download at the line that is named; --limit allows more seconds"
TIMEOUT = "Timeout ("
"""How faulthandler begins the stacks of a process whose time is up."""
LOST = "a plugin must not end its process: look for sys.exit, os._exit, or a library that crashes"


def check_plugin(distribution: str, *, limit: float = LIMIT, only: Sequence[str] = ()) -> Iterator[Result]:
    """Check an installed distribution in children of this process: one result a check, as they come.

    Args:
        distribution: its name, as pip knows it.
        limit: seconds that one check may take; one that takes longer fails, and the others go on.
        only: names of checks; none means all. A plugin that does not load is told of in any case.

    Raises UsageError when the distribution is not installed, has no plugin, or `only` names no check; PluginError when
    its plugin is blocked, needs another genkit, or shares its name with another.
    """
    subject = find(distribution)
    wanted = chosen(only)
    recipes: list[str] = []
    first = [check for check in OF_PLUGINS if check in wanted or check in FIRST]
    for result in _run(subject, "", first, limit):
        if isinstance(result, list):
            recipes = result
        elif result.check in wanted or result.status == "fail":
            yield result
    checks = [check for check in OF_RECIPES if check in wanted]
    for recipe in recipes if checks else ():
        yield from (result for result in _run(subject, recipe, checks, limit) if isinstance(result, Result))


def _run(of: Subject, recipe: str, checks: Sequence[str], limit: float) -> Iterator[Result | list[str]]:
    """Results of the checks of a recipe, or of the distribution where `recipe` is empty; of the latter also the names
    of its recipes. A child that is lost loses the check it was at, and another does the rest."""
    left, subject = list(checks), recipe or of.distribution
    packages = {target.partition(":")[0].partition(".")[0] for target in of.targets.values()}
    while left:
        command = [sys.executable, "-m", "genkit.testing.child", of.distribution, recipe, str(limit), *left]
        with contextlib.closing(_events(command, limit, packages)) as events:
            for event in events:
                if "error" in event:
                    raise PluginError(event["error"], where=event["where"], fix=event["fix"])
                if "recipes" in event:
                    yield list(event["recipes"])
                if not {"lost", "result"} & set(event):
                    continue
                cure = ENDLESS if event.get("endless") else LOST
                at = left[0] if left else checks[-1]
                result = (
                    Result(at, subject, "fail", event["lost"], cure) if "lost" in event else Result(**event["result"])
                )
                yield result
                left = [name for name in left if name != result.check]
                if result.status == "fail" and result.check in FIRST:
                    for name in left:
                        yield Result(name, subject, "skip", f"the check `{result.check}` failed")
                    return


def _events(command: Sequence[str], limit: float, packages: Set[str]) -> Generator[dict[str, Any]]:
    """What a child says, an object a line; then ``lost`` with the reason, where it did not end as it should.

    Args:
        command: what starts it.
        limit: seconds for one check; it ends itself after them, and is killed when it does not.
        packages: whose lines are named when it does not end.
    """
    with contextlib.ExitStack() as stack:
        # What a child that is killed leaves behind goes with this folder; sockets in it have short names.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gk-", ignore_cleanup_errors=True))
        said = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
        environment = {**child_environment(), "TMPDIR": folder}
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment, start_new_session=True
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
        try:
            while True:
                line = lines.get(timeout=limit + START)
                if line is None:
                    yield _loss(child.wait(), _said(said), limit, packages)
                    return
                event = json.loads(line)
                if "done" in event:
                    return
                yield event
        except queue.Empty:
            yield _loss(None, TIMEOUT + _said(said), limit, packages)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # its loaders and ranks too
            child.wait()


def _read(stream: IO[str] | None, lines: queue.Queue[str | None]) -> None:
    assert stream is not None
    for line in stream:
        lines.put(line)
    lines.put(None)


def _said(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()


def _loss(code: int | None, said: str, limit: float, packages: Set[str]) -> dict[str, Any]:
    """Why a child was lost, of its exit code and of what it said on stderr: the stack, where its time was up."""
    if TIMEOUT not in said:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return {"lost": f"its process ended with {code}{f': {lines[-1]}' if lines else ''}"}
    frames = re.findall(r'^  File "(.*)", line (\d+) in (.*)$', said.partition(TIMEOUT)[2], re.MULTILINE)
    own = [
        f": it was at {shortened(file)}:{line} in {name}"
        for file, line, name in frames
        if packages & set(Path(file).parts)
    ]
    return {"lost": f"it did not end within {limit:g} s{own[0] if own else ''}", "endless": True}
