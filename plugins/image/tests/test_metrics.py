from __future__ import annotations

import json
from importlib.resources import files

import pytest
import torch
from safetensors import safe_open
from torch import nn

from genkit import Batch, ConfigError, DataError, PluginError, Random, UsageError
from genkit_image.data.config import DigitsConfig
from genkit_image.data.digits import open_digits
from genkit_image.metrics import agreement, distances
from genkit_image.metrics.config import (
    AgreementConfig,
    DensityCoverageConfig,
    FrechetConfig,
    KernelConfig,
    PrecisionRecallConfig,
)
from genkit_image.metrics.extractors import LeNetDigits, RandomConv, load_lenet, open_extractor
from genkit_image.metrics.lenet import as_digits


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
    return Held(batch.sample, batch.condition), data.facts


def test_the_classifier_is_as_good_as_its_file_says(digits):
    held, _ = digits
    net, about = load_lenet()
    accuracy = (net(as_digits(held.batch.sample)).argmax(1) == held.batch.condition).double().mean().item()
    assert accuracy >= 0.985
    assert accuracy == pytest.approx(about["accuracy"], abs=0.001)


def test_the_classifier_s_file_has_one_key_of_metadata():
    path = files("genkit_image") / "assets" / "lenet-digits.safetensors"
    with safe_open(str(path), framework="pt") as stored:
        assert list(stored.metadata()) == ["about"]
        assert json.loads(stored.metadata()["about"])["seed"] == 0
    assert len(path.read_bytes()) < 500_000


@pytest.mark.parametrize("resolution", [32, 64])
def test_the_classifier_reads_enlarged_digits(resolution):
    data = open_digits(DigitsConfig(resolution=resolution)).held_out()
    batch = data.prepare({name: leaf[:500] for name, leaf in data.resident().items()}, rng=Random(0))
    net, _ = load_lenet()
    rgb = batch.sample.expand(-1, 3, -1, -1)
    assert (net(as_digits(rgb)).argmax(1) == batch.condition).double().mean() > 0.98


def test_agreement_counts_the_worst_class(digits):
    held, facts = digits
    metric = agreement.build_agreement(AgreementConfig(), facts)
    right = metric(held, held)
    assert right["agreement"] == pytest.approx(load_lenet()[1]["accuracy"], abs=0.001)
    assert right["worst_class"] > 0.95
    asked = held.batch.condition.clone()
    threes = (asked == 3).nonzero()[:, 0]
    asked[threes[:50]] = 4
    wrong = metric(held, Held(held.batch.sample, asked))
    assert wrong["agreement"] == pytest.approx(right["agreement"] - 50 / 2000, abs=0.003)
    assert wrong["worst_class"] == pytest.approx(
        (asked == 4).sum().sub(50).item() / (asked == 4).sum().item(), abs=0.03
    )
    assert set(metric.better) == set(wrong)
    assert metric.protocol()["classifier"] == "lenet-digits"


def test_agreement_needs_labels_it_knows(digits):
    held, facts = digits
    metric = agreement.build_agreement(AgreementConfig(), facts)
    with pytest.raises(DataError, match="label"):
        metric(held, Held(held.batch.sample))
    with pytest.raises(ConfigError, match="labels"):
        agreement.build_agreement(AgreementConfig(), {**facts, "labels": None})
    with pytest.raises(ConfigError, match="cats"):
        agreement.build_agreement(AgreementConfig(), {**facts, "labels": ["cats", "dogs"]})


@pytest.mark.parametrize("known", [2, 12])
def test_agreement_refuses_a_classifier_of_another_number_of_labels(digits, known):
    held, facts = digits
    metric = agreement.Agreement(lambda batch: torch.zeros(len(batch.sample), known), "own", "1", facts["labels"])
    with pytest.raises(ConfigError, match=f"the classifier own tells {known} labels apart, and the data has 10"):
        metric(held, held)


@pytest.mark.parametrize(
    ("build", "config"),
    [
        (distances.build_frechet, FrechetConfig()),
        (distances.build_kernel, KernelConfig(subsets=4, subset_size=200)),
        (distances.build_precision_recall, PrecisionRecallConfig()),
        (distances.build_density_coverage, DensityCoverageConfig()),
    ],
)
def test_distances_tell_digits_from_noise(digits, build, config):
    held, facts = digits
    metric = build(config, facts)
    sample = held.batch.sample
    real, other, noise = Held(sample[:600]), Held(sample[600:1200]), Held(torch.rand(600, 1, 28, 28) * 2 - 1)
    near, far = metric(real, other), metric(real, noise)
    assert set(near) == set(metric.better)
    assert metric.protocol()["extractor"] == "lenet-digits"
    for figure, direction in metric.better.items():
        assert "lenet-digits" in figure
        assert near[figure] < far[figure] if direction == "lower" else near[figure] > far[figure]


def test_auto_takes_the_classifier_for_digits_and_an_untrained_net_for_the_rest(digits):
    _, facts = digits
    assert isinstance(open_extractor("auto", facts), LeNetDigits)
    assert isinstance(open_extractor("auto", {**facts, "labels": None}), RandomConv)
    assert isinstance(open_extractor("auto", {**facts, "shape": [3, 28, 28]}), RandomConv)


def test_what_a_png_can_not_hold_does_not_score(digits):
    held, _ = digits
    batch = Batch(held.batch.sample[:20])
    beyond = torch.where(batch.sample == -1, -1.3, batch.sample + 0.001)
    for extractor in (LeNetDigits(), RandomConv(1)):
        torch.testing.assert_close(extractor(Batch(beyond)), extractor(batch))


def test_the_untrained_net_is_always_the_same():
    torch.manual_seed(1)
    sample = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    first = RandomConv(3)(Batch(sample))
    torch.manual_seed(2)
    assert torch.equal(first, RandomConv(3)(Batch(sample)))
    assert first.shape == (1, 480)


@pytest.mark.parametrize(("size", "layers"), [(2, 1), (4, 2), (8, 3), (15, 3), (16, 4), (64, 4)])
def test_the_untrained_net_looks_at_small_pictures_with_fewer_layers(size, layers):
    extractor = open_extractor("auto", {"shape": [3, size, size], "labels": None})
    noise = torch.rand(5, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = extractor(Batch(noise))
    assert features.shape == (5, sum(RandomConv.widths[:layers]))
    assert features.std(0).min() > 0
    assert extractor.version == RandomConv.version + (f", {layers} of 4 layers" if layers < 4 else "")


def test_of_one_pixel_the_untrained_net_sees_nothing_and_says_so():
    with pytest.raises(ConfigError, match="2 pixels a side or more"):
        open_extractor("auto", {"shape": [2, 1, 1], "labels": None})


class Flat(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) * 2


def test_an_exported_network_serves_as_extractor(tmp_path, digits):
    _, facts = digits
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(Flat(), (torch.randn(4, 1, 28, 28),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "flat.pt2")
    extractor = open_extractor(str(tmp_path / "flat.pt2"), facts)
    sample = torch.rand(7, 1, 28, 28).mul(255).round() / 127.5 - 1
    torch.testing.assert_close(extractor(Batch(sample)), sample.flatten(1) * 2)
    assert extractor.name == "flat"
    assert extractor.version.startswith("sha256 ")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_torchscript_network_serves_as_extractor(tmp_path, digits):
    _, facts = digits
    torch.jit.script(Flat()).save(str(tmp_path / "flat.pt"))
    sample = torch.rand(3, 1, 28, 28).mul(255).round() / 127.5 - 1
    extractor = open_extractor(str(tmp_path / "flat.pt"), facts)
    torch.testing.assert_close(extractor(Batch(sample)), sample.flatten(1) * 2)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_an_unknown_extractor_and_a_file_that_is_none_are_named(tmp_path, digits):
    _, facts = digits
    with pytest.raises(ConfigError, match="lenet-fashion"):
        open_extractor("lenet-fashion", facts)
    for name in ("odd.pt2", "odd.pt"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(PluginError, match=name):
            open_extractor(str(tmp_path / name), facts)


def test_pictures_that_are_not_square_are_no_digits():
    with pytest.raises(UsageError, match="square"):
        as_digits(torch.zeros(2, 1, 28, 30))
