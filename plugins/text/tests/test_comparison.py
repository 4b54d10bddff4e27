"""What is said of a recipe beside its controls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from genkit import GenkitError, UsageError
from genkit_text.comparison import Comparison, Trial, compare, compared


def trials(**values: list[float]) -> list[Trial]:
    """Runs with seeds 0, 1, ... whose figure `j` is given for each control; lower is better."""
    return [
        Trial(control, seed, 10, 1.0, "run", {"j": {"value": value, "floor": 0.0, "better": "lower"}})
        for control, each in values.items()
        for seed, value in enumerate(each)
    ]


def test_an_adversary_better_than_every_control_is_said_to_help():
    found = Comparison("toy", trials(none=[1.0, 1.1, 0.9], constant=[3.0, 3.1, 2.9], shuffled=[3.5, 3.4, 3.6]))
    assert found.judge("constant", "j") == 1
    assert found.verdict() == "The adversary helped, more than every control, on: j."


def test_a_difference_within_the_seeds_scatter_proves_nothing():
    found = Comparison("toy", trials(none=[1.0, 3.0, 2.0], constant=[2.5, 2.0, 2.4]))
    assert found.judge("constant", "j") == 0
    assert found.verdict().startswith("Nothing here shows that the adversary helped")


def test_being_worse_than_a_control_is_said():
    found = Comparison("toy", trials(none=[3.0, 3.1, 2.9], constant=[5.0, 5.1, 4.9], likelihood=[1.0, 1.1, 0.9]))
    assert [found.judge(control, "j") for control in found.controls] == [1, -1]
    assert "It was worse than a control on: j." in found.verdict()
    assert "Nothing here shows" in found.verdict()


def test_where_real_is_best_both_too_much_and_too_little_count_as_far():
    found = Comparison("toy", trials(none=[1.0, 1.1, 0.9], constant=[-3.0, -3.1, -2.9], shuffled=[3.0, 3.1, 2.9]))
    for trial in found.trials:
        trial.scores["j"]["better"] = "real"
    assert [found.judge(control, "j") for control in found.controls] == [1, 1]
    for trial in found.trials:
        trial.scores["j"]["floor"] = None
    assert [found.judge(control, "j") for control in found.controls] == [0, 0]


def test_without_a_control_nothing_is_said_of_the_adversary():
    assert Comparison("toy", trials(none=[1.0, 2.0])).verdict().startswith("No control was run")


def test_one_seed_says_nothing():
    assert Comparison("toy", trials(none=[1.0], constant=[9.0])).verdict().startswith("One seed")


def test_paired_differences_have_the_t_tests_error():
    found = Comparison("toy", trials(none=[1.0, 2.0, 3.0], constant=[2.0, 4.0, 6.0]))
    mean, error = found.difference("constant", "j")
    assert mean == pytest.approx(2.0)
    assert error == pytest.approx(1 / 3**0.5)
    assert found.judge("constant", "j") == 0  # t = 3.46 is under 4.30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "a"], "are no seeds"),
        (["--seeds", "1,1"], "twice"),
        (["--controls", "nothing"], "there is no control nothing"),
        (["--steps", "1", "--minutes", "1"], "both --steps and --minutes"),
    ],
)
def test_bad_options_are_told(words, said):
    ended = CliRunner().invoke(compare, ["text.sentences", *words])
    assert isinstance(ended.exception, UsageError)
    assert said in str(ended.exception)


def test_a_failed_run_is_named_with_what_it_said(tmp_path: Path):
    with pytest.raises(GenkitError, match=r"text.sentences with seed 0 and control none failed: .*nowhere"):
        compared("text.sentences", seeds=[0], steps=1, overrides=["data.name=text.nowhere"], out=tmp_path)


def test_the_command_runs_a_recipe_and_its_controls(tmp_path: Path):
    words = [
        "text.sentences", "--seeds", "0", "--controls", "constant", "--steps", "2", "--jobs", "2", "--json",
        "--out", tmp_path, "--set", "preset=oracle", "--set", "data.examples=64", "--set", "data.held_out=64",
        "--set", "train.eval_samples=64",
    ]  # fmt: skip
    ended = CliRunner().invoke(compare, list(map(str, words)), catch_exceptions=False)
    found = json.loads(ended.stdout.splitlines()[-1])
    assert {(one["control"], one["seed"], one["steps"]) for one in found["trials"]} == {
        ("none", 0, 2),
        ("constant", 0, 2),
    }
    assert found["summary"]["none"]["j"]["mean"] > 0
    assert found["verdict"].startswith("One seed")
    assert (tmp_path / "text.sentences-constant-0" / "config.yaml").is_file()
