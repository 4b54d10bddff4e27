"""Sample sets, floors and the protocol every score carries."""

from __future__ import annotations

import json

import pytest
import torch

import genkit
from genkit.errors import DataError, GenkitError
from genkit.evaluation import (
    DensityCoverage,
    Frechet,
    GeneratedSamples,
    Kernel,
    PrecisionRecall,
    RealSamples,
    Score,
    evaluate,
    frechet_distance,
)
from genkit.inspection import Metric
from genkit.interfaces import Batch, Dataset


class Numbers(Dataset):
    """Vectors with a label, prepared with a little noise."""

    def __init__(self, count: int, shift: float = 0.0) -> None:
        self.facts = {"modality": "numbers", "shape": [3]}
        self.values = torch.randn(count, 3, generator=torch.Generator().manual_seed(count)) + shift
        self.reads = 0

    def __len__(self):
        return len(self.values)

    def read(self, index):
        self.reads += 1
        return self.values[index], torch.tensor(index % 10)

    def prepare(self, stored, *, rng):
        values, labels = stored
        return Batch(values + 0.01 * rng.normal(len(values), 3), labels)


class Identity:
    """Features are the sample itself; counts its calls."""

    name = "identity"
    version = "1"

    def __init__(self):
        self.calls = 0

    def __call__(self, batch):
        self.calls += 1
        assert not torch.is_grad_enabled()
        return batch.sample


def generated(count: int, **options) -> GeneratedSamples:
    def draw(start, amount):
        rows = [torch.randn(3, generator=torch.Generator().manual_seed(i)) for i in range(start, start + amount)]
        return Batch(torch.stack(rows) + 0.5, torch.arange(start, start + amount) % 10)

    return GeneratedSamples(draw, count, **options)


def test_features_are_computed_once_for_each_extractor():
    extractor, other = Identity(), Identity()
    other.version = "2"
    fake = generated(25, batch_size=10)
    first = fake.features(extractor)
    assert first.shape == (25, 3)
    assert (extractor.calls, other.calls) == (3, 0)
    assert fake.features(extractor) is first
    assert extractor.calls == 3
    fake.features(other)
    assert other.calls == 3


def test_generated_samples_are_the_same_in_every_pass_and_carry_their_conditions():
    fake = generated(25, batch_size=10)
    passes = [list(fake.batches()) for _ in range(2)]
    assert [len(batch.sample) for batch in passes[0]] == [10, 10, 5]
    for one, two in zip(*passes, strict=True):
        assert torch.equal(one.sample, two.sample)
    assert torch.equal(torch.cat([batch.condition for batch in passes[0]]), torch.arange(25) % 10)


def test_batch_size_does_not_change_generated_features():
    assert torch.equal(
        generated(25, batch_size=4).features(Identity()), generated(25, batch_size=25).features(Identity())
    )


def test_real_samples_repeat_and_are_chosen_by_the_seed():
    data = Numbers(50)
    real = RealSamples(data, split="train", count=20, batch_size=8, seed=1)
    assert real.count == 20
    assert len(set(real.indices.tolist())) == 20
    first = torch.cat([batch.sample for batch in real.batches()])
    assert torch.equal(first, torch.cat([batch.sample for batch in real.batches()]))
    other = RealSamples(data, split="train", count=20, seed=2)
    assert real.indices.tolist() != other.indices.tolist()
    assert not torch.equal(first, data.values[real.indices])  # `prepare` ran


def test_real_samples_take_the_indices_they_are_given_and_all_when_there_are_no_more():
    data = Numbers(50)
    assert RealSamples(data, split="train", indices=[4, 7, 9]).indices.tolist() == [4, 7, 9]
    assert RealSamples(data, split="train", count=80).count == 50


def test_an_empty_split_is_refused():
    with pytest.raises(DataError, match="held-out"):
        RealSamples(Numbers(50), split="held-out", indices=[])
    with pytest.raises(GenkitError, match="0 generated"):
        generated(0)


def test_scores_have_value_floor_and_protocol():
    extractor = Identity()
    reference = RealSamples(Numbers(300), split="train", count=200, seed=5)
    other = RealSamples(Numbers(150), split="held-out", seed=5)
    fake = generated(120, seed=9)
    metrics = [Frechet(extractor), Kernel(extractor), PrecisionRecall(extractor), DensityCoverage(extractor)]
    scores = {score.name: score for score in evaluate(metrics, reference=reference, fake=fake, other_real=other)}
    assert list(scores) == [
        "frechet[identity]", "kernel[identity]", "precision[identity]", "recall[identity]", "density[identity]",
        "coverage[identity]",
    ]  # fmt: skip
    frechet = scores["frechet[identity]"]
    assert frechet.value == frechet_distance(reference.features(extractor), fake.features(extractor))
    assert frechet.floor == frechet_distance(reference.features(extractor), other.features(extractor))
    assert frechet.floor < 0.1 < 0.4 < frechet.value
    assert frechet.better == "lower"
    assert scores["recall[identity]"].better == "higher"
    assert frechet.protocol == {
        "extractor": "identity",
        "extractor_version": "1",
        "real": {"split": "train", "count": 200, "seed": 5},
        "fake": {"split": "generated", "count": 120, "seed": 9},
        "floor": {"split": "held-out", "count": 150, "seed": 5},
        "genkit": genkit.__version__,
    }
    assert scores["precision[identity]"].protocol["k"] == 3
    assert extractor.calls == 3  # one batch of each set, shared by four metrics


def test_without_second_real_set_the_floor_is_absent_and_says_why():
    reference = RealSamples(Numbers(100), split="train")
    (score,) = evaluate([Frechet(Identity())], reference=reference, fake=generated(50), other_real=None)
    assert score.floor is None
    assert "no second set" in score.protocol["floor"]
    assert "no second real set" in str(score)
    assert json.loads(json.dumps(score.as_json(), allow_nan=False))["floor"] is None


def test_a_distance_is_printed_with_its_extractor_and_never_as_fid():
    score = Score("frechet[lenet-digits]", 12.34567, 1.5, "lower")
    assert score.title == "Fréchet distance (lenet-digits)"
    assert str(score) == "Fréchet distance (lenet-digits): 12.35 (real against real 1.5; lower is better)"
    assert Score("kernel[lenet-digits]", 0, 0, "lower").title == "Kernel distance (lenet-digits)"
    assert Score("reverse_kl", 0, 0, "lower").title == "reverse kl"


class Fixed(Metric):
    """A metric that says what it is told to."""

    def __init__(self, values, better=None):
        self.values = values
        self.better = better or dict.fromkeys(values, "higher")

    def __call__(self, real, fake):
        return self.values

    def protocol(self):
        return {}


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([Fixed({"hits": float("nan")})], "Fixed measured hits = nan"),
        ([Fixed({"hits": 1.0}, {"misses": "lower"})], "hits without saying which direction"),
        ([Fixed({"hits": 1.0}), Fixed({"hits": 2.0})], "two metrics measure hits"),
    ],
)
def test_a_metric_that_can_not_be_scored_is_named(metrics, said):
    reference = RealSamples(Numbers(20), split="train")
    with pytest.raises(GenkitError, match=said):
        evaluate(metrics, reference=reference, fake=generated(5), other_real=None)


def test_an_extractor_without_one_row_a_sample_is_named():
    class Pooled(Identity):
        name = "pooled"

        def __call__(self, batch):
            return batch.sample.mean(0, keepdim=True)

    with pytest.raises(GenkitError, match="pooled"):
        generated(25, batch_size=10).features(Pooled())
