from __future__ import annotations

import pytest
import torch

from genkit import ConfigError, Random, UsageError
from genkit_image.models import dcgan, r3gan, resnet, small, stylegan2
from genkit_image.models.config import (
    DCGANCriticConfig,
    DCGANGeneratorConfig,
    R3GANCriticConfig,
    R3GANGeneratorConfig,
    ResNetCriticConfig,
    ResNetGeneratorConfig,
    SmallCriticConfig,
    SmallGeneratorConfig,
    StyleGAN2CriticConfig,
    StyleGAN2GeneratorConfig,
)
from genkit_image.recipes.r3gan import PRESETS


def facts(size: int, channels: int = 3, classes: int = 0) -> dict:
    names = [str(i) for i in range(classes)] or None
    return {"modality": "image", "shape": [channels, size, size], "range": [-1, 1], "labels": names}


def million(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


# --- R3GAN -----------------------------------------------------------------------------------------------------------

TINY = {"widths": (16, 8), "groups": (2, 1)}
PAPER = {  # what research/image.md derives from the authors' code: classes, and parameters in millions
    "ffhq256": (0, 23.06, 23.01),
    "ffhq64": (0, 22.4, 22.4),
    "cifar10": (10, 20.8, 21.3),
    "imagenet32": (1000, 82.9, 86.6),
    "imagenet64": (1000, 103.6, 107.2),
}


@pytest.mark.parametrize("preset", PAPER)
def test_r3gan_presets_have_as_many_parameters_as_the_paper_s(preset):
    classes, generator, critic = PAPER[preset]
    values = PRESETS[preset]
    data = facts(values["data"]["resolution"], classes=classes)
    options = {
        role: {key: tuple(v) if isinstance(v, list) else v for key, v in values["model"][role].items() if key != "name"}
        for role in ("generator", "critic")
    }
    with torch.device("meta"):
        counts = [
            million(r3gan.build_generator(R3GANGeneratorConfig(**options["generator"]), data)),
            million(r3gan.build_critic(R3GANCriticConfig(**options["critic"]), data)),
        ]
    assert counts == pytest.approx([generator, critic], abs=0.005 if preset == "ffhq256" else 0.052)


def test_r3gan_resampling_is_the_filter_1331_inside():
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    kernel = (taps[:, None] * taps).view(1, 1, 4, 4)
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    up = torch.nn.functional.conv_transpose2d(x, kernel / 16, stride=2, padding=1)
    down = torch.nn.functional.conv2d(x, kernel / 64, stride=2, padding=1)
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(r3gan.double(x)[inside], up[inside], rtol=0, atol=1e-14)
    torch.testing.assert_close(r3gan.halve(x)[inside], down[inside], rtol=0, atol=1e-14)
    averaged = torch.nn.functional.avg_pool2d(x, 2)
    assert (averaged - down)[inside].abs().max() > 0.01


def test_r3gan_blocks_start_as_the_identity_and_inner_weights_follow_the_depth():
    torch.manual_seed(0)
    net = r3gan.build_generator(R3GANGeneratorConfig(widths=(256,), groups=(16,), blocks=4), facts(4))
    x = torch.randn(2, 256, 4, 4)
    assert torch.equal(net.stages[0](x), x)
    block = net.stages[0][0]
    gain = (2 / 1.04) ** 0.5 * 4**-0.25
    assert block.widen.weight.std().item() == pytest.approx(gain / 256**0.5, rel=0.01)
    assert block.mix.weight.std().item() == pytest.approx(gain / (32 * 9) ** 0.5, rel=0.01)
    assert net.style.weight.std().item() == pytest.approx(1 / 8, rel=0.03)


def test_r3gan_critic_is_twice_differentiable():
    torch.manual_seed(0)
    critic = r3gan.build_critic(R3GANCriticConfig(**TINY), facts(8, classes=3)).double()
    for parameter in critic.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 2])
    gradient = torch.autograd.grad(critic(x, label).logits[0].sum(), x, create_graph=True)[0]
    penalty = gradient.square().sum()
    penalty.backward()
    weight = critic.stages[0][0].mix.weight
    step = 1e-6

    def at(shift: float) -> float:
        with torch.no_grad():
            weight[0, 0, 0, 0] += shift
        y = x.detach().requires_grad_()
        value = torch.autograd.grad(critic(y, label).logits[0].sum(), y)[0].square().sum().item()
        with torch.no_grad():
            weight[0, 0, 0, 0] -= shift
        return value

    assert (at(step) - at(-step)) / (2 * step) == pytest.approx(weight.grad[0, 0, 0, 0].item(), rel=1e-5)


def test_r3gan_logits_do_not_depend_on_the_batch():
    critic = r3gan.build_critic(R3GANCriticConfig(**TINY), facts(8))
    x = torch.randn(6, 3, 8, 8)
    assert not critic.batch_coupled
    torch.testing.assert_close(critic(x).logits[0][:2], critic(x[:2]).logits[0])


def test_r3gan_says_what_widths_and_groups_it_needs():
    with pytest.raises(ConfigError, match="4 widths"):
        r3gan.build_generator(R3GANGeneratorConfig(**TINY), facts(32))
    with pytest.raises(ConfigError, match="28"):
        r3gan.build_critic(R3GANCriticConfig(), facts(28))
    with pytest.raises(ConfigError, match="groups"):
        r3gan.build_critic(R3GANCriticConfig(widths=(16, 8), groups=(3, 1)), facts(8))


# --- DCGAN -----------------------------------------------------------------------------------------------------------


def test_dcgan_is_the_published_net():
    data = facts(64)
    with torch.device("meta"):
        paper = dcgan.build_generator(DCGANGeneratorConfig(width=128), data)
        generator = dcgan.build_generator(DCGANGeneratorConfig(), data)
        critic = dcgan.build_critic(DCGANCriticConfig(), data)
    widths = [layer.in_channels for layer in paper.layers if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert widths == [100, 1024, 512, 256, 128]
    assert million(generator) * 1e6 == 3_576_704  # as PyTorch's tutorial has them
    assert million(critic) * 1e6 == 2_765_568
    assert critic.batch_coupled


def test_dcgan_weights_start_at_0_02():
    torch.manual_seed(0)
    critic = dcgan.build_critic(DCGANCriticConfig(), facts(32))
    assert critic.layers[2].weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_dcgan_hears_a_label_at_first_about_as_much_as_the_picture():
    torch.manual_seed(0)
    critic = dcgan.build_critic(DCGANCriticConfig(width=8), facts(32, channels=1, classes=10))
    images, labels = torch.rand(64, 1, 32, 32) * 2 - 1, torch.arange(64) % 10
    with torch.no_grad():
        whole = critic(images, labels).logits[0]
        critic.embedding.weight.zero_()
        bare = critic(images, labels).logits[0]
    assert (whole - bare).std() < 5 * bare.std()  # with torch's N(0, 1) it is 126 times as much


@pytest.mark.parametrize("size", [20, 28, 32, 48, 64])
def test_dcgan_makes_any_size_of_4_to_7_times_a_power_of_two(size):
    generator = dcgan.build_generator(DCGANGeneratorConfig(width=2), facts(size, channels=1))
    assert generator(torch.randn(2, 100)).sample.shape == (2, 1, size, size)
    assert dcgan.build_critic(DCGANCriticConfig(width=2), facts(size))(torch.randn(2, 3, size, size)).logits[
        0
    ].shape == (2,)


@pytest.mark.parametrize("size", [4, 7, 27, 36])
def test_dcgan_refuses_other_sizes(size):
    with pytest.raises(ConfigError, match=str(size)):
        dcgan.build_generator(DCGANGeneratorConfig(), facts(size))


# --- the small pair --------------------------------------------------------------------------------------------------


def test_the_small_pair_is_small():
    data = facts(28, channels=1, classes=10)
    with torch.device("meta"):
        assert million(small.build_generator(SmallGeneratorConfig(), data)) < 0.5
        assert million(small.build_critic(SmallCriticConfig(), data)) < 0.5


def test_the_small_nets_start_with_activations_of_size_one():
    torch.manual_seed(0)
    data = facts(28, channels=1, classes=10)
    label = torch.arange(200) % 10
    sample = small.build_generator(SmallGeneratorConfig(), data)(torch.randn(200, 64), label).sample
    assert 0.3 < sample.std().item() < 0.9
    logits = small.build_critic(SmallCriticConfig(), data)(sample, label).logits[0]
    assert 0.3 < logits.std().item() < 4


@pytest.mark.parametrize("size", [8, 20, 28, 32])
def test_the_small_pair_takes_any_multiple_of_4(size):
    sample = small.build_generator(SmallGeneratorConfig(), facts(size))(torch.randn(2, 64)).sample
    assert sample.shape == (2, 3, size, size)
    assert small.build_critic(SmallCriticConfig(), facts(size))(sample).logits[0].shape == (2,)
    with pytest.raises(ConfigError, match="multiple of 4"):
        small.build_critic(SmallCriticConfig(), facts(size + 2))


# --- all -------------------------------------------------------------------------------------------------------------

PAIRS = {
    "dcgan": (dcgan, DCGANGeneratorConfig(width=4), DCGANCriticConfig(width=4)),
    "r3gan": (r3gan, R3GANGeneratorConfig(**TINY), R3GANCriticConfig(**TINY)),
    "resnet": (resnet, ResNetGeneratorConfig(widths=(8, 4)), ResNetCriticConfig(widths=(4,), flat=(8,))),
    "stylegan2": (
        stylegan2,
        StyleGAN2GeneratorConfig(widths=(16, 8), latent=8, style=8, mapping=2),
        StyleGAN2CriticConfig(widths=(16, 8)),
    ),
    "small": (small, SmallGeneratorConfig(width=4), SmallCriticConfig(width=4, hidden=8)),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("classes", [0, 5])
def test_a_pair_plays_on_meta(pair, classes):
    module, generator_config, critic_config = PAIRS[pair]
    data = facts(8, classes=classes)
    label = torch.zeros(4, dtype=torch.int64, device="meta") if classes else None
    with torch.device("meta"):
        generator, critic = module.build_generator(generator_config, data), module.build_critic(critic_config, data)
    sample = generator(generator.latent(4, rng=Random(0, "meta")), label).sample
    assert sample.shape == (4, 3, 8, 8)
    logits = critic(critic.penalty_input(sample), label).logits[0]
    assert logits.shape == (4,)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())


@pytest.mark.parametrize("pair", PAIRS)
def test_the_label_matters_to_both_nets(pair):
    torch.manual_seed(0)
    module, generator_config, critic_config = PAIRS[pair]
    data = facts(8, classes=5)
    generator, critic = module.build_generator(generator_config, data), module.build_critic(critic_config, data)
    for parameter in generator.parameters():  # a conditional batch norm starts alike for all labels
        parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    z, first, second = torch.randn(4, generator.latent_size), torch.zeros(4).long(), torch.ones(4).long()
    assert not torch.allclose(generator(z, first).sample, generator(z, second).sample)
    x = torch.randn(4, 3, 8, 8)
    assert not torch.allclose(critic(x, first).logits[0], critic(x, second).logits[0])
    with pytest.raises(UsageError, match="label"):
        generator(z)
    with pytest.raises(UsageError, match="label"):
        critic(x)


def test_images_that_are_not_square_are_refused():
    with pytest.raises(ConfigError, match="square"):
        dcgan.build_generator(DCGANGeneratorConfig(), {"modality": "image", "shape": [3, 32, 64]})
