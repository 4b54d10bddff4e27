"""A run that was cut off goes on to the same bits as one that never was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from toys import Critic, Generator, Points, experiment

import genkit
from genkit.adversarial.penalties import R1, LeCam
from genkit.runs import Run
from genkit.scoring import Scorer
from genkit.training.observers import Observer
from genkit.training.trainer import Trainer


class PointsWriter:
    """Writes previews as JSON."""

    def write(self, batch: genkit.Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        return [self.preview(batch, directory / stem, columns=1)]

    def preview(self, batch: genkit.Batch, path: Path, *, columns: int) -> Path:
        path = path.with_suffix(".json")
        path.write_text(json.dumps(batch.sample.tolist()))
        return path


class CutOff(Observer):
    """Ends the process's training at a step, as kill -9 would: nothing is saved."""

    def __init__(self, step: int) -> None:
        self.step = step

    def logged(self, trainer: Trainer, means: Mapping[str, float]) -> None:
        if trainer.step >= self.step:
            raise KeyboardInterrupt


def trainer(path: Path, train: Mapping[str, Any], observers: Any = ()) -> Trainer:
    """A trainer with everything that has a state: dropout, jitter, LeCam's averages, ramps, an EMA."""
    run = (
        Run.open(path)
        if (path / "config.yaml").exists()
        else Run.create(path, recipe=None, seed=5, config="recipe: null\nseed: 5\n", environment={})
    )
    ramp = genkit.Ramp(start=2e-3, end=1e-3, over=400)
    rates = genkit.Optimizer(lr=ramp, betas=(0.0, genkit.Ramp(start=0.9, end=0.99, over=400)))
    parts = experiment(
        generator=lambda: Generator(dropout=0.2),
        critic=Critic,
        data=Points(jitter=0.05),
        penalties={"r1": R1(genkit.Ramp(start=0.2, end=0.1, over=300), every=3), "lecam": LeCam(0.1)},
        optim=genkit.Optim(generator=rates, critic=rates),
        writer=PointsWriter(),
    )
    settings = genkit.Train(**({"batch_size": 16, "log_every": 1, "preview_every": 5, "checkpoint_every": 4} | train))
    return Trainer(parts, settings, ema=genkit.Ema(half_life=200), seed=5, device="cpu", run=run, observers=observers)


def weights(path: Path) -> dict[str, bytes]:
    last = Run.open(path).checkpoint()
    return {file.name: file.read_bytes() for file in sorted(last.glob("*.safetensors"))}


LOADING = [{"resident": "on"}, {"resident": "off", "workers": 0}, {"resident": "off", "workers": 2}]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    trainer(path, {"steps": 14}).fit()
    return path


@pytest.mark.parametrize("loading", LOADING)
@pytest.mark.parametrize("cut", [5, 7, 11])
def test_resumed_run_is_bit_equal(tmp_path: Path, uninterrupted: Path, loading: dict[str, Any], cut: int) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trainer(path, {"steps": 14, **loading}, [CutOff(cut)]).fit()
    again = trainer(path, {"steps": 14, **loading})
    again.restore(again.run.checkpoint())
    assert 0 < again.step <= cut
    again.fit()
    assert weights(path) == weights(uninterrupted)
    assert set(weights(path)) == {
        "critic.safetensors", "generator.safetensors", "generator_ema.safetensors", "parts.safetensors",
    }  # fmt: skip
    last = "00000014.json"
    assert (path / "samples" / last).read_text() == (uninterrupted / "samples" / last).read_text()


def test_a_resumed_run_logs_each_step_once(tmp_path: Path, uninterrupted: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trainer(path, {"steps": 14}, [CutOff(7)]).fit()
    again = trainer(path, {"steps": 14})
    again.restore(again.run.checkpoint())
    again.fit()
    found, expected = (
        [{k: v for k, v in r.items() if k != "seconds"} for r in Run.open(at).records() if r["kind"] == "train"]
        for at in (path, uninterrupted)
    )
    assert [record["step"] for record in found] == list(range(1, 15))
    assert found == expected


def test_training_further_is_the_same_as_training_longer(tmp_path: Path, uninterrupted: Path) -> None:
    path = tmp_path / "run"
    trainer(path, {"steps": 9}).fit()
    again = trainer(path, {"steps": 14})
    again.restore(again.run.checkpoint())
    again.fit()
    assert weights(path) == weights(uninterrupted)


def test_another_seed_gives_another_run(tmp_path: Path, uninterrupted: Path) -> None:
    of = trainer(tmp_path / "run", {"steps": 14})
    of.seed = of.team.seed = 6
    of.fit()
    assert weights(tmp_path / "run") != weights(uninterrupted)


def test_training_leaves_no_trace_on_the_threads_random_state() -> None:
    """What the trainer draws from is its own: only dropout uses the default source, and that is seeded by the step."""
    torch.manual_seed(1)
    one = Trainer(
        experiment(generator=lambda: Generator(dropout=0.5)), genkit.Train(batch_size=16, steps=3), device="cpu"
    )
    one.fit()
    torch.manual_seed(2)
    two = Trainer(
        experiment(generator=lambda: Generator(dropout=0.5)), genkit.Train(batch_size=16, steps=3), device="cpu"
    )
    two.fit()
    for a, b in zip(one.experiment.generator.parameters(), two.experiment.generator.parameters(), strict=True):
        assert torch.equal(a, b)


class BreaksAt(Critic):
    """A critic whose logits are not finite at one moment."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.calls, self.call = 0, call

    def forward(self, sample: Any, condition: Any = None, mask: Any = None) -> genkit.Verdict:
        self.calls += 1
        verdict = super().forward(sample, condition, mask)
        return genkit.Verdict([verdict.logits[0] * float("nan")]) if self.calls == self.call else verdict


@pytest.fixture
def diverging(tmp_path: Path) -> Trainer:
    run = Run.create(tmp_path / "run", recipe=None, seed=5, config="recipe: null\nseed: 5\n", environment={})
    settings = genkit.Train(batch_size=16, steps=20, log_every=10, checkpoint_every=5)
    calls_a_step = 4  # real, fake; fake, real
    parts = experiment(critic=BreaksAt(calls_a_step * 7 + 1), penalties={})
    return Trainer(parts, settings, seed=5, device="cpu", run=run)


def test_a_non_finite_loss_stops_the_run_and_spares_the_last_checkpoint(diverging: Trainer) -> None:
    with pytest.raises(genkit.DivergedError, match=r"step 7: loss/critic, gradient/critic") as caught:
        diverging.fit()
    assert caught.value.exit_code == 4
    assert diverging.run is not None
    assert diverging.run.steps() == [5]
    assert diverging.run.status()["status"] == "failed"
    written = json.loads((diverging.run.path / "diverged-rank0.json").read_text())
    assert written["step"] == 7
    assert written["batches"] == [14, 15]
    assert written["indices"][0] == diverging.team.batches.indices(14).tolist()
    for parameter in diverging.experiment.critic.parameters():
        assert parameter.isfinite().all()


def test_a_held_back_update_leaves_the_weights_and_moments_as_they_were(diverging: Trainer) -> None:
    from genkit.training.phases import iterate

    for step in range(7):
        iterate(diverging.team, step)
    before = [tensor.clone() for tensor in diverging.experiment.critic.state_dict().values()]
    moments = {
        k: v["exp_avg_sq"].clone() for k, v in diverging.team.critic_updater.optimizer.state_dict()["state"].items()
    }
    iterate(diverging.team, 7)
    assert all(
        torch.equal(a, b) for a, b in zip(before, diverging.experiment.critic.state_dict().values(), strict=True)
    )
    after = diverging.team.critic_updater.optimizer.state_dict()["state"]
    assert all(torch.equal(moments[k], v["exp_avg_sq"]) for k, v in after.items())


def test_minutes_count_over_resumptions(tmp_path: Path) -> None:
    of = trainer(tmp_path / "run", {"minutes": 0.01})
    outcome = of.fit()
    assert 0.6 <= outcome.seconds < 5
    again = trainer(tmp_path / "run", {"minutes": 0.01})
    again.restore(again.run.checkpoint())
    assert again.fit().step == outcome.step


class Measures(Observer):
    """An evaluation with these figures, one after the other."""

    def __init__(self, *figures: float) -> None:
        self.figures = list(figures)

    def evaluate(self, trainer: Trainer) -> Mapping[str, float]:
        return {"score": self.figures.pop(0)}


def gone_on_with(path: Path, train: Mapping[str, Any], observers: Any = ()) -> Trainer:
    """A trainer that goes on from a run's last checkpoint."""
    again = trainer(path, train, observers)
    again.restore(again.run.checkpoint())
    return again


def test_the_best_checkpoint_is_kept_beside_the_newest(tmp_path: Path) -> None:
    settings = {"steps": 12, "checkpoint_every": 2, "eval_every": 2, "keep": 2, "keep_best": "score"}
    trainer(tmp_path / "run", settings, [Measures(5.0, 3.0, 4.0, 6.0, 7.0, 3.5)]).fit()
    run = Run.open(tmp_path / "run")
    assert run.steps() == [4, 10, 12]
    assert run.checkpoint("best").name == "4"
    assert run.status()["metrics"] == {"score": 3.5}


def test_a_resumed_run_remembers_what_its_best_checkpoint_scored(tmp_path: Path) -> None:
    settings = {"checkpoint_every": 2, "eval_every": 2, "keep": 1, "keep_best": "score"}
    trainer(tmp_path / "whole", {**settings, "steps": 6}, [Measures(1.0, 3.0, 2.0)]).fit()
    trainer(tmp_path / "halves", {**settings, "steps": 2}, [Measures(1.0)]).fit()
    gone_on_with(tmp_path / "halves", {**settings, "steps": 6}, [Measures(3.0, 2.0)]).fit()
    for name in ("whole", "halves"):
        run = Run.open(tmp_path / name)
        assert (run.checkpoint("best").name, run.steps()) == ("2", [2, 6]), name


def test_the_best_is_compared_in_the_figure_that_keep_best_names_now(tmp_path: Path) -> None:
    class Two(Measures):
        def evaluate(self, trainer: Trainer) -> Mapping[str, float]:
            return {"score": self.figures[0], "other": self.figures.pop(0) * -10.0}

    settings = {"checkpoint_every": 2, "eval_every": 2, "keep": 1}
    trainer(tmp_path / "run", {**settings, "steps": 2, "keep_best": "score"}, [Two(1.0)]).fit()
    gone_on_with(tmp_path / "run", {**settings, "steps": 4, "keep_best": "other"}, [Two(0.5)]).fit()
    assert Run.open(tmp_path / "run").checkpoint("best").name == "2"
    gone_on_with(tmp_path / "run", {**settings, "steps": 6, "keep_best": "other"}, [Two(3.0)]).fit()
    assert Run.open(tmp_path / "run").checkpoint("best").name == "6"


def test_a_figure_that_is_not_finite_is_never_the_best(tmp_path: Path) -> None:
    settings = {"steps": 6, "checkpoint_every": 2, "eval_every": 2, "keep_best": "score"}
    trainer(tmp_path / "run", settings, [Measures(float("nan"), 3.0, float("-inf"))]).fit()
    assert Run.open(tmp_path / "run").checkpoint("best").name == "4"


class Fixed:
    """A metric with two figures."""

    better = {"frechet": "lower", "repeats": "real"}  # noqa: RUF012

    def __call__(self, real: Any, fake: Any) -> Mapping[str, float]:
        return {"frechet": 1.0, "repeats": 0.5}

    def protocol(self) -> Mapping[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("name", "words"),
    [("frechett", "no metric is called 'frechett'; did you mean `frechet`"), ("repeats", "neither more nor less")],
)
def test_a_best_metric_that_can_not_be_is_refused_before_training(tmp_path: Path, name: str, words: str) -> None:
    run = Run.create(tmp_path / "run", recipe=None, seed=5, config="recipe: null\nseed: 5\n", environment={})
    settings = genkit.Train(batch_size=16, steps=2, keep_best=name)
    known = Scorer(SimpleNamespace())  # knows what it will measure before it does
    with pytest.raises(genkit.ConfigError, match=words) as caught:
        Trainer(experiment(metrics=[Fixed()]), settings, device="cpu", run=run, observers=[known])
    assert caught.value.where == "train.keep_best"


def test_a_best_metric_that_nobody_measures_is_warned_of_once(tmp_path: Path) -> None:
    settings = {"steps": 4, "eval_every": 2, "keep_best": "frechet"}
    outcome = trainer(tmp_path / "run", settings, [Measures(1.0, 2.0)]).fit()
    assert outcome.metrics == {"score": 2.0}
    (warning,) = [record for record in Run.open(tmp_path / "run").records() if record["kind"] == "warning"]
    assert warning["text"].endswith("no figure is called 'frechet'; there are: score")


class FailsOnce(Observer):
    """A metric that raises the first time, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def evaluate(self, trainer: Trainer) -> Mapping[str, float]:
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("out of memory")
        return {"score": float(trainer.step)}


@pytest.mark.parametrize("train", [{"steps": 4}, {"steps": 9, "eval_every": 4}])
def test_an_evaluation_that_was_cut_off_is_made_up_for_once(tmp_path: Path, train: dict[str, Any]) -> None:
    measures = FailsOnce()
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer(tmp_path / "run", train, [measures]).fit()
    assert Run.open(tmp_path / "run").steps() == [4], "the checkpoint comes before the evaluation"
    outcome = gone_on_with(tmp_path / "run", train, [measures]).fit()
    evaluated = [record["step"] for record in Run.open(tmp_path / "run").records() if record["kind"] == "eval"]
    assert evaluated == ([4, 8, 9] if "eval_every" in train else [4])
    assert outcome.metrics == {"score": float(train["steps"])}
    calls = measures.calls
    gone_on_with(tmp_path / "run", train, [measures]).fit()
    assert measures.calls == calls, "what was evaluated is not evaluated again"
    assert Run.open(tmp_path / "run").status()["status"] == "done"


class FailsAtTheEnd(Observer):
    """Raises when it is told of the end."""

    def ended(self, trainer: Trainer, status: str, error: str | None) -> None:
        raise OSError("the tracker is gone")


class Told(Observer):
    """Remembers what it was told of the end."""

    heard: tuple[str, str | None] | None = None

    def ended(self, trainer: Trainer, status: str, error: str | None) -> None:
        self.heard = (status, error)


def test_an_observer_that_fails_at_the_end_hides_no_cause(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Fails(Observer):
        def logged(self, trainer: Trainer, means: Mapping[str, float]) -> None:
            raise ValueError("the cause")

    last = Told()
    with pytest.raises(ValueError, match="the cause"):
        trainer(tmp_path / "failed", {"steps": 4}, [Fails(), FailsAtTheEnd(), last]).fit()
    assert last.heard == ("failed", "ValueError: the cause")
    assert "OSError: the tracker is gone" in capsys.readouterr().err
    with pytest.raises(OSError, match="the tracker is gone"):
        trainer(tmp_path / "done", {"steps": 4}, [FailsAtTheEnd(), last]).fit()
    assert last.heard == ("done", None)
    assert capsys.readouterr().err == ""


def test_state_that_no_checkpoint_keeps_is_refused_before_training(tmp_path: Path) -> None:
    class Counts(Critic):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 3}

        def set_extra_state(self, state: Any) -> None: ...

    run = Run.create(tmp_path / "run", recipe=None, seed=5, config="recipe: null\nseed: 5\n", environment={})
    with pytest.raises(genkit.CheckpointError, match="_extra_state of Counts is a dict") as caught:
        Trainer(experiment(critic=Counts), genkit.Train(batch_size=16, steps=2), device="cpu", run=run)
    assert "register_buffer" in str(caught.value)


def test_a_part_that_could_never_be_read_back_is_refused_when_it_is_kept(tmp_path: Path) -> None:
    class Keeps(Observer):
        def parts(self, trainer: Trainer) -> Mapping[str, Any]:
            class Part:
                def state_dict(self) -> object:
                    return {"path": Path("x")}

            return {"plugin.part": Part()}

    with pytest.raises(genkit.CheckpointError, match=r"'plugin\.part' can not be kept"):
        trainer(tmp_path / "run", {"steps": 2}, [Keeps()]).fit()
