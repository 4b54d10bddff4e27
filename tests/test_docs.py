"""The written pages: generated ones are current, hooks are documented and tested, links lead somewhere, Python runs,
and the site is built of them without a warning."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner

import genkit
import genkit.testing
from genkit import errors
from genkit.catalog import catalog
from genkit.cli.main import main
from genkit.plugins import ITEMS, plugins
from genkit.runs import Run

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *DOCS]
READMES = sorted([*ROOT.glob("plugins/*/README.md"), *ROOT.glob("examples/*/README.md")])
FEW_STEPS = 4  # instead of what a page's Python says


def load_generator() -> ModuleType:
    """docs/generate.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load_generator()


FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TUTORIAL = "<!-- tests/test_tutorials.py runs the blocks of this page -->"


def blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """The fenced blocks of some languages, each with its line."""
    text = page.read_text(encoding="utf-8")
    return [(text[: one.start()].count("\n") + 1, one[2]) for one in FENCED.finditer(text) if one[1] in languages]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


# --- generated pages -------------------------------------------------------------------------------------------------


def test_generated_pages_are_current() -> None:
    assert generator.stale() == []


def test_generated_pages_depend_on_neither_terminal_nor_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COLUMNS": "200", "TERM": "dumb", "GENKIT_PLUGINS": "", "LC_ALL": "C"}.items():
        monkeypatch.setenv(name, value)
    assert generator.stale() == []


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of docs/ that the generator works on."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.setattr(generator, "DOCS", tmp_path / "docs")
    return tmp_path / "docs"


def test_a_stale_page_is_named_and_written_anew_below_its_head(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = docs / "cli.md"
    current = page.read_text(encoding="utf-8")
    changed = current.replace("# The command line", "# Commands").replace("Train a recipe.", "Cook a recipe.")
    page.write_text(changed, encoding="utf-8")
    assert generator.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "docs/cli.md is stale" in said
    assert re.search(r"^-  run +Cook a recipe\.$", said, re.MULTILINE)
    assert re.search(r"^\+  run +Train a recipe\.$", said, re.MULTILINE)
    assert "recipes.md" not in said
    assert page.read_text(encoding="utf-8") == changed
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    assert page.read_text(encoding="utf-8") == current.replace("# The command line", "# Commands")


def test_a_page_without_the_marker_is_not_overwritten(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (docs / "recipes.md").write_text("by hand\n", encoding="utf-8")
    assert generator.main([]) == 1
    assert "docs/recipes.md has no line" in capsys.readouterr().err
    assert (docs / "recipes.md").read_text(encoding="utf-8") == "by hand\n"


def test_recipes_page_has_every_key_of_every_recipe() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name, spec in catalog().recipes.items():
        if name.partition(".")[0] not in ("image", "text", "audio", "points"):
            continue
        cls = catalog().config_class(spec)
        shared, _, own = page.partition("\n## Recipes\n")
        section = own.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert section, name
        for key, *_ in generator.rows(cls, generator.plain_defaults(cls)):
            assert f"| `{key}` |" in shared + section, f"{name}: {key}"


def test_recipes_page_has_every_export_format() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for spec in catalog().exports.values():
        if spec.modality in ("image", "text", "audio"):
            assert f"| `{spec.name}` | {spec.modality} | {spec.summary} |" in page


# --- hooks -----------------------------------------------------------------------------------------------------------

HOOKS = sorted(generator.hook_headings())


def test_every_hook_is_documented_with_its_exact_arguments() -> None:
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    assert generator.undocumented(page) == []
    changed = page.replace("### `genkit_step_end(run, step, metrics)`", "### `genkit_step_end(run, metrics)`")
    assert len(generator.undocumented(changed)) == 2  # one line lacks, the other is of no hook


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_that_implements_it(hook: str) -> None:
    tree = ast.parse((ROOT / "tests" / "test_hooks.py").read_text(encoding="utf-8"))
    tests = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
    assert f"test_{hook}" in tests, f"tests/test_hooks.py has no test_{hook}"
    keywords = {one.arg for one in ast.walk(tests[f"test_{hook}"]) if isinstance(one, ast.keyword)}
    assert hook in keywords, f"test_{hook} implements no {hook}"


def test_the_examples_of_the_hooks_page_are_a_plugin_that_works(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    for line, block in blocks(ROOT / "docs" / "hooks.md", "python"):
        exec(compile(block, f"hooks.md:{line}", "exec"), names)
    status = plugins().register("sketch", SimpleNamespace(**names))
    assert status.state == "ok", status.error
    assert sorted(status.hooks) == HOOKS
    for hook in ITEMS:
        assert [item for found, item in plugins().collect(hook) if found.name == "sketch"], hook
    small = {**catalog().recipe("points.ring8").smoke, "train.checkpoint_every": 1}
    result = genkit.run("points.ring8", steps=2, values=small, out=tmp_path / "run", device="cpu")
    assert result.metrics["preview_bytes"] > 0
    assert (tmp_path / "run" / "sketch.json").read_text() == '{"recipe": "points.ring8", "seed": 0}'
    assert (tmp_path / "run" / "losses.tsv").read_text().startswith("1\t")
    assert "sketch: done" in (tmp_path / "run" / "log.txt").read_text()
    checkpoint = torch.load(Run.open(tmp_path / "run").checkpoint() / "optimizers.pt", weights_only=True)
    assert checkpoint["observers"] == {"sketch.drawn": {"intervals": 0}}


# --- what pages say --------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`(?!\])", "", prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name}: {target} is not there"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target} has no such heading"


def test_exit_codes_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), re.M)
    told = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+)`", names) if int(code) < 128}
    kinds = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, genkit.GenkitError)}
    assert told == {kind.__name__: kind.exit_code for kind in kinds - {genkit.Interrupted}}
    assert {int(code) for code, names in rows if "Interrupted" in names} == {
        genkit.Interrupted("", signal_number=number).exit_code for number in (2, 15)
    }


def commands() -> Iterator[tuple[str, list[str]]]:
    """The arguments of each `genkit` command in the pages' shell blocks."""
    for page in [*PAGES, *READMES]:
        for _, block in blocks(page, "sh", "bash", ""):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] in (["torchrun"], ["srun"]) and "genkit" in words:
                    words = words[words.index("genkit") :]
                if words[:1] == ["genkit"]:
                    yield f"{page.relative_to(ROOT)}: {' '.join(words)}", words[1:]


COMMANDS = dict(commands())


@pytest.mark.parametrize("shown", COMMANDS)
def test_a_command_that_is_shown_can_be_given(shown: str) -> None:
    name, *arguments = COMMANDS[shown]
    if name == "run":
        ended = CliRunner().invoke(main, [name, *arguments, "--dry-run"])
        assert ended.exit_code == 0, ended.stderr
    else:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        command.make_context(name, arguments)  # raises for an option there is not


@pytest.mark.parametrize(
    ("page", "line", "block"),
    [
        pytest.param(page, line, block, id=f"{page.relative_to(ROOT)}:{line}")
        for page in PAGES
        if TUTORIAL not in page.read_text(encoding="utf-8")  # test_tutorials.py runs those from top to end
        for line, block in blocks(page, "python")
    ],
)
def test_python_that_is_shown_runs(
    page: Path, line: int, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = re.sub(r"\bsteps=([\d_]+)", lambda said: f"steps={min(int(said[1]), FEW_STEPS)}", block)
    exec(compile("\n" * line + short, page.name, "exec"), {"__name__": "__main__"})


# --- the site --------------------------------------------------------------------------------------------------------


def test_every_public_name_is_in_the_python_reference() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: genkit\.(\S+)$", page, re.MULTILINE))
    modules = {"objectives", "penalties", "estimators", "terms", "evaluation"}
    parts = {f"evaluation.{name}" for name in genkit.evaluation.__all__}
    parts |= {f"testing.{name}" for name in genkit.testing.__all__}
    for name in modules - {"evaluation"}:
        module = getattr(genkit, name)
        kinds = (genkit.Objective, genkit.Penalty, genkit.Estimator, genkit.Term)
        parts |= {
            f"{name}.{key}"
            for key, one in vars(module).items()
            if isinstance(one, type) and issubclass(one, kinds) and one.__module__ == module.__name__
        }
    assert shown == (set(genkit.__all__) - modules - {"__version__"}) | parts


class Requests(HTMLParser):
    """What a page would fetch when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("script", "img", "audio", "iframe", "source") and given.get("src"):
            self.found.append(str(given["src"]))
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.found.append(str(given["href"]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("mkdocs", reason='the extra `docs` is not installed: pip install "genkit-gan[docs]"')
    path = tmp_path_factory.mktemp("site")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return path


def test_the_site_is_built_without_a_warning_and_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert {page.relative_to(ROOT / "docs").with_suffix(".html") for page in DOCS} <= {
        page.relative_to(site) for page in pages
    }
    for page in pages:
        requests = Requests()
        requests.feed(page.read_text(encoding="utf-8"))
        for one in requests.found:
            assert not re.match(r"([a-z]+:)?//", one), f"{page.name} fetches {one}"
            assert one.startswith("/") or (page.parent / one.partition("?")[0]).exists(), f"{page.name}: {one}"


def test_formulas_are_mathml_and_links_out_of_the_pages_are_names(site: Path) -> None:
    iteration = (site / "concepts" / "iteration.html").read_text(encoding="utf-8")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in iteration
    assert "genkit/training/phases.py" in iteration
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'class="arithmatex"' not in text, page.name
        assert 'href="../genkit/' not in text, page.name
        assert 'href="../../genkit/' not in text, page.name
