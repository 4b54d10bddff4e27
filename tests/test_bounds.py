"""Numbers that settings may not hold are refused where they are given, each under its key."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import genkit
from genkit.bounds import BoundsError
from genkit.catalog import catalog
from genkit.config import resolve_config

NONE = float("nan")
REFUSED: dict[type, dict[str, list[Any]]] = {
    genkit.Train: {
        "batch_size": [0, -1],
        "steps": [0, -1],
        "critic_steps": [0, -1],
        "micro_batches": [0],
        "samples_per_condition": [0],
        "log_every": [0],
        "keep": [0],
        "adversarial_start": [-1],
        "critic_start": [-1],
        "workers": [-1],
        "preview_every": [-1],
        "checkpoint_every": [-1],
        "eval_every": [-1],
        "minutes": [0, -1.0, NONE],
        "clip_generator": [0, -1.0],
        "clip_critic": [0, -1.0],
        "eval_samples": [0, 1],
    },
    genkit.Optimizer: {
        "lr": [-1, NONE, genkit.Ramp(start=1e-3, end=-1e-3, over=5)],
        "betas": [(0, 1.5), (-0.1, 0.9), (0.0, genkit.Ramp(start=0.9, end=1.0, over=5))],
        "eps": [-1e-8],
        "weight_decay": [-0.1],
    },
    genkit.Ema: {"half_life": [0, -5, genkit.Ramp(start=-1, end=5, over=5)], "rampup": [0.0, -1.0]},
}
CASES = [(cls, key, value) for cls, keys in REFUSED.items() for key, values in keys.items() for value in values]


@pytest.mark.parametrize(("cls", "key", "value"), CASES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_number_out_of_its_bounds_is_refused(cls: type, key: str, value: Any) -> None:
    with pytest.raises(genkit.ConfigError) as caught:
        cls(**{key: value})
    assert isinstance(caught.value, ValueError), "pydantic takes it for what it is"
    (problem,) = caught.value.problems
    assert problem.startswith(f"{key}: expected ")


@pytest.mark.parametrize("values", [{"over": -1}, {"warmup": -5}, {"end": NONE}])
def test_a_ramp_that_can_not_be_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(genkit.ConfigError):
        genkit.Ramp(**({"start": 1.0, "end": 0.5, "over": 10} | values))


def test_a_config_with_such_numbers_names_each_key_and_where_it_is_given(distributions: Any, tmp_path: Any) -> None:
    distributions.add_toy()
    file = tmp_path / "config.yaml"
    file.write_text("train:\n  log_every: 0\n  batch_size: -8\noptim:\n  critic: {betas: [0, 1.5]}\n")
    given = ["ema.half_life=-5", "optim.generator.lr={start: 1e-3, end: -1, over: -1}", "train.workers=-1"]
    with pytest.raises(genkit.ConfigError) as caught:
        resolve_config(catalog().recipe("toy.plain"), files=[file], overrides=given)
    assert set(caught.value.problems) == {
        f"train.log_every: expected 1 or more, got 0 ({file}:2)",
        f"train.batch_size: expected 1 or more, got -8 ({file}:3)",
        "train.workers: expected 0 or more, got -1 (--set)",
        f"optim.critic.betas: expected 0 or more and less than 1, got [0.0, 1.5] ({file}:5)",
        "optim.generator.lr.over: expected 0 or more, got -1.0 (--set)",
        "ema.half_life: expected more than 0, got -5.0 (--set)",
    }
    with pytest.raises(genkit.ConfigError, match=r"has 1 problem:\n  preview: expected 1 or more, got 0 \(--set\)"):
        resolve_config(catalog().recipe("toy.plain"), overrides=["preview=0"])
    with pytest.raises(genkit.ConfigError, match=r"optim\.critic\.lr\.shape: an exponential ramp from 1 to 0 would"):
        resolve_config(
            catalog().recipe("toy.plain"),
            overrides=["optim.critic.lr={start: 1, end: 0, over: 5, shape: exponential}"],
        )


def test_the_error_reaches_another_process_whole() -> None:
    with pytest.raises(BoundsError) as caught:
        genkit.Train(batch_size=0, log_every=0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.fields == dict.fromkeys(("batch_size", "log_every"), "expected 1 or more, got 0")


def test_what_presets_use_is_allowed() -> None:
    genkit.Train(steps=None, minutes=None, clip_critic=None, critic_start=None, eval_every=0, workers=0)
    later = genkit.Ramp(start=0.9, end=0.99, over=5)
    assert genkit.Optimizer(lr=genkit.Ramp(start=1e-3, end=0.0, over=0), betas=(0, later)).betas == (0, later)
    genkit.Ema(half_life=None, rampup=None)
    growing = genkit.Ema(half_life=genkit.Ramp(start=0.0, end=5e5, over=1e6), rampup=None)
    assert genkit.value_at(growing.half_life, 0) == 0.0
