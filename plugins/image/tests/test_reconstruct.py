"""From what is left of a picture to the picture: models, loss, metric, preview and recipes."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import genkit
from genkit import Batch, ConfigError, DataError, Draw, Random, UsageError
from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.evaluation import GeneratedSamples, RealSamples
from genkit.specs import resolve
from genkit_image.data.config import DigitsConfig
from genkit_image.data.degradation import Degradation
from genkit_image.data.degraded import Degraded
from genkit_image.data.digits import open_digits
from genkit_image.known import known_pictures
from genkit_image.metrics.reconstruction import Reconstruction
from genkit_image.models import patch, reconstruct
from genkit_image.models.reconstruct_config import (
    PatchCriticConfig,
    ReconstructCriticConfig,
    ReconstructGeneratorConfig,
)
from genkit_image.restoration import MissingL1, RestorationWriter, missing_mean


def facts(size: int, channels: int = 1, given: int | None = None) -> dict:
    found = {"modality": "image", "shape": [channels, size, size]}
    return found | ({"given": {"kind": "pairs", "shape": [given, size, size]}} if given else {})


def condition(size: int, channels: int = 1, count: int = 3, known: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(count, 1, size, size, generator=generator) < 0.5).float() * known
    return {"image": torch.rand(count, channels, size, size, generator=generator) * 2 - 1, "mask": mask}


def tiny(**options: object) -> ReconstructGeneratorConfig:
    return ReconstructGeneratorConfig(**{"width": 4, "latent": 3, **options})


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "fold"), [(28, 2), (28, 1), (32, 2), (48, 2), (64, 4), (128, 2)])
def test_known_pixels_pass_through_to_the_bit(size, fold):
    net = reconstruct.build_generator(tiny(fold=fold), facts(size))
    given = condition(size)
    made = net(net.latent(3, rng=Random(0)), given).sample
    known = given["mask"].bool()
    assert torch.equal(made[known], given["image"][known])
    assert not torch.equal(made[~known], given["image"][~known])
    assert made.abs().max() <= 1


def test_nothing_passes_through_where_nothing_is_known():
    net = reconstruct.build_generator(tiny(), facts(28))
    given = condition(28, known=False)
    made = net(net.latent(3, rng=Random(0)), given).sample
    assert not (made == given["image"]).any()


def test_another_latent_makes_another_completion_and_no_latent_one():
    given = condition(28)
    net = reconstruct.build_generator(tiny(), facts(28))
    first, second = (net(net.latent(3, rng=Random(seed)), given).sample for seed in (0, 1))
    assert not torch.equal(first, second)
    sure = reconstruct.build_generator(tiny(latent=0), facts(28))
    assert sure.latent(3, rng=Random(0)).numel() == 0
    assert sure(sure.latent(3, rng=Random(0)), given).sample.shape == (3, 1, 28, 28)


def test_grey_pictures_become_coloured_ones():
    net = reconstruct.build_generator(tiny(), facts(32, channels=3, given=1))
    made = net(net.latent(3, rng=Random(0)), condition(32, known=False)).sample
    assert made.shape == (3, 3, 32, 32)
    critic = reconstruct.build_critic(ReconstructCriticConfig(width=4), facts(32, channels=3, given=1))
    assert critic(made, condition(32)).logits[0].shape == (3,)


@pytest.mark.parametrize(
    ("critic", "shape"),
    [
        (reconstruct.build_critic(ReconstructCriticConfig(width=4), facts(28)), (3,)),
        (patch.build_critic(PatchCriticConfig(width=4, layers=2), facts(28)), (3, 1, 5, 5)),
    ],
)
def test_critics_see_sample_picture_and_mask(critic, shape):
    given, sample = condition(28), condition(28)["image"].flip(0)
    verdict = critic(sample, given)
    assert verdict.logits[0].shape == shape
    assert len(verdict.features[0]) >= 3
    for change in ({**given, "image": -given["image"]}, {**given, "mask": 1 - given["mask"]}):
        assert not torch.equal(critic(sample, change).logits[0], verdict.logits[0])
    rows = [critic(sample[i : i + 1], {k: v[i : i + 1] for k, v in given.items()}).logits[0] for i in range(3)]
    torch.testing.assert_close(torch.cat(rows), verdict.logits[0], msg="a row is judged by itself")


def test_a_patch_is_as_large_as_the_papers():
    """Isola et al. 2017, appendix 6.1.2: 70, 34 and 16 pixels."""
    for layers, pixels in ((3, 70), (2, 34), (1, 16)):
        critic = patch.build_critic(PatchCriticConfig(width=1, layers=layers), facts(128))
        sample = torch.zeros(1, 1, 128, 128, requires_grad=True)
        blank = {"image": torch.zeros(1, 1, 128, 128), "mask": torch.zeros(1, 1, 128, 128)}
        for layer in critic.layers:
            torch.nn.init.ones_(layer.weight)
        torch.nn.init.ones_(critic.head.weight)
        logits = critic(sample, blank).logits[0]
        middle = logits.shape[-1] // 2
        (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], sample)
        assert int((gradient[0, 0].abs().sum(1) > 0).sum()) == pixels


def test_models_refuse_what_they_can_not_make():
    with pytest.raises(ConfigError, match="no multiple of 2"):
        reconstruct.build_generator(tiny(), facts(27))
    with pytest.raises(ConfigError, match="power of two"):
        reconstruct.build_generator(tiny(), facts(36))
    with pytest.raises(ConfigError, match="leave nothing of 16"):
        patch.build_critic(PatchCriticConfig(layers=3), facts(16))
    with pytest.raises(ConfigError, match="64 pixels a side"):
        reconstruct.picture_shape(facts(64) | {"given": {"shape": [1, 32, 32]}})
    net = reconstruct.build_generator(tiny(), facts(28))
    for wrong in (None, torch.zeros(1, dtype=torch.long)):
        with pytest.raises(UsageError, match="was given none"):
            net(net.latent(1, rng=Random(0)), wrong)


# --- loss and metric -------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_each_hole():
    apart = torch.ones(2, 1, 2, 2)
    apart[1, 0, 0, 0] = 4.0
    mask = torch.tensor([[[[0.0, 1], [1, 1]]], [[[0.0, 0], [1, 1]]]])
    assert missing_mean(apart, mask).tolist() == [1.0, 2.5]
    assert missing_mean(apart, torch.ones(2, 1, 2, 2)).tolist() == [0.0, 0.0]
    real = torch.zeros(2, 3, 2, 2)
    turn = SimpleNamespace(
        draw=Draw(real + apart * (1 - mask)), real=Batch(real, {"image": real, "mask": mask}), generator=None
    )
    assert float(MissingL1()(turn)) == pytest.approx((1 + 2.5) / 2)
    with pytest.raises(UsageError, match="nothing to compare"):
        MissingL1()(SimpleNamespace(draw=None, real=turn.real))


def digits(count: int = 8) -> tuple[Degraded, RealSamples]:
    data = Degraded(open_digits(DigitsConfig()), Degradation(kind="half"))
    return data, RealSamples(data.held_out(), split="held-out", count=count, batch_size=3)


def samples_of(real: RealSamples, change, batch_size: int = 5) -> GeneratedSamples:
    whole = Batch.join(list(real.batches()))
    made = Batch(change(whole.sample), whole.condition)
    return GeneratedSamples(
        lambda start, count: made.map(lambda leaf: leaf[start : start + count]), real.count, batch_size=batch_size
    )


def test_errors_are_measured_in_the_hole_and_over_all():
    _, real = digits()
    mask = Batch.join(list(real.batches())).condition["mask"]
    found = Reconstruction()(real, samples_of(real, lambda x: torch.where(mask > 0, x, -x)))
    whole = Batch.join(list(real.batches())).sample
    hole = (2 * whole.abs() * (1 - mask)).sum((1, 2, 3)) / (1 - mask).sum((1, 2, 3))
    assert found["hole_mae"] == pytest.approx(float(hole.mean()), rel=1e-5)
    assert found["mae"] == pytest.approx(found["hole_mae"] / 2, rel=1e-5)
    squares = (4 * whole.square() * (1 - mask)).mean((1, 2, 3))
    assert found["psnr"] == pytest.approx(float((10 * (4 / squares).log10()).mean()), rel=1e-5)


def test_a_perfect_picture_has_a_finite_ratio_and_other_reals_no_figures():
    data, real = digits()
    found = Reconstruction()(real, samples_of(real, lambda x: x))
    assert (found["hole_mae"], found["mae"]) == (0.0, 0.0)
    assert found["psnr"] == pytest.approx(20 * math.log10(8 * 255))
    assert Reconstruction()(real, RealSamples(data, split="train", count=8)) == {}


def test_samples_of_other_pictures_are_refused():
    data, real = digits()
    other = RealSamples(data.held_out(), split="other", count=8, seed=1)
    with pytest.raises(DataError, match="row by row"):
        Reconstruction()(real, samples_of(other, lambda x: x))
    plain = GeneratedSamples(lambda start, count: Batch(torch.zeros(count, 1, 28, 28)), 8)
    with pytest.raises(DataError, match="made of none"):
        Reconstruction()(real, plain)


# --- recipes ---------------------------------------------------------------------------------------------------------


def built(name: str, **more: object) -> genkit.Experiment:
    spec = catalog().recipe(name)
    return resolve(spec.build)(resolve_config(spec, values=more))


def test_a_preview_shows_given_made_and_real(tmp_path):
    experiment = built("image.reconstruct")
    assert isinstance(experiment.writer, RestorationWriter)
    asked, columns = experiment.conditions.grid(4)
    known = known_pictures(experiment.data.facts)
    path = experiment.writer.preview(Batch(torch.zeros(4, 1, 28, 28), asked), tmp_path / "sheet", columns=columns)
    sheet = np.asarray(Image.open(path))
    side = (sheet.shape[1] - 2) // (3 * columns)
    cells = [sheet[2:side, 2 + i * side : (i + 1) * side][::2, ::2] for i in range(3)]
    assert len({cell.shape for cell in cells}) == 1
    real = ((known["real"][0, 0] + 1) * 127.5).round().numpy()
    given = ((known["image"][0, 0] + 1) * 127.5).round().numpy()
    assert np.array_equal(cells[0], given)
    assert (cells[1] == 128).all()
    assert np.array_equal(cells[2], real)


def test_a_preview_of_pictures_that_are_not_known_shows_no_real(tmp_path):
    writer = built("image.reconstruct").writer
    asked = {"image": torch.zeros(2, 1, 28, 28), "mask": torch.zeros(2, 1, 28, 28)}
    path = writer.preview(Batch(torch.zeros(2, 1, 28, 28), asked), tmp_path / "sheet", columns=1)
    assert Image.open(path).size[0] < 3 * 58


def test_other_models_and_augmentation_are_refused():
    with pytest.raises(ConfigError, match="R3GANGenerator makes nothing of a picture"):
        built("image.reconstruct", **{"data.resolution": 32, "model": {"generator": "image.r3gan_generator"}})
    with pytest.raises(ConfigError, match="SmallCritic makes nothing of a picture"):
        built("image.pairs", model={"critic": "image.small_critic"})
    with pytest.raises(ConfigError, match=r"image\.diffaugment changes"):
        built("image.reconstruct", augment="image.diffaugment")


def test_each_recipe_says_which_data_is_the_others():
    with pytest.raises(ConfigError, match="has no pairs"):
        built("image.pairs", data="image.digits")
    with pytest.raises(ConfigError, match="of its own"):
        built("image.reconstruct", data="image.outlines")


def test_losses_of_weight_zero_are_left_out():
    names = [[term.name for term in built("image.reconstruct", losses=losses).terms] for losses in (
        {"reconstruction": 1.0, "feature_matching": 1.0}, {"reconstruction": 0.0, "feature_matching": 1.0},
    )]  # fmt: skip
    assert names == [["reconstruction", "feature_matching"], ["feature_matching"]]


def test_a_weight_of_the_wrong_kind_names_the_option():
    with pytest.raises(ConfigError, match=r"degradation: factor: the kind boxes reads"):
        built("image.reconstruct", degradation={"factor": 4})
