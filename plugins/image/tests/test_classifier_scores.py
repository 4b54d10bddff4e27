"""Scores by classifiers and by training pictures: classifier score, classification accuracy, authenticity."""

from __future__ import annotations

import pytest
import torch

import genkit
from genkit import Batch, ConfigError, DataError, Random
from genkit.scoring import scores_of
from genkit_image.data.config import DigitsConfig
from genkit_image.data.digits import open_digits
from genkit_image.data.images import Images
from genkit_image.metrics import distances
from genkit_image.metrics.classification import ClassificationAccuracy, build_classification_accuracy
from genkit_image.metrics.config import AuthenticityConfig, ClassificationAccuracyConfig, ClassifierScoreConfig
from genkit_image.metrics.extractors import LeNetDigits, LeNetLogits, open_classifier


class Held:
    """Samples held in memory, as `genkit.Samples`."""

    def __init__(self, sample: torch.Tensor, condition: torch.Tensor | None = None) -> None:
        self.batch, self.count = Batch(sample, condition), len(sample)

    def batches(self):
        yield self.batch

    def features(self, extractor):
        return extractor(self.batch)


@pytest.fixture(scope="module")
def digits():
    """The 2,000 held-out digits."""
    data = open_digits(DigitsConfig()).held_out()
    batch = data.prepare(data.resident(), rng=Random(0))
    return batch.sample, batch.condition, data.facts


def test_the_classifier_score_of_digits_is_nearly_their_number(digits):
    sample, _, facts = digits
    metric = distances.build_classifier_score(ClassifierScoreConfig(), facts)
    real, ones = Held(sample[:500]), Held(sample[:1].expand(50, -1, -1, -1))
    assert 9.0 < metric(real, real)["classifier_score[lenet-digits]"] <= 10
    assert metric(real, ones) == pytest.approx({"classifier_score[lenet-digits]": 1})
    assert metric.protocol()["classifier"] == "lenet-digits"
    ten = distances.build_classifier_score(ClassifierScoreConfig(splits=10), facts)
    assert ten(real, real)["classifier_score[lenet-digits]"] < metric(real, real)["classifier_score[lenet-digits]"]


def test_logits_and_features_of_one_classifier_are_told_apart():
    features, logits = LeNetDigits(), LeNetLogits()
    assert features.name == logits.name
    assert features.version != logits.version  # sets of samples keep what they computed by both
    sample = torch.zeros(2, 1, 28, 28)
    assert features(Batch(sample)).shape == (2, 84)
    assert logits(Batch(sample)).shape == (2, 10)


def test_a_classifier_trained_on_samples_is_as_good_as_their_labels(digits):
    sample, labels, facts = digits
    metric = build_classification_accuracy(ClassificationAccuracyConfig(epochs=4), facts)
    real, made = Held(sample[:600], labels[:600]), Held(sample[600:1200], labels[600:1200])
    torch.manual_seed(1)
    state = torch.get_rng_state()
    right = metric(real, made)
    assert torch.equal(torch.get_rng_state(), state)
    assert right["classification_accuracy"] > 0.85
    torch.manual_seed(2)
    assert metric(real, made) == right
    wrong = metric(real, Held(sample[600:1200], (labels[600:1200] + 1) % 10))
    assert wrong["classification_accuracy"] < 0.1
    assert set(metric.better) == set(right)
    assert "4 epochs" in metric.protocol()["classifier_training"]


def test_a_classifier_starts_the_same_whatever_else_was_drawn():
    images, labels = torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 1, 1])
    nets = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        nets.append(ClassificationAccuracy(["a", "b"], epochs=1).train(images, labels))
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(one, other)


def test_a_classifier_learns_from_small_pictures_of_any_number():
    images = torch.full((129, 1, 8, 8), 10, dtype=torch.uint8)  # 2 · 64 + 1; its maps are 1 pixel at last
    images[::2] = 200
    net = ClassificationAccuracy(["dark", "light"], epochs=8).train(images, (images[:, 0, 0, 0] > 100).long())
    assert net(images[:2].float() / 127.5 - 1).argmax(1).tolist() == [1, 0]


def test_classification_accuracy_needs_labels(digits):
    sample, labels, facts = digits
    metric = build_classification_accuracy(ClassificationAccuracyConfig(), facts)
    with pytest.raises(DataError, match="labels"):
        metric(Held(sample[:9], labels[:9]), Held(sample[:9]))
    with pytest.raises(ConfigError, match="labels"):
        build_classification_accuracy(ClassificationAccuracyConfig(), {**facts, "labels": None})


def test_copies_are_not_authentic_and_other_digits_are_half_the_time(digits):
    sample, _, facts = digits
    metric = distances.build_authenticity(AuthenticityConfig(), facts)
    assert metric.reference == "train"
    train, figure = Held(sample[:1000]), "authenticity[lenet-digits]"
    nearly = (sample[:300] + 0.02 * torch.randn(300, 1, 28, 28, generator=torch.Generator().manual_seed(0))).clamp(
        -1, 1
    )
    assert metric(train, Held(nearly))[figure] < 0.05
    assert 0.3 < metric(train, Held(sample[1000:1600]))[figure] < 0.8
    assert metric(train, Held(torch.rand(50, 1, 28, 28) * 2 - 1))[figure] > 0.9


class Copies(genkit.Generator):
    """Training pictures, one after the other."""

    def __init__(self, pictures: torch.Tensor) -> None:
        super().__init__()
        self.pictures = pictures / 127.5 - 1

    def latent(self, count: int, *, rng: Random) -> torch.Tensor:
        return rng.normal(count, 1)

    def forward(self, latent: torch.Tensor, condition: None = None) -> genkit.Draw:
        return genkit.Draw(self.pictures[: len(latent)])


class Mean(genkit.Critic):
    def forward(self, sample, condition=None, mask=None):
        return genkit.Verdict([sample.flatten(1).mean(1)])


def test_copies_of_pictures_that_training_mirrors_are_not_authentic():
    pixels = torch.randint(0, 256, (200, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data, generator = Images(pixels, name="made", licence="none", flip=True), Copies(pixels[:100])
    metric = distances.build_authenticity(AuthenticityConfig(), data.facts)
    experiment = genkit.Experiment(generator, Mean(), data, genkit.objectives.Hinge(), metrics=[metric])
    sampler = genkit.Sampler(genkit.SamplerParts(generator, None, None), facts=data.facts)
    (score,) = scores_of(sampler, experiment, count=50, seed=0)
    assert score.value == 0


def test_an_unknown_classifier_is_named_and_weights_belong_to_inception():
    with pytest.raises(ConfigError, match="vgg"):
        open_classifier("vgg")
    with pytest.raises(ConfigError, match="inception"):
        open_classifier("lenet-digits", "weights.pth")
