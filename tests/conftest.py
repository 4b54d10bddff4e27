"""What tests share: one thread, plugins loaded anew for each test, and distributions that exist for one test only."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from genkit import plugins as plugin_loader

FAKES = Path(__file__).parent / "fakes"
sys.path.insert(0, str(FAKES))  # `words_parts` is a language that tests of several directories speak


@pytest.fixture(autouse=True)
def fresh_plugins() -> Iterator[None]:
    """Plugins that a test loads are gone when it ends."""
    plugin_loader.reset()
    yield
    plugin_loader.reset()


@dataclass
class Distributions:
    """A directory of distributions, for sys.path or PYTHONPATH."""

    path: Path
    names: list[str] = field(default_factory=list)

    def add(
        self,
        distribution: str,
        entry_points: dict[str, str],
        *,
        version: str = "1.0",
        requires: Sequence[str] = (),
        modules: dict[str, str] | None = None,
    ) -> None:
        """Install a distribution: its metadata, entry points of the group `genkit`, and modules with these sources."""
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}")
        points = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
        (info / "entry_points.txt").write_text(f"[genkit]\n{points}")
        (info / "top_level.txt").write_text("".join(f"{name}\n" for name in modules or {}))
        for name, source in (modules or {}).items():
            (self.path / f"{name}.py").write_text(dedent(source))
        self.names += entry_points

    def add_toy(self) -> None:
        """Install the plugin of tests/fakes/toy_plugin.py."""
        self.add("toy-distribution", {"toy": "toy_plugin"}, version="2.0")

    def add_words(self) -> None:
        """Install the plugin of tests/fakes/words_plugin.py."""
        self.add("words-distribution", {"words": "words_plugin"})


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """Distributions that this process and its children see, and no plugin but theirs."""
    made = Distributions(tmp_path / "site")
    made.path.mkdir()
    before = set(sys.modules)
    for path in (FAKES, made.path):
        monkeypatch.syspath_prepend(path)
    # The plugins installed beside genkit are blocked by whatever does not name them.
    monkeypatch.setattr(plugin_loader, "entry_points", lambda group: _only_in(made.path, group))
    yield made
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith((str(made.path), str(FAKES))):
            del sys.modules[name]


def _only_in(path: Path, group: str) -> list[object]:
    from importlib.metadata import distributions

    return [point for one in distributions(path=[str(path)]) for point in one.entry_points if point.group == group]


@pytest.fixture
def words_run(distributions: Distributions, tmp_path: Path) -> Path:
    """A run of two steps of `words.chain`, the one modality there is."""
    import genkit

    distributions.add_words()
    path = tmp_path / "run"
    genkit.run("words.chain", steps=2, out=path, device="cpu")
    return path


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def genkit_command(distributions: Distributions, tmp_path: Path) -> Callable[..., Ended]:
    """Runs ``python -m genkit`` in a process of its own, which sees `distributions` and nothing else as plugins."""

    def run(*args: str, only: Sequence[str] | None = None, **environment: str) -> Ended:
        seen = distributions.names if only is None else only
        known = {
            **{key: value for key, value in os.environ.items() if not key.startswith("GENKIT_")},
            "PYTHONPATH": os.pathsep.join([str(distributions.path), str(FAKES), os.environ.get("PYTHONPATH", "")]),
            "GENKIT_PLUGINS": ",".join(seen),
            **environment,
        }
        ended = subprocess.run(
            [sys.executable, "-m", "genkit", *args],
            capture_output=True,
            text=True,
            env=known,
            cwd=tmp_path,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run
