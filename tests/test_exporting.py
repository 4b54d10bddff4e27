"""`genkit export` and `genkit.export`: a run in a format that a plugin brings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import genkit
from genkit.cli.main import main


def call(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["export", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def head(file: Path) -> torch.Tensor:
    return torch.tensor(json.loads(file.read_text())["head"])


def test_a_run_is_written_beside_its_checkpoints(words_run: Path) -> None:
    printed = call(words_run, "--to", "table").stdout.split()
    file = words_run / "export" / "table" / "table.json"
    assert printed == [str(file)]
    assert json.loads(file.read_text())["words"] == ["ho", "la", "mi", "so"]
    assert torch.equal(head(file), genkit.load(words_run).generator.head.weight)


def test_python_and_the_command_write_the_same(words_run: Path, tmp_path: Path) -> None:
    (file,) = genkit.export(words_run, "table", out=tmp_path / "deep" / "place")
    assert file == tmp_path / "deep" / "place" / "table.json"
    printed = json.loads(call(words_run, "--to", "table", "--out", tmp_path / "other", "--json").stdout)
    assert printed == {"files": [str(tmp_path / "other" / "table.json")]}
    assert (tmp_path / "other" / "table.json").read_bytes() == file.read_bytes()


def test_raw_weights_and_earlier_checkpoints_can_be_exported(words_run: Path, tmp_path: Path) -> None:
    genkit.resume(words_run, steps=30, device="cpu")
    choices = {
        "average": [], "raw": ["--weights", "raw"], "early": ["--checkpoint", "2"],
        "early raw": ["--checkpoint", "2", "--weights", "raw"],
    }  # fmt: skip
    found = {}
    for name, options in choices.items():
        call(words_run, "--to", "table", "--out", tmp_path / name, *options)
        found[name] = tuple(head(tmp_path / name / "table.json").flatten().tolist())
    assert len(set(found.values())) == 4
    sampler = genkit.load(words_run, checkpoint=2, weights="raw")
    assert torch.equal(head(tmp_path / "early raw" / "table.json"), sampler.generator.head.weight)


def test_an_unknown_format_is_refused_with_those_of_the_modality(words_run: Path) -> None:
    refused = call(words_run, "--to", "flac", code=2).stderr
    assert "words generators can not be exported to 'flac'" in refused
    assert "formats: table" in refused
    assert "where: --to" in refused
    assert not (words_run / "export").exists()


def test_what_is_there_already_is_not_written_over(words_run: Path, tmp_path: Path) -> None:
    call(words_run, "--to", "table")
    before = (words_run / "export" / "table" / "table.json").read_bytes()
    assert f"{words_run / 'export' / 'table'} is there already" in call(words_run, "--to", "table", code=2).stderr
    assert (words_run / "export" / "table" / "table.json").read_bytes() == before
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    assert "where: --out" in call(words_run, "--to", "table", "--out", mine, code=2).stderr
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}"], "Missing option '--to'"),
        (["{tmp}", "--to", "table"], "not a run directory"),
        (["{run}", "--to", "table", "--weights", "best"], "--weights"),
    ],
)
def test_a_wrong_call_is_a_line_and_exit_2(words_run: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "empty").mkdir()
    assert words in call(*[one.format(run=words_run, tmp=tmp_path / "empty") for one in arguments], code=2).stderr


def test_a_checkpoint_that_is_not_there_is_named(words_run: Path) -> None:
    assert "there are: 2" in call(words_run, "--to", "table", "--checkpoint", "7", code=1).stderr
