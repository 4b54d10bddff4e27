"""`genkit new-plugin`: what it writes conforms, and what can not be written leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genkit import UsageError
from genkit.plugins import plugins, reset
from genkit.scaffold import TEMPLATES, new_plugin
from genkit.testing import checks_of
from genkit.testing.conformance import OF_PLUGINS, OF_RECIPES

DEAR = ("compiled", "smoke-run", "two-ranks")
"""Checks of seconds each: of one template here, of every one by the commands that docs/plugins.md names."""
Make = Callable[..., str]


@pytest.fixture
def scaffold(distributions: Any) -> Make:
    """Writes a plugin and installs it for one test, as pip would. Returns its distribution's name."""

    def make(template: str, modality: str = "fresh") -> str:
        name = f"genkit-{modality}-{template}"
        written = new_plugin(name, modality, template=template, out=distributions.path.parent / name)
        package = name.replace("-", "_")
        (written / package).rename(distributions.path / package)
        distributions.add(name, {modality: f"{package}.plugin"})
        reset()  # the names of those there were have been read
        return name

    return make


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_plugin_conforms(template: str, scaffold: Make) -> None:
    dear = () if template == "vector" else DEAR
    checks = checks_of(scaffold(template), only=[name for name in (*OF_PLUGINS, *OF_RECIPES) if name not in dear])
    failed = {str(check): result.what for check in checks if (result := check.result()).status == "fail"}
    assert not failed
    assert len(checks) == len(OF_PLUGINS) + len(OF_RECIPES) - len(dear)


def test_new_plugins_pass_their_own_tests_and_ours_of_style(scaffold: Make, distributions: Any) -> None:
    names = [scaffold(template, f"m{number}") for number, template in enumerate(TEMPLATES)]
    below = distributions.path.parent
    environment = {**os.environ, "PYTHONPATH": str(distributions.path), "OMP_NUM_THREADS": "1"}

    def run(*command: str, place: Path = below) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", *command], cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    tests = [str(below / name / "tests" / "test_parts.py") for name in names]
    run("pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *tests)
    for name in names:
        package = distributions.path / name.replace("-", "_")
        settings = ["--config", str(below / name / "pyproject.toml")]
        run("ruff", "check", "--no-cache", *settings, str(package), str(below / name / "tests"))
        run("ruff", "format", "--no-cache", "--check", *settings, str(package), str(below / name / "tests"))
    options = ["--strict", "--warn-unreachable", "--cache-dir", os.devnull, "--follow-imports", "silent"]
    options += ["--untyped-calls-exclude", "torch"]
    packages = [word for name in names for word in ("-p", name.replace("-", "_"))]
    run("mypy", *options, *packages, place=distributions.path)


def test_the_files_are_those_of_a_distribution(tmp_path: Path) -> None:
    written = new_plugin("genkit-fresh", "fresh", template="waveform", out=tmp_path / "new")
    files = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    assert {"pyproject.toml", "README.md", "LICENSE", ".gitignore", ".github/workflows/test.yml"} <= files
    assert {"genkit_fresh/plugin.py", "genkit_fresh/py.typed", "tests/test_conformance.py"} <= files
    text = (written / "pyproject.toml").read_text(encoding="utf-8")
    assert 'fresh = "genkit_fresh.plugin"' in text
    assert '"genkit-gan>=' in text
    assert not any("{{" in path.read_text(encoding="utf-8") for path in written.rglob("*.py"))


@pytest.mark.parametrize(
    ("name", "modality", "said"),
    [
        ("Genkit Demo", "fresh", "no name for a distribution"),
        ("genkit-fresh", "de mo", "no name for a modality"),
        ("json", "fresh", "Python has it"),
        ("pluggy", "fresh", "the distribution pluggy .* is installed already"),
        ("genkit-gan-demo", "fresh", "genkit's own"),
        ("genkit-fresh", "image", "`image`"),
    ],
)
def test_a_name_that_is_taken_or_none_is_refused_and_nothing_written(
    name: str, modality: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        new_plugin(name, modality, out=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_modality_of_an_installed_plugin_is_refused(distributions: Any, tmp_path: Path) -> None:
    distributions.add_words()
    assert plugins().status("words") is not None
    with pytest.raises(UsageError, match="the plugin `words` is installed already, by words-distribution"):
        new_plugin("genkit-fresh", "words", out=tmp_path / "new")


def test_a_directory_that_holds_something_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        new_plugin("genkit-fresh", "fresh", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_can_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(self: Path, *args: Any, **options: Any) -> int:
        if self.name == "LICENSE":
            raise OSError(28, "No space left on device")
        return write(self, *args, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        new_plugin("genkit-fresh", "fresh", out=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_the_command_names_the_next_ones(genkit_command: Callable[..., Any], tmp_path: Path) -> None:
    target = tmp_path / "new"
    ended = genkit_command("new-plugin", "genkit-fresh", "--modality", "fresh", "--out", str(target))
    assert (ended.code, ended.out.strip()) == (0, str(target))
    assert "genkit check-plugin genkit-fresh" in ended.err
    again = genkit_command("new-plugin", "genkit-fresh", "--modality", "fresh", "--out", str(target))
    assert again.code == 2
    assert "is not empty" in again.err
