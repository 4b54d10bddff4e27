"""genkit from Python: a recipe run and sampled, and networks of one's own under the shared trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import genkit

SMALL = {"train.batch_size": 16, "train.eval_samples": 64}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> genkit.RunResult:
    return genkit.run(
        "image.handwriting", steps=6, out=tmp_path_factory.mktemp("python") / "run", values=SMALL, device="cpu"
    )


def test_a_recipe_runs_from_python(run: genkit.RunResult) -> None:
    assert run.step == 6
    assert run.run.is_dir()
    assert run.preview is not None
    assert run.preview.is_file()
    assert any(name.startswith("frechet") for name in run.metrics)
    for score in run.scores:
        assert score.floor is not None
        assert score.protocol["real"]["split"] == "held-out"
        assert score.protocol["fake"]["count"] == 64


def test_a_run_is_sampled_with_a_condition(run: genkit.RunResult) -> None:
    sampler = genkit.load(run.run)
    batch = sampler.sample(16, condition={"label": "7"})
    assert batch.sample.shape == (16, 1, 28, 28)
    assert batch.sample.abs().max() < 10
    assert batch.condition.tolist() == [7] * 16
    assert sampler.sample(4, condition={"label": "1,2"}).condition.tolist() == [1, 2, 1, 2]
    assert sampler.sample(3, condition=torch.tensor([0, 5, 9])).condition.tolist() == [0, 5, 9]


def test_without_a_condition_labels_come_as_the_data_has_them(run: genkit.RunResult) -> None:
    labels = genkit.load(run.run).sample(400, seed=1).condition
    counts = torch.bincount(labels, minlength=10)
    assert (counts > 15).all()
    assert not torch.equal(labels, genkit.load(run.run).sample(400, seed=2).condition)


def test_an_impossible_condition_is_refused_with_the_possible_ones(run: genkit.RunResult) -> None:
    sampler = genkit.load(run.run)
    with pytest.raises(genkit.UsageError, match="unknown label 'seven'") as caught:
        sampler.sample(1, condition={"label": "seven"})
    assert "0, 1, 2" in str(caught.value)
    with pytest.raises(genkit.UsageError, match="takes the condition `label`, not colour"):
        sampler.sample(1, condition={"colour": "red"})
    with pytest.raises(genkit.UsageError, match=r"\[2\] rows for 3 samples"):
        sampler.sample(3, condition=torch.tensor([1, 2]))


def test_a_run_needs_its_directory_alone(
    run: genkit.RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dataset is not opened: it may be gone."""
    import shutil

    from genkit_image.data import digits

    moved = tmp_path / "elsewhere"
    shutil.copytree(run.run, moved)

    def gone(*_: object) -> None:
        raise AssertionError("the data was opened")

    for name in [name for name in vars(digits) if name.startswith("open")]:
        monkeypatch.setattr(digits, name, gone)
    assert torch.equal(genkit.load(moved).sample(2).sample, genkit.load(run.run).sample(2).sample)


def test_a_run_is_evaluated_again_with_the_same_result(run: genkit.RunResult) -> None:
    one, two = (genkit.evaluate(run.run, count=100, seed=5) for _ in range(2))
    assert [score.value for score in one] == [score.value for score in two]
    assert [score.floor for score in one] == [score.floor for score in two]
    assert all(score.protocol["fake"]["count"] == 100 for score in one)


def test_networks_of_ones_own_train_in_twenty_lines() -> None:
    class Ring(genkit.Dataset):
        facts = {}  # noqa: RUF012

        def __len__(self) -> int:
            return 512

        def read(self, index: int) -> torch.Tensor:
            angle = torch.tensor(index * 2 * torch.pi / 512)
            return torch.stack([angle.cos(), angle.sin()])

        def prepare(self, stored: torch.Tensor, *, rng: genkit.Random) -> genkit.Batch:
            return genkit.Batch(stored)

    class Generator(genkit.Generator):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))

        def latent(self, count: int, *, rng: genkit.Random) -> torch.Tensor:
            return rng.normal(count, 2)

        def forward(self, latent: torch.Tensor, condition: object = None) -> genkit.Draw:
            return genkit.Draw(self.net(latent))

    class Critic(genkit.Critic):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))

        def forward(self, sample: torch.Tensor, condition: object = None, mask: object = None) -> genkit.Verdict:
            return genkit.Verdict([self.net(sample)])

    torch.manual_seed(0)
    adam = genkit.Optimizer(lr=2e-3)
    experiment = genkit.Experiment(
        Generator(),
        Critic(),
        Ring(),
        genkit.objectives.RelativisticPaired(),
        {"r1": genkit.penalties.R1(0.1)},
        optim=genkit.Optim(generator=adam, critic=adam),
    )
    before = _distance(experiment.generator)
    outcome = genkit.Trainer(experiment, genkit.Train(batch_size=64, steps=400, workers=0), device="cpu").fit()
    assert outcome.step == 400
    assert _distance(experiment.generator) < before / 2


@torch.no_grad()
def _distance(generator: genkit.Generator) -> float:
    """How far samples lie from the unit circle, on average."""
    points = generator(generator.latent(1000, rng=genkit.Random(1))).sample
    return float((points.norm(dim=1) - 1).abs().mean())
