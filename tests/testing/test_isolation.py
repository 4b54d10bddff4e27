"""`genkit check-plugin`: a line a check, each recipe in a process of its own, with a limit of time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from genkit.cli.main import main
from genkit.testing import check_plugin

LICENCE = ("plugin.py", 'licence="none needed: it is drawn from a seed"', 'licence=""')


def test_a_recipe_that_hangs_is_named_with_its_line_and_the_others_go_on(faulty: Callable[..., str]) -> None:
    stuck = "while type(config).__name__ == 'Grid25':\n        pass\n    return genkit.assemble(config)"
    name = faulty(("recipes.py", "return genkit.assemble(config)", stuck))
    hangs, after, *others = check_plugin(name, limit=5, only=["build", "writer"])
    assert (hangs.check, hangs.subject, hangs.status) == ("build", "faulty.grid25", "fail")
    assert hangs.detail.startswith("it did not end within 5 s: it was at genkit_faulty/recipes.py:")
    assert hangs.detail.endswith("in build")
    assert "--limit" in hangs.cure
    assert (after.check, after.status, after.detail) == ("writer", "skip", "the check `build` failed")
    assert [(one.check, one.subject) for one in others] == [("build", "faulty.ring8"), ("writer", "faulty.ring8")]


def test_a_recipe_that_ends_its_process_costs_its_own_lines(faulty: Callable[..., str]) -> None:
    ends = "import os\n    os._exit(3 if type(config).__name__ == 'Ring8' else 0)"
    name = faulty(("recipes.py", "return genkit.assemble(config)", ends))
    results = {(one.subject, one.check): one for one in check_plugin(name, only=["schema", "build"])}
    assert [one.status for one in results.values()] == ["pass", "fail", "pass", "fail"]
    assert results["faulty.grid25", "build"].detail.startswith("its process ended with 0")
    assert results["faulty.ring8", "build"].detail.startswith("its process ended with 3")


def test_discovery_that_hangs_is_told_as_such_and_leaves_nothing_behind(
    faulty: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = faulty(
        (
            "plugin.py",
            "import genkit\n",
            "import tempfile\n\nimport genkit\n\ntempfile.mkdtemp()\nwhile True:\n    pass\n",
        )
    )
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    hangs, *rest = check_plugin(name, limit=2, only=["hooks", "specs", "meta"])
    assert not list((tmp_path / "temporary").iterdir())
    assert (hangs.check, hangs.status) == ("hooks", "fail")
    assert "it was at genkit_faulty/plugin.py:" in hangs.detail
    assert [(one.check, one.status) for one in rest] == [("specs", "skip")]


def test_the_command_prints_a_line_a_check_with_its_cure(faulty: Callable[..., str]) -> None:
    name = faulty(LICENCE)
    ended = CliRunner().invoke(main, ["check-plugin", name, "--only", "licence", "--only", "specs"])
    assert ended.exit_code == 1
    passed, failed, cure = ended.stdout.splitlines()
    assert passed.split() == ["pass", "specs", name]
    assert failed.split()[:2] == ["fail", "licence"]
    assert failed.endswith("no licence is stated for the data of the dataset `faulty.grid25`")
    assert cure.strip().startswith("fix: DatasetSpec(licence=...)")
    assert "1 of 2 checks failed" in ended.stderr


def test_the_command_answers_in_json_and_says_what_can_not_be_checked(faulty: Callable[..., str]) -> None:
    name = faulty()
    ended = CliRunner().invoke(main, ["check-plugin", name, "--only", "licence", "--json"])
    assert ended.exit_code == 0
    (result,) = json.loads(ended.stdout)
    assert (result["check"], result["subject"], result["status"]) == ("licence", name, "pass")
    for arguments, words in {
        ("genkit-pionts",): "did you mean `genkit-points`?",
        ("genkit-points", "--limit", "0"): "must be more than 0",
        ("genkit-points", "--only", "licences"): "did you mean `licence`?",
    }.items():
        ended = CliRunner().invoke(main, ["check-plugin", *arguments])
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert words in ended.stderr


def test_the_command_refuses_a_plugin_for_a_newer_genkit(faulty: Callable[..., str]) -> None:
    ended = CliRunner().invoke(main, ["check-plugin", faulty(requires=("genkit-gan>=99",))])
    assert ended.exit_code == 3
    assert "it needs genkit-gan>=99, and this is genkit-gan" in ended.stderr
    assert "pip install --upgrade genkit-gan genkit-faulty" in ended.stderr


@pytest.mark.parametrize("hook", ["genkit_recipes", "genkit_models"])
def test_a_registration_hook_that_raises_is_a_failed_check(hook: str, faulty: Callable[..., str]) -> None:
    name = faulty(("plugin.py", f"def {hook}() ->", f"def {hook}(nothing=1 / 0) ->"))
    hooks, *rest = check_plugin(name, only=["hooks", "torch-free", "meta"])
    assert (hooks.status, hooks.check) == ("fail", "hooks")
    assert "ZeroDivisionError" in hooks.detail
    assert [one.status for one in rest] == ["skip"]
