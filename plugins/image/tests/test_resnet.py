from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn

from genkit import ConfigError, Random
from genkit_image.models import resnet
from genkit_image.models.config import ResNetCriticConfig, ResNetGeneratorConfig
from genkit_image.models.normalisation import BatchNorm


def facts(size: int, classes: int = 0) -> dict:
    names = [str(i) for i in range(classes)] or None
    return {"modality": "image", "shape": [3, size, size], "range": [-1, 1], "labels": names}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sngan_s_nets_have_the_parameters_of_the_paper_s_table_for_32_pixels():
    with torch.device("meta"):
        generator = resnet.build_generator(ResNetGeneratorConfig(), facts(32))
        critic = resnet.build_critic(ResNetCriticConfig(), facts(32))

    def conv(here: int, there: int, side: int) -> int:
        return here * there * side**2 + there

    dense = 128 * 4 * 4 * 256 + 4 * 4 * 256
    block = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 2 * 2 * 256
    assert count(generator) == dense + 3 * block + 2 * 256 + conv(256, 3, 3) == 4_276_739
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    second = 2 * conv(128, 128, 3) + conv(128, 128, 1)
    flat = 2 * 2 * conv(128, 128, 3)
    assert count(critic) == first + second + flat + 128 + 1


@pytest.mark.parametrize(("size", "widths", "halvings"), [(28, (8, 8, 4), 2), (48, (8, 8, 8, 4), 3), (64, (8,) * 5, 5)])
def test_widths_decide_the_resolution(size, widths, halvings):
    generator = resnet.build_generator(ResNetGeneratorConfig(widths=widths), facts(size))
    critic = resnet.build_critic(ResNetCriticConfig(widths=(4,) * halvings), facts(size))
    sample = generator(generator.latent(2, rng=Random(0))).sample
    assert sample.shape == (2, 3, size, size)
    assert critic(sample).logits[0].shape == (2,)


def test_a_resolution_that_can_not_be_halved_so_often_is_named():
    with pytest.raises(ConfigError, match="28 pixels a side can not be halved 3 times") as caught:
        resnet.build_generator(ResNetGeneratorConfig(), facts(28))
    assert "model.generator.widths" in str(caught.value)
    assert "2 times" in str(caught.value)
    with pytest.raises(ConfigError, match=r"model\.critic\.widths"):
        resnet.build_critic(ResNetCriticConfig(widths=(8, 8, 8)), facts(28))


def test_under_spectral_norm_no_layer_stretches_anything():
    torch.manual_seed(0)
    critic = resnet.build_critic(ResNetCriticConfig(widths=(16, 16), flat=(8,)), facts(8, classes=5))
    for parameter in critic.parameters():
        parameter.data.mul_(7.0)
    for _ in range(40):
        critic(torch.randn(2, 3, 8, 8), torch.tensor([0, 4]))
    critic.eval()
    weights = [part.weight for part in critic.modules() if isinstance(part, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(weights) == 3 + 3 + 3 + 2
    for weight in weights:
        assert torch.linalg.svdvals(weight.flatten(1))[0].item() == pytest.approx(1.0, abs=0.03)


def test_labels_enter_by_projection():
    critic = resnet.build_critic(ResNetCriticConfig(widths=(8,), flat=(), normalisation="none"), facts(8, classes=3))
    x = torch.randn(4, 3, 8, 8)
    told = critic(x, torch.full((4,), 2))
    pooled = told.features[0][0].sum((2, 3))
    expected = critic.head(pooled)[:, 0] + pooled @ critic.embedding.weight[2]
    torch.testing.assert_close(told.logits[0], expected)


def test_a_row_s_logit_is_its_own_with_every_normalisation():
    for normalisation in ("spectral", "layer", "none"):
        config = ResNetCriticConfig(widths=(8,), flat=(8,), normalisation=normalisation)
        critic = resnet.build_critic(config, facts(8)).eval()
        x = torch.randn(6, 3, 8, 8)
        assert not critic.batch_coupled
        torch.testing.assert_close(critic(x).logits[0][:2], critic(x[:2]).logits[0])


# --- batch norm ------------------------------------------------------------------------------------------------------


def test_batch_norm_is_torch_s_without_classes():
    ours, torchs = BatchNorm(5).double(), nn.BatchNorm2d(5).double()
    x = torch.randn(6, 5, 3, 3, dtype=torch.float64) * 2 + 1
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.mean, torchs.running_mean)
    torch.testing.assert_close(ours.variance, torchs.running_var)
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_a_class_has_its_own_gain_and_shift():
    norm = BatchNorm(2, classes=3)
    norm.gain.data[1], norm.shift.data[1] = 2.0, 5.0
    x = torch.randn(4, 2, 3, 3)
    plain, told = norm(x, torch.zeros(4, dtype=torch.int64)), norm(x, torch.tensor([0, 1, 0, 1]))
    torch.testing.assert_close(told[::2], plain[::2])
    torch.testing.assert_close(told[1::2], 2 * plain[1::2] + 5)


def test_shared_batch_norm_is_that_of_all_rows(monkeypatch):
    """Two processes with the same rows each: what they add up is twice what either has."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.mul_(2))
    shared, alone = BatchNorm(3).double(), nn.BatchNorm2d(3).double()
    x = (torch.randn(4, 3, 2, 2, dtype=torch.float64) * 3 + 2).requires_grad_()
    both = torch.cat([x, x])

    def slope(y: torch.Tensor) -> torch.Tensor:
        (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        return first

    one, other = shared(x), alone(both)
    torch.testing.assert_close(torch.cat([one, one]), other)
    torch.testing.assert_close(shared.mean, alone.running_mean)
    torch.testing.assert_close(shared.variance, alone.running_var)
    # x stands for both processes' rows, so its gradient through the whole batch is twice that of either.
    first, whole = slope(one), slope(other)
    torch.testing.assert_close(2 * first, whole)
