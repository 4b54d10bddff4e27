"""`genkit data inspect` and `genkit data prepare`: which dataset is asked, with what, and how it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from genkit.cli.main import main


@pytest.fixture
def call(distributions, tmp_path, monkeypatch):
    distributions.add("shelf-distribution", {"shelf": "shelf_plugin"})
    monkeypatch.chdir(tmp_path)
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("one\n")
    (files / "b.txt").write_text("two\n")

    def invoke(*arguments: object, code: int = 0) -> Result:
        ended = CliRunner().invoke(main, ["data", *map(str, arguments)])
        assert ended.exit_code == code, ended.output
        assert "Traceback" not in ended.output
        return ended

    return invoke


def answer(result: Result) -> dict[str, object]:
    return json.loads(result.stdout)


def test_the_dataset_is_the_one_that_is_named_or_that_alone_reads_paths(call):
    assert answer(call("inspect", "shelf.made", "--json"))["path"] is None
    for choice in (["--modality", "shelf"], ["--dataset", "shelf.books"], ["--dataset", "shelf.hub"]):
        assert answer(call("inspect", "files", *choice, "--json"))["path"] == "files"


def test_a_path_is_for_the_dataset_that_reads_nearly_all_of_its_files(call, tmp_path):
    assert answer(call("inspect", "files", "--json"))["path"] == "files"
    for index in range(18):
        (tmp_path / "files" / f"{index}.REC").touch()
    ended = call("inspect", "files", "--json")
    assert "files: taken for crate.records; 2 of 20 files are for other datasets" in ended.stderr


def test_a_path_that_several_could_read_is_refused_with_their_names(call, tmp_path):
    (tmp_path / "files" / "c.rec").touch()
    refused = call("inspect", "files", code=2).stderr
    assert "files could be read by crate.records (1 files) or shelf.books (2 files)" in refused
    assert "--dataset crate.records or shelf.books" in refused
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "a.xyz").touch()
    refused = call("inspect", "odd", code=2).stderr
    assert "odd could be read by crate.lost or crate.records or shelf.books" in refused


def test_options_of_the_dataset_are_options_of_the_command(call):
    for arguments in (["--rate", 7, "files"], ["files", "--rate=7"]):
        assert answer(call("inspect", *arguments, "--modality", "shelf", "--json"))["rate"] == 7
    wrong = call("inspect", "files", "--lable", "a", code=2).stderr
    assert "data.lable: unknown key; did you mean `label`?" in wrong
    assert "--rate has no value" in call("inspect", "files", "--rate", code=2).stderr
    assert "one dataset or path is asked for, not 2" in call("inspect", "files", "more", code=2).stderr


def test_settings_are_those_of_run_with_and_without_their_prefix(call):
    found = answer(
        call("inspect", "files", "--dataset", "shelf.books", "--set", "data.rate=7", "--set", "label=no", "--json")
    )
    assert found["rate"] == 7
    wrong = call(
        "inspect", "files", "--dataset", "shelf.books", "--set", "rate=fast", "--set", "lable=a", code=2
    ).stderr
    assert "data.rate: expected a whole number, got 'fast'" in wrong
    assert "data.lable: unknown key; did you mean `label`?" in wrong


def test_the_picture_goes_where_it_is_told_or_beside_the_caller(call, tmp_path):
    found = answer(call("inspect", "shelf.made", "--out", tmp_path / "deep" / "it.png", "--json"))
    assert found["picture"] == str(tmp_path / "deep" / "it.png")
    assert answer(call("inspect", "files/", "--dataset", "shelf.books", "--json"))["picture"] == "files-inspect.png"
    assert "does not end in .png" in call("inspect", "shelf.made", "--out", "it.jpg", code=2).stderr


def test_a_person_reads_lines_with_the_names_as_they_are(call):
    assert call("inspect", "shelf.made", "--out", "it.png").stdout.splitlines() == [
        "path: none", "rate: 5", "broken: none", "worst:", "  mean: 0.5", "  files: a_b.txt 1", "advice:",
        "  - read more", "picture: it.png",
    ]  # fmt: skip


def test_prepare_lays_files_out_and_writes_over_nothing(call, tmp_path):
    arguments = ["prepare", "files", "--modality", "shelf", "--out", "laid", "--json"]
    assert answer(call(*arguments)) == {"files": 1, "settings": {"data.path": "laid"}}
    assert (tmp_path / "laid" / "all.txt").read_text() == "one\ntwo\n"
    assert "laid is there already" in call(*arguments, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["inspect", "shelf.plain"], 2, "shelf.plain has no `inspect`"),
        (["inspect", "shelf.boks"], 2, "did you mean `shelf.books`?"),
        (["inspect", "nowhere", "--modality", "shelf"], 2, "nowhere is neither a dataset nor a path that is there"),
        (["inspect", "files", "--modality", "video"], 2, "no installed plugin can inspect video"),
        (["inspect", "files", "--dataset", "shelf.made"], 2, "shelf.made reads no path"),
        (["inspect", "files", "--dataset", "shelf.nothing"], 2, "there is no dataset `shelf.nothing`"),
        (["inspect", "shelf.made", "--modality", "crate"], 2, "shelf.made is a dataset of shelf, not of crate"),
        (["inspect", "empty", "--dataset", "shelf.books"], 1, "empty: is empty"),
        (["inspect", "files", "--dataset", "crate.lost"], 3, "`shelf_parts:missing` can not be imported"),
        (["prepare", "files", "--modality", "crate", "--out", "x"], 2, "no installed plugin can prepare crate"),
        (["prepare", "files"], 2, "Missing option '--out'"),
        (["inspct"], 2, "did you mean `inspect`?"),
    ],
)
def test_what_can_not_be_asked_is_said(call, tmp_path, arguments, code, words):
    (tmp_path / "empty").mkdir()
    ended = call(*arguments, code=code)
    assert words in ended.stderr
    assert ended.stdout == ""


def test_where_no_plugin_can_the_command_says_so(distributions):
    distributions.add_toy()
    for arguments in (["inspect", "x"], ["prepare", "x", "--out", "y"]):
        ended = CliRunner().invoke(main, ["data", *arguments])
        assert ended.exit_code == 2
        assert f"no installed plugin offers `{arguments[0]}`" in ended.stderr


def test_choosing_a_dataset_needs_no_torch(call):
    program = (
        "import sys\nfrom genkit.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n    print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GENKIT_PLUGINS": "shelf"}
    for arguments in (["--help"], ["inspect", "--help"], ["inspect", "files"]):
        ended = subprocess.run(
            [sys.executable, "-c", program, "data", *arguments],
            capture_output=True, text=True, env=environment, check=False, cwd=Path.cwd(),
        )  # fmt: skip
        assert "genkit.cli.data" in ended.stderr
        assert "torch" not in ended.stderr.split()
