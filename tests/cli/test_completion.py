"""Completion of commands, options, recipes and plugins, without torch and without noise."""

from __future__ import annotations

import subprocess

import pytest


def complete(genkit_command, line: str):
    """What bash would offer at the end of `line`."""
    words = line.split(" ")
    ended = genkit_command(_GENKIT_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1))
    assert ended.err == ""
    return [entry.partition(",")[2] for entry in ended.out.split()]


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("genkit rec", ["recipes"]),
        ("genkit gr", ["greet"]),
        ("genkit config to", ["toy.plain"]),
        ("genkit run ", ["toy.plain"]),
        ("genkit config toy.plain --sch", ["--schema"]),
        ("genkit --no-plugin to", ["toy"]),
        ("genkit bench ", ["toy"]),
        ("genkit completion f", ["fish"]),
    ],
)
def test_names_are_completed(genkit_command, distributions, line, offers):
    distributions.add_toy()
    assert complete(genkit_command, line) == offers


def test_a_broken_plugin_does_not_write_on_the_terminal(genkit_command, distributions):
    distributions.add_toy()
    distributions.add("raises-dist", {"raises": "raising"}, modules={"raising": "raise OSError('no such library')"})
    assert complete(genkit_command, "genkit config ") == ["toy.plain"]


def test_completing_imports_no_torch(genkit_command, distributions):
    distributions.add_toy()
    source = "import sys, atexit\natexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
    distributions.add("spy-dist", {"spy": "spy_module"}, modules={"spy_module": source})
    ended = genkit_command(_GENKIT_COMPLETE="bash_complete", COMP_WORDS="genkit run ", COMP_CWORD="2")
    assert ended.out.split() == ["plain,toy.plain"]
    assert ended.err == "False\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(genkit_command, shell):
    ended = genkit_command("completion", shell)
    assert ended.code == 0
    assert f"_GENKIT_COMPLETE={shell}_complete" in ended.out
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=ended.out, text=True, check=False).returncode == 0
