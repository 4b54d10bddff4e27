"""What can be asked of `genkit sample` and `genkit eval`: settings of plugins' generators, conditions from a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genkit.cli.main import main


def call(*arguments: object, code: int = 0, given: str | None = None) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=given)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def rows(*conditions: Any) -> str:
    return "".join(f"{json.dumps(condition)}\n" for condition in conditions)


CALM, LOUD = {"label": "calm"}, {"label": "loud"}


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_help_lists_what_plugins_generators_can_be_told(command: str, words_run: Path) -> None:
    listed = " ".join(call(command, "--help").stdout.split())
    assert "--temperature FLOAT Divides the logits. (words)" in listed
    assert "--first-word FLOAT The index of the first word. (words)" in listed
    assert "--temperature" not in call("--no-plugin", "words", command, "--help").stdout


def test_two_modalities_share_an_option(words_run: Path) -> None:
    from types import SimpleNamespace

    import genkit
    from genkit.plugins import plugins

    spec = genkit.WriterSpec(modality="sounds", build="no:where", sampling={"temperature": "Warmth."})
    plugins().register("sounds", SimpleNamespace(genkit_writers=genkit.hookimpl(lambda: [spec])))
    listed = " ".join(call("sample", "--help").stdout.split())
    assert "--temperature FLOAT Warmth. (sounds) Divides the logits. (words)" in listed


@pytest.mark.parametrize("name", ["seed", "help", "json", "kind", "as_json"])
def test_a_setting_with_the_name_of_an_own_option_is_refused(name: str, distributions: Any) -> None:
    from types import SimpleNamespace

    import genkit
    from genkit.plugins import plugins

    spec = genkit.WriterSpec(modality="sounds", build="no:where", sampling={name: "Mine."})
    plugins().register("loud", SimpleNamespace(genkit_writers=genkit.hookimpl(lambda: [spec])))
    refused = call("sample", "--help", code=3).stderr
    assert f"plugin `loud`: its setting `{name}` can not become an option of `genkit sample`" in refused
    assert "call it otherwise" in refused


def test_help_of_the_commands_that_draw_needs_no_torch(words_run: Path, distributions: Any) -> None:
    program = (
        "import sys\n"
        "from genkit.cli.main import main\n"
        "try:\n    main(['sample', '--help'])\n"
        "finally:\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GENKIT_PLUGINS": "words"}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert "--temperature" in ended.stdout
    assert ended.stderr == "False\n"


def test_a_setting_is_told_to_the_generator(words_run: Path) -> None:
    asked = ["sample", words_run, "--count", "30", "--condition", "label=calm"]
    usual, cold, again = (
        call(*asked, *told).stdout.splitlines() for told in ([], ["--temperature", "0.01"], ["--temperature", "0.01"])
    )
    assert len(set(cold)) == 1 < len(set(usual))
    assert cold == again
    scores = {
        told: json.loads(call("eval", words_run, "--count", 64, "--json", *told).stdout)["metrics"]["forward_kl"]
        for told in ((), ("--temperature", "0.2"))
    }
    assert scores["--temperature", "0.2"]["value"] > scores[()]["value"]
    assert scores["--temperature", "0.2"]["protocol"]["fake"]["split"] == "generated, temperature 0.2"


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_setting_that_this_generator_lacks_is_refused(command: str, words_run: Path) -> None:
    refused = call(command, words_run, "--first-word", "2", code=2)
    assert "error: this generator has no setting first_word" in refused.stderr
    assert "it can be told: temperature" in refused.stderr
    assert refused.stdout == ""
    assert "--tempo" in call(command, words_run, "--tempo", "2", code=2).stderr
    assert "'hot' is not a valid float" in call(command, words_run, "--temperature", "hot", code=2).stderr


# --- what is printed -------------------------------------------------------------------------------------------------


def test_samples_that_a_terminal_can_show_are_printed_and_no_file_is_written(words_run: Path) -> None:
    printed = call("sample", words_run, "--count", 3).stdout.splitlines()
    assert len(printed) == 3
    assert all(set(line.split()) <= {"ho", "la", "mi", "so"} for line in printed)
    assert not (words_run / "samples" / "drawn").exists()
    assert len(call("sample", words_run).stdout.splitlines()) == 16


def test_json_prints_an_object_a_sample(words_run: Path) -> None:
    printed = [json.loads(line) for line in call("sample", words_run, "--count", 4, "--json").stdout.splitlines()]
    assert [set(one) for one in printed] == [{"label", "text"}] * 4
    assert [one["text"] for one in printed] == call("sample", words_run, "--count", 4).stdout.splitlines()


def test_a_directory_or_an_array_takes_the_place_of_the_terminal(words_run: Path, tmp_path: Path) -> None:
    out, array = tmp_path / "drawn", tmp_path / "drawn.npz"
    printed = call("sample", words_run, "--count", 3, "--out", out).stdout.split()
    assert printed == [str(out / "sample.txt")]
    drawn = call("sample", words_run, "--count", 3).stdout
    assert (out / "sample.txt").read_text() == drawn
    assert call("sample", words_run, "--count", 3, "--array", array).stdout.split() == [str(array)]
    both = json.loads(call("sample", words_run, "--out", out, "--array", array, "--json").stdout)
    assert both == {"array": str(array), "files": [str(out / "sample.txt")]}


# --- conditions from a file ------------------------------------------------------------------------------------------


def labels(result: Result) -> list[str]:
    return [json.loads(line)["label"] for line in result.stdout.splitlines()]


def test_each_line_of_a_file_is_asked_for_in_its_order(words_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_text(rows(LOUD, CALM) + "\n" + rows({"label": 1}))
    assert labels(call("sample", words_run, "--conditions", file, "--json")) == ["loud", "calm", "loud"]


def test_count_is_for_each_condition(words_run: Path) -> None:
    asked = ["sample", words_run, "--conditions", "-", "--json"]
    assert labels(call(*asked, "--count", 2, given=rows(LOUD, CALM))) == ["loud", "loud", "calm", "calm"]
    assert labels(call(*asked, given=rows(CALM))) == ["calm"]


def test_standard_input_is_a_file_like_any_other(words_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_text(rows(LOUD, CALM, CALM))
    piped = call("sample", words_run, "--conditions", "-", given=file.read_text())
    assert piped.stdout == call("sample", words_run, "--conditions", file).stdout
    assert len(piped.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("given", "line", "words"),
    [
        (rows(LOUD) + "{'label': 1}\n", 2, "this is no JSON"),
        ("\n\nlabel=loud\n", 3, "this is no JSON"),
        (rows(LOUD, {"label": "calm", "tone": "dry"}), 2, "this line gives label, tone, the first label"),
        (rows(LOUD) + "\n" + rows({"tone": "dry"}), 3, "this line gives tone, the first label"),
        (rows("loud"), 1, "expected an object of conditions"),
        (rows(LOUD, [CALM]), 2, "expected an object of conditions"),
        (rows({}), 1, "expected an object of conditions"),
        ("", None, "there is no condition in it"),
        (" \n\n", None, "there is no condition in it"),
    ],
)
def test_a_line_that_asks_for_nothing_is_named(
    words_run: Path, tmp_path: Path, given: str, line: int | None, words: str
) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_text(given)
    refused = call("sample", words_run, "--conditions", file, code=2).stderr
    assert words in refused
    assert f"where: {file}{'' if line is None else f':{line}'}\n" in f"{refused}\n"
    assert words in call("sample", words_run, "--conditions", "-", code=2, given=given).stderr


def test_a_line_that_is_no_utf8_is_named_with_its_byte(words_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_bytes(rows(LOUD).encode() + b'{"label": "cal\xff"}\n' + rows(CALM).encode())
    refused = call("sample", words_run, "--conditions", file, code=2).stderr
    assert "byte 14 of this line is no UTF-8" in refused
    assert f"where: {file}:2\n" in refused
    file.write_text(rows({"label": "lôud"}), encoding="utf-8")
    assert "unknown label 'lôud'" in call("sample", words_run, "--conditions", file, code=2).stderr


def test_what_the_generator_does_not_know_is_refused_wherever_it_stands(words_run: Path, tmp_path: Path) -> None:
    refused = call("sample", words_run, "--conditions", "-", code=2, given=rows(LOUD, {"label": "quiet"}))
    assert "unknown label 'quiet'" in refused.stderr
    assert "not tone" in call("sample", words_run, "--conditions", "-", code=2, given=rows({"tone": "dry"})).stderr
    assert "missing.jsonl" in call("sample", words_run, "--conditions", tmp_path / "missing.jsonl", code=2).stderr


def test_a_condition_that_is_given_twice_is_refused(words_run: Path) -> None:
    asked = ["sample", words_run, "--conditions", "-", "--condition", "label=calm"]
    assert "both --condition and --conditions say label" in call(*asked, code=2, given=rows(LOUD)).stderr
