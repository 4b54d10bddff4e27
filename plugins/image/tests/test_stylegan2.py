from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import convolve2d, upfirdn

import genkit
from genkit import ConfigError, Draw, GeneratorTurn, Random, UsageError
from genkit.random import Rows
from genkit_image.models import resnet, stylegan2
from genkit_image.models.config import ResNetGeneratorConfig, StyleGAN2CriticConfig, StyleGAN2GeneratorConfig
from genkit_image.models.modulation import Convolution, low_pass, modulated
from genkit_image.terms import PathLength, path_lengths

TINY = {"widths": (6, 4), "latent": 5, "style": 3, "mapping": 2}


def facts(size: int, classes: int = 0, channels: int = 3) -> dict:
    names = [str(i) for i in range(classes)] or None
    return {"modality": "image", "shape": [channels, size, size], "range": [-1, 1], "labels": names}


def tiny(size: int = 8, classes: int = 0, **options) -> stylegan2.StyleGAN2Generator:
    torch.manual_seed(0)
    config = StyleGAN2GeneratorConfig(**(TINY | options))
    generator = stylegan2.build_generator(config, facts(size, classes))
    for layer in generator.layers:
        layer.strength.data.fill_(0.3)
    return generator


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# --- layers ----------------------------------------------------------------------------------------------------------


def by_row(weight: torch.Tensor, style: torch.Tensor, *, demodulate: bool) -> torch.Tensor:
    """Equations 1 and 3 as they stand: weights [B, O, I, k, k]."""
    each = torch.einsum("bi,oikl->boikl", style, weight)
    return (
        each / (torch.einsum("boikl,boikl->bo", each, each) + 1e-8).sqrt()[:, :, None, None, None]
        if demodulate
        else each
    )


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_modulated_convolution_is_the_paper_s_with_weights_for_each_row(kernel, demodulate):
    torch.manual_seed(0)
    x, style = torch.randn(3, 4, 6, 6).double(), torch.randn(3, 4).double()
    weight = torch.randn(5, 4, kernel, kernel).double()
    padded = F.pad(x, (kernel // 2,) * 4).unfold(2, kernel, 1).unfold(3, kernel, 1)  # [B, I, H, W, k, k]
    expected = torch.einsum("boikl,bihwkl->bohw", by_row(weight, style, demodulate=demodulate), padded)
    torch.testing.assert_close(modulated(x, weight, style, demodulate=demodulate), expected, rtol=1e-7, atol=1e-9)
    grouped = F.conv2d(
        x.reshape(1, 12, 6, 6),
        by_row(weight, style, demodulate=demodulate).flatten(0, 1),
        padding=kernel // 2,
        groups=3,
    )
    torch.testing.assert_close(grouped.view(3, 5, 6, 6), expected, rtol=1e-7, atol=1e-9)


def test_a_doubling_modulated_convolution_is_zeros_between_the_kernel_and_the_filter_1331():
    torch.manual_seed(0)
    x, style, weight = (torch.randn(*shape).double() for shape in ((2, 3, 5, 5), (2, 3), (4, 3, 3, 3)))
    found = modulated(x, weight, style, filter=low_pass().double())
    assert found.shape == (2, 4, 10, 10)
    taps = np.array([1.0, 3.0, 3.0, 1.0]) / 4  # a gain of 2 in each direction makes up for the zeros
    each = by_row(weight, style, demodulate=True)
    for row in range(2):
        for out in range(4):
            full = 0.0
            for channel in range(3):
                kernel = each[row, out, channel].numpy()
                both = np.kron(taps[:, None], taps)
                spaced = np.zeros((9, 9))
                spaced[::2, ::2] = x[row, channel].numpy()
                full = full + convolve2d(convolve2d(spaced, kernel), both)
            np.testing.assert_allclose(found[row, out].numpy(), full[1:-1, 1:-1][1:11, 1:11], rtol=1e-7, atol=1e-9)


def test_a_halving_convolution_filters_by_1331_before_it():
    torch.manual_seed(0)
    layer = Convolution(1, 1, 3, halves=True).double()
    x = torch.randn(1, 1, 8, 8).double()
    taps = np.array([1.0, 3.0, 3.0, 1.0]) / 8
    blurred = upfirdn(taps, upfirdn(taps, x[0, 0].numpy(), axis=0), axis=1)[1:-1, 1:-1]
    kernel = (layer.weight * layer.gain)[0, 0].detach().numpy()
    rows = range(0, blurred.shape[0] - 2, 2)
    expected = [[(blurred[i : i + 3, j : j + 3] * kernel).sum() for j in rows] for i in rows]
    found = layer(x)[0, 0].detach().numpy()
    assert found.shape == (4, 4)
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-7, atol=1e-9)


def test_the_spread_of_a_group_is_shown_to_each_of_its_rows():
    x = torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    shown = stylegan2.with_spread(x, 4)
    assert shown.shape == (8, 4, 2, 2)
    assert torch.equal(shown[:, :3], x)
    for first in (0, 4):
        expected = np.sqrt(x[first : first + 4].numpy().var(0) + 1e-8).mean()
        np.testing.assert_allclose(shown[first : first + 4, 3].numpy(), np.full((4, 2, 2), expected))
    odd = stylegan2.with_spread(x[:6], 4)
    np.testing.assert_allclose(odd[:3, 3].numpy(), np.sqrt(x[:3].numpy().var(0) + 1e-8).mean())


# --- the networks ----------------------------------------------------------------------------------------------------


def test_the_256_pixel_nets_have_as_many_parameters_as_the_layers_of_the_paper_s():
    widths = (512, 512, 512, 512, 256, 128, 64)
    with torch.device("meta"):
        config = StyleGAN2GeneratorConfig(widths=widths, latent=512, style=512, mapping=8)
        generator = stylegan2.build_generator(config, facts(256))
        critic = stylegan2.build_critic(StyleGAN2CriticConfig(widths=widths), facts(256))

    def dense(here: int, there: int) -> int:
        return here * there + there

    def styled(here: int, there: int) -> int:
        return dense(512, here) + 9 * here * there + there + 1

    pairs = list(pairwise(widths))
    synthesis = 16 * 512 + styled(512, 512) + sum(styled(a, b) + styled(b, b) for a, b in pairs)
    pictures = sum(dense(512, width) + 3 * width + 3 for width in widths)
    assert count(generator) == 8 * dense(512, 512) + synthesis + pictures == 24_767_458
    blocks = sum(9 * b * b + b + 9 * b * a + a + b * a for a, b in pairs)
    last = 9 * 513 * 512 + 512 + dense(16 * 512, 512) + dense(512, 1)
    assert count(critic) == dense(3, 64) + blocks + last == 24_001_089
    assert critic.batch_coupled


def test_a_sample_is_a_function_of_its_latent_alone():
    generator = tiny().eval()
    latent = generator.latent(4, rng=Random(3))
    assert torch.equal(generator.latent(4, rng=Random(3)), latent)
    assert latent.shape == (4, 5 + 5 + 1 + 16 + 64 + 64)
    whole = generator(latent).sample
    assert torch.equal(generator(latent).sample, whole)
    torch.testing.assert_close(generator(latent[:2]).sample, whole[:2])
    assert generator.latent(1, rng=Random(0, "meta")).device.type == "meta"


def test_noise_is_in_the_latent_and_as_strong_as_was_learnt():
    generator = tiny().eval()
    latent = generator.latent(2, rng=Random(0))
    other = torch.cat([latent[:, :11], generator.latent(2, rng=Random(1))[:, 11:]], 1)
    assert not torch.allclose(generator(latent).sample, generator(other).sample)
    for layer in generator.layers:
        layer.strength.data.zero_()
    assert torch.equal(generator(latent).sample, generator(other).sample)
    assert tiny(noise=False).latent(2, rng=Random(0)).shape == (2, 11)
    assert tiny(noise=False, mixing=0.0).latent(2, rng=Random(0)).shape == (2, 5)


def test_styles_are_mixed_in_training_only_in_the_share_that_is_asked():
    generator = tiny(size=16, widths=(4, 4, 4), mixing=0.6)
    latent = generator.latent(4000, rng=Random(0))
    styles = generator.styles(latent)
    mixed = ~(styles == styles[:, :1]).all(2).all(1)
    assert mixed.float().mean().item() == pytest.approx(0.6, abs=0.03)
    crossing = (styles == styles[:, :1]).all(2).sum(1)
    first, counts = crossing[mixed].unique(return_counts=True)
    assert first.tolist() == [1, 2, 3, 4, 5]  # six styles: the second rules from the second to the last on
    assert counts.min() / mixed.sum() == pytest.approx(0.2, abs=0.04)
    second = generator._mapped(latent[:, 5:10], None)
    assert torch.equal(styles[mixed][:, -1], second[mixed])
    styles = generator.eval().styles(latent)
    assert (styles == styles[:, :1]).all()


def test_truncation_draws_samples_towards_the_average_style():
    generator = tiny(mixing=0.0, noise=False).eval()
    generator.average.copy_(torch.tensor([0.5, -0.5, 1.0]))
    latent = generator.latent(6, rng=Random(0))
    assert torch.equal(generator(latent, truncation=1.0).sample, generator(latent).sample)
    still = generator(latent, truncation=0.0).sample
    torch.testing.assert_close(still, still[:1].expand_as(still))
    expected = generator.synthesise(generator.average.expand(1, generator.style_count, -1), latent[:1])
    torch.testing.assert_close(still[:1], expected)
    spreads = [generator(latent, truncation=psi).sample.std(0).mean().item() for psi in (0.0, 0.5, 1.0)]
    assert spreads[0] < spreads[1] < spreads[2]


def test_the_average_style_follows_training_and_rests_otherwise():
    generator = tiny()
    latent = generator.latent(64, rng=Random(0))
    mean = generator.styles(latent)[:, 0].mean(0)
    for _ in range(2):
        generator(latent)
    torch.testing.assert_close(generator.average, mean * (1 - 0.998**2))
    before = generator.average.clone()
    generator.eval()(latent)
    assert torch.equal(generator.average, before)


# --- path length -----------------------------------------------------------------------------------------------------


def test_path_lengths_are_those_of_finite_differences():
    generator = tiny(mixing=0.0).double()
    latent = generator.latent(2, rng=Random(0)).double()
    styles = generator.styles(latent).detach().requires_grad_()
    images = generator.synthesise(styles, latent)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double()
    found = path_lengths(images, styles, noise)
    step, squares = 1e-6, torch.zeros(2, 4, 3).double()
    for layer in range(4):
        for number in range(3):
            moved = torch.zeros(1, 4, 3).double()
            moved[0, layer, number] = step
            with torch.no_grad():
                change = generator.synthesise(styles + moved, latent) - generator.synthesise(styles - moved, latent)
            squares[:, layer, number] = ((change / (2 * step)) * noise / 8).sum((1, 2, 3)).square()
    torch.testing.assert_close(found, squares.sum(2).mean(1).sqrt(), rtol=1e-6, atol=1e-9)


def turn(generator: torch.nn.Module, start: int = 0, stop: int = 8, total: int = 8, seed: int = 0) -> GeneratorTurn:
    return GeneratorTurn(
        generator=generator, objective=None, judge=None, condition=None, draw=Draw(torch.zeros(stop - start, 1)),
        real=None, fake_verdict=None, real_verdict=None, group=1, rng=Random(seed, rows=Rows(start, stop, total)),
        report={},
    )  # fmt: skip


@pytest.mark.usefixtures("float64")
def test_the_path_length_is_held_against_the_average_of_the_updates_before():
    generator, term = tiny(), PathLength(shrink=1, decay=0.9)
    assert term(turn(generator, seed=1)).item() == 0.0
    lengths = []
    for seed in (1, 2):
        given = turn(generator, seed=seed)
        PathLength(shrink=1)(given)
        lengths.append(given.report["path_length"].item())
    given = turn(generator, seed=2)
    value = term(given)
    assert given.report["path_length"].item() == pytest.approx(lengths[1], rel=1e-6)
    assert value.item() > 0
    value.backward()
    assert all(layer.weight.grad is not None for layer in [*generator.layers, *generator.mapping])
    term(turn(generator, seed=3))
    average = (term.sums / term.mass).item()
    assert average == pytest.approx((0.9 * 0.1 * lengths[0] + 0.1 * lengths[1]) / (0.9 * 0.1 + 0.1), rel=1e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("shrink", [1, 2])
def test_parts_of_a_batch_have_the_path_length_of_the_whole(shrink):
    generator, whole, parts = tiny(), PathLength(shrink=shrink), PathLength(shrink=shrink)
    for seed in (1, 2, 3):
        one = whole(turn(generator, seed=seed))
        cut = [parts(turn(generator, first, first + 4, seed=seed)) for first in (0, 4)]
        torch.testing.assert_close(torch.stack(cut).mean(), one)
    torch.testing.assert_close(parts.sums, whole.sums)


def test_a_path_length_needs_styles_and_whole_shares():
    plain = resnet.build_generator(ResNetGeneratorConfig(widths=(4, 4)), facts(8))
    with pytest.raises(UsageError, match="ResNetGenerator has no styles"):
        PathLength()(turn(plain))
    with pytest.raises(ConfigError, match=r"8 rows .* no multiple of 3"):
        PathLength(shrink=3)(turn(tiny()))


# --- the recipe ------------------------------------------------------------------------------------------------------


def smoke(**more: object) -> dict[str, object]:
    from genkit_image.plugin import genkit_recipes

    (spec,) = [spec for spec in genkit_recipes() if spec.name == "image.stylegan2"]
    return {**spec.smoke, "train.eval_samples": 16, "metrics": [], **more}


def test_a_run_goes_on_with_its_averages_and_its_samples_can_be_truncated(tmp_path):
    values = smoke(**{
        "path_length.every": 1, "train.checkpoint_every": 2, "augment.name": "image.ada", "augment.interval": 1,
        "augment.length": 100,
    })  # fmt: skip
    whole = genkit.run("image.stylegan2", steps=4, out=tmp_path / "whole", values=values, device="cpu")
    genkit.run("image.stylegan2", steps=2, out=tmp_path / "cut", values=values, device="cpu")
    genkit.resume(tmp_path / "cut", steps=4, device="cpu")
    for file in ("generator", "generator_ema", "critic", "parts"):
        one, other = (tmp_path / run / "checkpoints" / "4" / f"{file}.safetensors" for run in ("whole", "cut"))
        assert one.read_bytes() == other.read_bytes(), file
    sampler = genkit.load(whole.run, device="cpu")
    assert sampler.generator.average.abs().sum() > 0
    label = sampler.condition({"label": "3"}, 4)
    still, free = (sampler.sample(4, condition=label, truncation=psi).sample for psi in (0.0, 1.0))
    assert still.std(0).mean() < 0.5 * free.std(0).mean()
    assert torch.equal(sampler.sample(4, condition=label).sample, free)


@pytest.mark.parametrize(
    ("recipe", "values", "words"),
    [
        ("image.stylegan2", {"model.generator": "image.r3gan_generator"}, "R3GANGenerator has no styles"),
        ("image.wgan_gp", {"model.critic": "image.dcgan_critic"}, "DCGANCritic has batch norm"),
        ("image.r3gan", {"objective": "wasserstein", "penalties": {"r1": None, "r2": None}}, "growing without end"),
    ],
)
def test_parts_that_make_no_sense_together_are_refused_by_name(recipe, values, words):
    from genkit.catalog import catalog
    from genkit.config import resolve_config
    from genkit.specs import resolve

    spec = catalog().recipe(recipe)
    config = resolve_config(spec, values=values)
    with pytest.raises(ConfigError, match=words):
        resolve(spec.build)(config)


def test_spectral_norm_bounds_a_wasserstein_critic_as_well_as_a_penalty_does():
    from genkit.catalog import catalog
    from genkit.config import resolve_config
    from genkit.specs import resolve

    spec = catalog().recipe("image.sngan")
    experiment = resolve(spec.build)(resolve_config(spec, values={**spec.smoke, "objective": "wasserstein"}))
    assert experiment.penalties == {}
