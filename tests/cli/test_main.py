"""The command's frame: what it imports, how it ends, what it says on which stream."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

import genkit
from genkit.cli import faults
from genkit.cli.main import TABLE, main
from genkit.plugins import plugins


@pytest.fixture
def invoke(distributions):
    distributions.add_toy()
    return lambda *args: CliRunner().invoke(main, args)


@pytest.mark.parametrize("args", [["--help"], ["recipes", "--json"]])
def test_listing_needs_no_torch_and_half_a_second(distributions, args):
    distributions.add_toy()
    program = (
        "import sys\n"
        "from genkit.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GENKIT_PLUGINS": "toy"}
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(
            [sys.executable, "-c", program, *args], capture_output=True, text=True, env=environment, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    imported = set(ended.stderr.split())
    assert "genkit.catalog" in imported
    assert not {"torch", "numpy", "rich", "pydantic", "ruamel.yaml"} & imported
    assert "toy.plain" in ended.stdout or args == ["--help"]
    assert min(seconds) < 0.5


def test_help_lists_the_core_and_what_plugins_add(invoke):
    ended = invoke("--help")
    assert ended.exit_code == 0
    for name, (_, summary) in TABLE.items():
        assert any(line.split()[:1] == [name] and summary in line for line in ended.stdout.splitlines())
    theirs = ended.stdout.partition("Plugin commands:")[2]
    assert "greet  Says hello." in theirs
    assert "Would replace ours" not in ended.stdout
    assert "`run` can not replace genkit's own" in ended.stderr


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_command_has_help(invoke, name):
    ended = invoke(name, "--help")
    assert ended.exit_code == 0, ended.output
    assert f"Usage: genkit {name}" in ended.stdout


def test_a_plugins_command_runs_and_can_not_replace_ours(invoke):
    assert invoke("greet", "--name", "Ada").stdout == "hello Ada\n"
    assert "Train a recipe" in invoke("run", "--help").stdout


def test_a_plugins_command_that_is_none_names_the_plugin(invoke):
    ended = invoke("odd")
    assert ended.exit_code == 3
    assert "error: plugin `toy`: `toy_parts:PRESETS` is no click command" in ended.stderr


def test_benchmarks_are_the_plugins(invoke):
    assert "toy  Times a toy." in invoke("bench", "--help").stdout
    assert invoke("bench", "toy").stdout == "42 toys a second\n"
    unknown = invoke("bench", "toi")
    assert unknown.exit_code == 2
    assert "error: there is no benchmark `toi`; did you mean `toy`?" in unknown.stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["rcipes"], 2, "error: there is no command `genkit rcipes`; did you mean `recipes`?"),
        (["recipes", "--jsn"], 2, "error: No such option"),
        (["config"], 2, "error: Missing argument 'RECIPE'."),
        (["config", "toy.plane"], 2, "error: there is no recipe `toy.plane`; did you mean `toy.plain`?"),
        (
            ["config", "toy.plain", "--set", "train.stops=1"],
            2,
            "train.stops: unknown key; did you mean `steps`? (--set)",
        ),
        (["config", "toy.plain", "--config", "missing.yaml"], 2, "error: the config file missing.yaml can not be read"),
        (["config", "toy.plain", "--schema", "--diff"], 2, "error: --schema describes the recipe"),
        (["config", "audio.vocos"], 3, "no plugin for the modality `audio` is installed"),
        (["--no-plugin", "toy", "config", "toy.plain"], 3, "plugin `toy` is blocked: --no-plugin names it"),
        (["--no-plugin", "tay", "recipes"], 2, "error: --no-plugin: there is no plugin `tay`; did you mean `toy`?"),
        (["runs", "nowhere"], 2, "error: there is no directory nowhere"),
        (["completion", "tcsh"], 2, "error: Invalid value for"),
    ],
)
def test_an_error_is_a_line_on_stderr_and_an_exit_code(invoke, args, code, message):
    ended = invoke(*args)
    assert ended.exit_code == code
    assert message in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_a_bug_is_one_line_and_its_traceback_is_kept(invoke, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = invoke("fail")
    assert ended.exit_code == 1
    assert "error: internal: ZeroDivisionError: no toys to share" in ended.stderr
    assert "Traceback" not in ended.stderr
    (log,) = tmp_path.glob("genkit-*.log")
    assert str(log) in ended.stderr
    assert "in fail" in log.read_text()
    assert "Traceback" in invoke("--debug", "fail").stderr


def test_the_traceback_goes_to_the_log_of_an_active_run(tmp_path, capsys):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    faults.log_to(log)
    try:
        assert faults.report(ValueError("odd")) == 1
        assert faults.report(genkit.DivergedError("loss is nan")) == 4
    finally:
        faults.log_to(None)
    text = log.read_text()
    assert text.startswith("before\n")
    assert "ValueError: odd" in text
    assert "DivergedError: loss is nan" in text
    assert capsys.readouterr().err.count("\n") == 4


def test_errors_carry_their_exit_codes():
    codes = {
        genkit.GenkitError("x"): 1, genkit.UsageError("x"): 2, genkit.ConfigError("x"): 2,
        genkit.UnknownNameError("x"): 2,
        genkit.PluginError("x"): 3, genkit.DivergedError("x"): 4, genkit.Interrupted("x", signal_number=15): 143,
        genkit.Interrupted("x", signal_number=2): 130, click.UsageError("x"): 2, RuntimeError("x"): 1,
    }  # fmt: skip
    assert {error: faults.report(error) for error in codes} == codes


def test_control_c_ends_with_130(invoke):
    def interrupt():
        raise KeyboardInterrupt

    command = click.Command("hang", callback=interrupt)
    sys.modules["hang_module"] = SimpleNamespace(hang=command)
    spec = genkit.CommandSpec(name="hang", summary="Hangs.", command="hang_module:hang")
    plugins().register("hang", SimpleNamespace(genkit_commands=genkit.hookimpl(lambda: [spec])))
    try:
        ended = invoke("hang")
    finally:
        del sys.modules["hang_module"]
    assert ended.exit_code == 130
    assert "Traceback" not in ended.stderr


def test_a_reader_that_goes_away_is_no_error(distributions):
    distributions.add_toy()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GENKIT_PLUGINS": "toy"}
    command = [sys.executable, "-m", "genkit", "config", "toy.plain", "--schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_python_m_genkit_is_the_command(genkit_command):
    assert genkit_command("--version").out == f"genkit, version {genkit.__version__}\n"


def test_strict_plugins_stops_with_the_first_that_fails(genkit_command, distributions):
    distributions.add("raises-dist", {"raises": "raising"}, modules={"raising": "raise OSError('no such library')"})
    for ended in (genkit_command("--strict-plugins", "recipes"), genkit_command("recipes", GENKIT_STRICT_PLUGINS="1")):
        assert ended.code == 3
        assert ended.err.startswith("error: plugin `raises` is broken: OSError: no such library\n")
    assert genkit_command("recipes").code == 0


def test_every_state_at_once_and_the_others_work(genkit_command, distributions):
    distributions.add_toy()
    distributions.add("raises-dist", {"raises": "raising"}, modules={"raising": "raise OSError('no such library')"})
    misspelt = "import genkit\n@genkit.hookimpl\ndef genkit_recipies(): return []\n"
    distributions.add("misspelt-dist", {"misspelt": "misspelt_module"}, modules={"misspelt_module": misspelt})
    distributions.add("twin-a", {"twin": "twin_module"})
    distributions.add("twin-b", {"twin": "twin_module"})
    distributions.add("new-dist", {"new": "new_module"}, requires=["genkit-gan>=99"])
    distributions.add("unwanted-dist", {"unwanted": "unwanted_module"})
    distributions.add("ignored-dist", {"ignored": "ignored_module"})
    only = [name for name in distributions.names if name != "ignored"]
    listed = genkit_command("--no-plugin", "unwanted", "plugins", "--json", only=only)
    assert listed.code == 0
    installed = ("image", "text", "audio", "points")
    states = [(row["name"], row["state"]) for row in json.loads(listed.out) if row["name"] not in installed]
    assert states == [
        ("core", "ok"), ("ignored", "blocked"), ("misspelt", "broken"), ("new", "incompatible"), ("raises", "broken"),
        ("toy", "ok"), ("twin", "duplicate"), ("twin", "duplicate"), ("unwanted", "blocked"),
    ]  # fmt: skip
    assert len(listed.err.splitlines()) == 5
    recipes = genkit_command("recipes", "--json", only=only)
    assert [row["recipe"] for row in json.loads(recipes.out)] == ["toy.plain"]
    asked = genkit_command("config", "raises.anything", only=only)
    assert asked.code == 3
    assert "plugin `raises` is broken: OSError: no such library" in asked.err
    verbose = genkit_command("plugins", "--verbose", only=only)
    assert "raising.py" in verbose.out
    assert "raising.py" not in genkit_command("plugins", only=only).out
