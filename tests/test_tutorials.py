"""The tutorials' blocks run, in a folder of the page's own, from its top to its end.

A block with a title is a file that the reader writes. Python without one is a program. ``console`` is what is typed
and what comes of it, where ``...`` stands for anything. A block that can not be run here is ``sh``, under a comment
that says why; `tests/test_docs.py` sees to it that its commands exist.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MARK = "<!-- tests/test_tutorials.py runs the blocks of this page -->"
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if MARK in page.read_text(encoding="utf-8"))
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"\n]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S[^\n]* -->\n\Z")
LIMIT = 120  # seconds for one block


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    title: str | None
    text: str
    before: str
    """What stands above it."""


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page's text, in its order."""
    return [
        Block(text[: one.start()].count("\n") + 1, one[1], one[2], one[3], text[: one.start()])
        for one in BLOCK.finditer(text)
    ]


def typed(console: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that are shown below it."""
    for part in re.split(r"^\$ ", console.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, [line for line in shown if line.strip()]


def missing(shown: list[str], output: str) -> str | None:
    """The first of `shown` that `output` does not have after those before it; None where it has them all."""
    lines = iter(output.splitlines())
    for wanted in shown:
        pattern = ".*".join(map(re.escape, wanted.strip().split("...")))
        if not any(re.fullmatch(pattern, line.strip()) for line in lines):
            return wanted
    return None


Runner = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run_block() -> Iterator[Runner]:
    """Runs a block in a fork of a process that has torch loaded."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GENKIT_")}
    driver = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("tutorial_blocks.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
    )
    assert driver.stdin is not None
    assert driver.stdout is not None
    questions, answers = driver.stdin, driver.stdout

    def run(**job: Any) -> dict[str, Any]:
        questions.write(json.dumps({"limit": LIMIT, **job}) + "\n")
        questions.flush()
        said: dict[str, Any] = json.loads(answers.readline())
        return said

    yield run
    questions.close()
    driver.wait(60)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_the_blocks_of_a_tutorial_run(page: Path, run_block: Runner, tmp_path: Path) -> None:
    (tmp_path / ".site").mkdir()
    (tmp_path / ".site" / "paths").touch()
    ran = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{page.name}:{block.line}"
        if block.title is not None:
            path = tmp_path / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            ended = run_block(python=block.text, name=where, folder=str(tmp_path))
            assert ended["code"] == 0, f"{where}: {ended['output']}"
            ran += 1
        elif block.language == "console":
            for command, shown in typed(block.text):
                ended = run_block(command=command, folder=str(tmp_path))
                assert ended["code"] == 0, f"{where}: `{command}`: {ended['output']}"
                assert missing(shown, ended["output"]) is None, (
                    f"{where}: `{command}` does not print {missing(shown, ended['output'])!r} but {ended['output']}"
                )
                ran += 1
        elif block.language in ("sh", "bash"):
            assert NOT_RUN.search(block.before), f"{where}: say above it why it is not run: <!-- not run: ... -->"
    assert ran, f"{page.name}: nothing in it runs"


def test_there_are_tutorials_and_their_links_from_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    names = [str(page.relative_to(ROOT / "docs")) for page in PAGES]
    assert {"start.md", "plugin-tutorial.md", "own-parts.md"} <= set(names)
    assert [name for name in names if f": {name}\n" not in navigation] == []


def test_output_that_is_shown_must_come_in_its_order() -> None:
    output = "step 1\nfigures: 0.25 (floor)\nstep 2\n"
    assert missing(["step 1", "figures: ... (floor)", "step 2"], output) is None
    assert missing(["step 2", "step 1"], output) == "step 1"
    assert missing(["figures: 0.5 ..."], output) == "figures: 0.5 ..."


def test_a_console_block_is_read_as_commands_and_what_they_print() -> None:
    text = "$ genkit run a \\\n    --steps 2\nsaid\n$ ls\n"
    assert list(typed(text)) == [("genkit run a      --steps 2", ["said"]), ("ls", [])]
