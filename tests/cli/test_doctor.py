"""What `genkit doctor` finds."""

from __future__ import annotations

import json
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

from genkit.cli import doctor
from genkit.cli.main import main


def test_another_distribution_of_the_package_is_an_error(monkeypatch):
    monkeypatch.setattr(doctor, "packages_distributions", lambda: {"genkit": ["genkit-gan", "genkit"]})
    check = doctor.check_distributions()
    assert check.status == "error"
    assert "`genkit` also belongs to genkit:" in check.detail
    assert check.fix.startswith("pip uninstall genkit;")


@pytest.mark.parametrize("owners", [{}, {"genkit": ["genkit-gan"]}])
def test_our_own_distribution_is_fine(monkeypatch, owners):
    monkeypatch.setattr(doctor, "packages_distributions", lambda: owners)
    assert doctor.check_distributions().status == "ok"


def test_the_clash_is_seen_in_a_real_environment(genkit_command, distributions):
    distributions.add("genkit", {}, modules={"unrelated": ""})
    info = distributions.path / "genkit-1.0.dist-info"
    (info / "top_level.txt").write_text("genkit\n")
    ended = genkit_command("doctor", "--json")
    assert ended.code == 1
    (package,) = [check for check in json.loads(ended.out) if check["name"] == "package"]
    assert package["status"] == "error"


def test_another_command_first_on_path_is_an_error(monkeypatch, tmp_path):
    other = tmp_path / "genkit"
    other.write_text("#!/usr/bin/env node\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_command()
    assert check.status == "error"
    assert str(other) in check.detail
    assert f"`{sys.executable} -m genkit`" in check.fix


def test_a_link_to_our_command_is_ours(monkeypatch, tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "genkit").write_text("#!python\n")
    (scripts / "genkit").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "genkit").symlink_to(scripts / "genkit")
    monkeypatch.setattr(doctor.sysconfig, "get_path", lambda *args: str(scripts))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert doctor.check_command().status == "ok"


def test_no_command_on_path_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.check_command().status == "warning"


def test_a_torchaudio_that_does_not_load_is_warned_of(monkeypatch):
    def fail(name):
        raise OSError("Could not load this library: _torchaudio.abi3.so")

    monkeypatch.setattr(doctor, "version", lambda name: "2.11.0")
    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    (check,) = doctor.check_torchaudio()
    assert check.status == "warning"
    assert check.detail.startswith("2.11.0 does not load beside this torch: OSError: Could not load this library")


def test_torchaudio_is_not_asked_for_where_it_is_not_installed(monkeypatch):
    def fail(name):
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", fail)
    assert list(doctor.check_torchaudio()) == []


@pytest.mark.parametrize(("gib", "status"), [(20, "ok"), (3, "warning"), (0.5, "error")])
def test_free_disk_is_judged(monkeypatch, gib, status):
    usage = namedtuple("usage", "free")(int(gib * 2**30))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    assert doctor.check_disk(Path("/")).status == status


def test_plugins_and_their_own_checks_are_shown_and_an_error_ends_with_1(distributions, monkeypatch):
    monkeypatch.setattr(doctor, "check_torchaudio", lambda: iter(()))
    monkeypatch.setattr(doctor, "check_disk", lambda path: doctor.Check(name="disk", status="ok", detail=""))
    monkeypatch.setattr(doctor, "check_command", lambda: doctor.Check(name="command", status="ok", detail=""))
    monkeypatch.setenv("GENKIT_PLUGINS", "toy")
    distributions.add_toy()
    fine = CliRunner().invoke(main, ["doctor"])
    assert fine.exit_code == 0, fine.output
    lines = fine.stdout.splitlines()
    assert any(line.split(maxsplit=2) == ["ok", "plugin", "toy   toy-distribution 2.0"] for line in lines)
    assert any(line.startswith("warning  toy") and line.endswith("the box is empty") for line in lines)
    assert any(line.strip() == "fix: buy toys" for line in lines)
    assert any("GENKIT_PLUGINS=toy" in line for line in lines)


def test_a_broken_plugin_is_an_error_of_the_installation(distributions):
    distributions.add("raises-dist", {"raises": "raising"}, modules={"raising": "raise OSError('no such library')"})
    ended = CliRunner().invoke(main, ["doctor", "--json"])
    assert ended.exit_code == 1
    checks = {check["name"]: check for check in json.loads(ended.stdout)}
    assert checks["plugin core"]["status"] == "ok"
    assert checks["plugin raises"]["status"] == "error"
    assert checks["plugin raises"]["detail"] == "raises-dist 1.0 is broken: OSError: no such library"
    assert checks["torch"]["status"] != "error"
