"""pytest shows each check as a test, and a session that asks for none pays nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from genkit.testing.environment import child_environment


def test_importing_the_kit_imports_neither_torch_nor_the_catalog() -> None:
    code = (
        "import sys, genkit.testing.pytest_plugin;"
        "print(sorted({'torch', 'pydantic', 'genkit.catalog', 'genkit.plugins'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_three_lines_make_tests_of_a_plugins_checks(faulty: Callable[..., str], tmp_path: Path) -> None:
    name = faulty(("plugin.py", 'licence="none needed: it is drawn from a seed"', 'licence=""'))
    file = tmp_path / "test_faulty.py"
    file.write_text(
        "import pytest\nfrom genkit.testing import checks_of\n"
        f"@pytest.mark.parametrize('check', checks_of({name!r}, only=['hooks', 'licence', 'specs']), ids=str)\n"
        "def test_conforms(check): check.run()\n"
    )
    said = pytest_says(tmp_path, str(file))
    assert "2 passed" in said
    assert "1 failed" in said
    assert "test_conforms[licence-genkit-faulty]" in said


def test_an_option_adds_the_checks_to_any_session(faulty: Callable[..., str], tmp_path: Path) -> None:
    name = faulty(("plugin.py", 'licence="none needed: it is drawn from a seed"', 'licence=""'))
    said = pytest_says(tmp_path, "--genkit-plugin", name, "-k", "licence or hooks or schema-faulty.ring8")
    assert "1 failed, 2 passed" in said
    assert "FAILED genkit-faulty::licence-genkit-faulty - no licence is stated" in said
    assert "fix: DatasetSpec(licence=...)" in said
    assert "there is no distribution `nobody`" in pytest_says(tmp_path, "--genkit-plugin", "nobody")


def pytest_says(folder: Path, *arguments: str) -> str:
    plugin = ["-p", "genkit.testing.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:genkit"]
    command = [sys.executable, "-m", "pytest", *plugin, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=child_environment(), cwd=folder, check=False)
    return ended.stdout + ended.stderr
