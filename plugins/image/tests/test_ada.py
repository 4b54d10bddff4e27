from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from genkit import ConfigError, Dataset, Experiment, Random, UsageError, Verdict
from genkit.adversarial.judging import look
from genkit.adversarial.objectives import Hinge, LeastSquares, RelativisticPaired, Wasserstein
from genkit_image.augment import matrices
from genkit_image.augment.ada import ADA, SYMLET6, recoloured, warped
from genkit_image.augment.config import ADAConfig
from genkit_image.bench.config import MixtureConfig
from genkit_image.bench.mixtures import open_ring8
from genkit_image.combinations import checked
from genkit_image.data.images import Images
from genkit_image.models import r3gan
from genkit_image.models.config import R3GANCriticConfig

NAMES = (
    "flip", "turn", "shift", "scale", "rotate", "stretch", "drift",
    "brightness", "contrast", "luma_flip", "hue", "saturation", "cutout",
)  # fmt: skip
TAPS = torch.tensor(SYMLET6, dtype=torch.float64)


def only(*names: str, **options) -> ADA:
    return ADA(ADAConfig(**dict.fromkeys(NAMES, 0.0) | dict.fromkeys(names, 1.0), **{"target": None} | options))


def pictures(count: int = 8, channels: int = 3, side: int = 16) -> torch.Tensor:
    """Smooth random pictures in [-1, 1]."""
    noise = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(scipy.ndimage.gaussian_filter(noise.numpy(), (0, 0, 3, 3), mode="wrap") * 8).tanh()


# --- matrices --------------------------------------------------------------------------------------------------------


def test_the_plane_s_matrices_are_those_of_scipy():
    angle = torch.tensor([0.3, -2.0], dtype=torch.float64)
    for one, found in zip(angle.tolist(), matrices.rotation(angle), strict=True):
        generator = np.array([[0, -one, 0], [one, 0, 0], [0, 0, 0]])
        np.testing.assert_allclose(found.numpy(), expm(generator), atol=1e-14)
    by = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    point = torch.tensor([5.0, 7.0, 1.0], dtype=torch.float64)
    assert (matrices.translation(by)[0] @ point).tolist() == [7.0, 4.0, 1.0]
    assert (matrices.scaling(by)[0] @ point).tolist() == [10.0, -21.0, 1.0]


def test_the_colours_matrices_are_those_of_scipy():
    axis = np.ones(3) / math.sqrt(3)
    angle = torch.tensor([0.7, -3.0], dtype=torch.float64)
    for one, found in zip(angle.tolist(), matrices.luma_rotation(angle), strict=True):
        np.testing.assert_allclose(found[:3, :3].numpy(), Rotation.from_rotvec(one * axis).as_matrix(), atol=1e-14)
        np.testing.assert_allclose(found[3].numpy(), [0, 0, 0, 1], atol=1e-14)
    mirror = matrices.luma_reflection(torch.tensor([1.0, 0.0], dtype=torch.float64))
    np.testing.assert_allclose(mirror[0, :3, :3].numpy(), np.eye(3) - 2 * np.outer(axis, axis), atol=1e-14)
    assert torch.equal(mirror[1], torch.eye(4, dtype=torch.float64))
    colour = np.array([0.9, -0.3, 0.1])
    grey = colour.mean()
    found = matrices.saturation(torch.tensor([0.25], dtype=torch.float64))[0, :3, :3].numpy() @ colour
    np.testing.assert_allclose(found, grey + 0.25 * (colour - grey), atol=1e-14)


def test_a_draw_puts_its_transformations_together_in_the_paper_s_order():
    """What a place of the result is taken from, followed back step by step from the same random numbers."""
    augment, rows = only(*NAMES[:7], probability=1.0), 64
    found = augment.draw(torch.zeros(rows, 1, 16, 32), probability=1.0, rng=Random(3))["geometry"].double()
    rng = Random(3)
    rng.uniform(rows, 14)
    u, n = rng.uniform(rows, 10).double(), rng.normal(rows, 7).double()
    place = torch.tensor([3.0, -5.0], dtype=torch.float64)
    for row in range(rows):
        turned = lambda angle, at: np.array(  # noqa: E731
            [math.cos(angle) * at[0] - math.sin(angle) * at[1], math.sin(angle) * at[0] + math.cos(angle) * at[1]]
        )
        size, at = np.array([32.0, 16.0]), place.numpy()
        at = at + 0.125 * n[row, 2:4].numpy() * size
        at = turned(math.pi * (2 * u[row, 5].item() - 1), at)
        wide = 2 ** (0.2 * n[row, 1].item())
        at = at * [wide, 1 / wide]
        at = turned(math.pi * (2 * u[row, 4].item() - 1), at)
        at = at * 2 ** (0.2 * n[row, 0].item())
        at = at + np.round((2 * u[row, 2:4].numpy() - 1) * 0.125 * size)
        at = turned(math.pi / 2 * math.floor(4 * u[row, 1].item()), at)
        at = at * [1 - 2 * math.floor(2 * u[row, 0].item()), 1]
        leads = found[row].numpy() @ np.array([*place.numpy(), 1.0])
        np.testing.assert_allclose(leads[:2], at, atol=2e-5)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_the_filter_is_orthogonal_to_itself_and_blind_to_polynomials():
    """What makes a symlet of six vanishing moments, and halving after doubling the identity."""
    assert TAPS.sum().item() == pytest.approx(math.sqrt(2), abs=1e-12)
    for shift in range(6):
        product = (TAPS[2 * shift :] * TAPS[: 12 - 2 * shift]).sum().item()
        assert product == pytest.approx(1.0 if shift == 0 else 0.0, abs=1e-11)
    at = torch.arange(12, dtype=torch.float64)
    for power in range(6):
        assert ((-1) ** at * at**power * TAPS).sum().item() == pytest.approx(0.0, abs=1e-8)


def moved(matrix: np.ndarray, count: int) -> torch.Tensor:
    return torch.from_numpy(matrix).double().repeat(count, 1, 1)


def test_whole_pixels_move_as_they_are():
    x = torch.randn(2, 3, 20, 24, dtype=torch.float64)
    back = np.array([[1.0, 0.0, -3.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]])  # the picture goes 3 right and 2 up
    found = warped(x, moved(back, 2), TAPS)
    inside = (slice(None), slice(None), slice(6, -8), slice(9, -6))
    torch.testing.assert_close(found[inside], x.roll((-2, 3), (2, 3))[inside], rtol=0, atol=1e-10)


def test_a_map_of_the_plane_takes_smooth_pictures_where_scipy_does():
    x = pictures(1, 1, 32).double()
    angle, wide = 0.4, 1.2
    back = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) @ np.diag(
        [wide, 1 / wide]
    )
    shift = np.array([1.3, -2.2])
    matrix = np.block([[back, shift[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])
    found = warped(x, moved(matrix, 1), TAPS)[0, 0].numpy()
    swap = back[::-1, ::-1]  # scipy counts rows first
    middle = np.array([15.5, 15.5])
    expected = scipy.ndimage.affine_transform(
        x[0, 0].numpy(), swap, middle + shift[::-1] - swap @ middle, order=3, mode="reflect"
    )
    assert np.abs(found - expected)[8:-8, 8:-8].max() < 0.03
    assert np.abs(x[0, 0].numpy() - expected)[8:-8, 8:-8].max() > 0.5


def test_colours_change_as_the_matrix_says_and_grey_ones_with_its_mean():
    x, colour = pictures(4).double(), torch.randn(4, 4, 4, dtype=torch.float64)
    found = recoloured(x, colour)
    expected = torch.einsum("bij,bjhw->bihw", colour, torch.cat([x, torch.ones_like(x[:, :1])], 1))[:, :3]
    torch.testing.assert_close(found, expected)
    grey = x[:, :1]
    as_rgb = recoloured(grey.expand(-1, 3, -1, -1), colour).mean(1, keepdim=True)
    torch.testing.assert_close(recoloured(grey, colour), as_rgb)
    with pytest.raises(UsageError, match="2 channels"):
        recoloured(x[:, :2], colour)


def test_hue_and_saturation_leave_grey_pictures_alone():
    x = pictures(16, 1)
    augment = only("hue", "saturation")
    changed = augment(x, augment.draw(x, probability=1.0, rng=Random(0)))
    torch.testing.assert_close(changed, x, rtol=1e-5, atol=1e-5)


def test_a_cutout_is_a_grey_square_of_half_the_side():
    augment, x = only("cutout"), torch.ones(200, 1, 16, 16)
    cut = augment(x, augment.draw(x, probability=1.0, rng=Random(0)))[:, 0] == 0
    assert cut.flatten(1).sum(1).max() == 64
    assert cut.flatten(1).sum(1).min() >= 9  # a middle in the corner
    assert not (augment(x, augment.draw(x, probability=0.0, rng=Random(0))) == 0).any()


# --- what is drawn ---------------------------------------------------------------------------------------------------


def test_probability_zero_changes_nothing_at_all_and_one_changes_every_row():
    augment, x = ADA(ADAConfig(target=None)), pictures(32)
    assert torch.equal(augment(x, augment.draw(x, probability=0.0, rng=Random(1))), x)
    changed = augment(x, augment.draw(x, probability=1.0, rng=Random(1)))
    assert ((changed - x).flatten(1).abs().max(1).values > 0.05).all()


def test_a_row_is_augmented_the_same_in_any_batch():
    augment, x = ADA(ADAConfig(target=None, cutout=1.0)), pictures(8)
    parameters = augment.draw(x, probability=0.6, rng=Random(5))
    together = augment(x, parameters)
    for i in range(8):
        alone = augment(x[i : i + 1], {name: one[i : i + 1] for name, one in parameters.items()})
        torch.testing.assert_close(alone, together[i : i + 1])
    every = only("brightness", "rotate").draw(x, probability=0.6, rng=Random(5))
    torch.testing.assert_close(every["geometry"], only("rotate").draw(x, probability=0.6, rng=Random(5))["geometry"])
    assert list(only("hue").draw(x, probability=1.0, rng=Random(0))) == ["colour"]


def test_each_transformation_happens_as_often_as_asked():
    x, untouched = torch.zeros(4000, 3, 8, 8), torch.eye(4)
    for name, share in (("flip", 0.5), ("turn", 0.75), ("rotate", 1.0), ("contrast", 1.0), ("luma_flip", 0.5)):
        drawn = only(name).draw(x, probability=0.4, rng=Random(0))
        ((key, matrix),) = drawn.items()
        same = (matrix - untouched[: matrix.shape[1], : matrix.shape[1]]).abs().flatten(1).max(1).values < 1e-6
        assert 1 - same.float().mean().item() == pytest.approx(0.4 * share, abs=0.03), (name, key)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_twice_differentiable(channels):
    augment = ADA(ADAConfig(target=None, cutout=1.0))
    x = pictures(1, channels, 8)[:, :, :5, :4].double().requires_grad_()
    parameters = augment.draw(x, probability=1.0, rng=Random(4))
    score = lambda x: augment(x, parameters).pow(3).sum()  # noqa: E731
    assert torch.autograd.gradcheck(score, x)
    assert torch.autograd.gradgradcheck(score, x)


def test_compiled_the_critic_behind_it_has_the_same_input_gradient():
    torch.manual_seed(0)
    facts = {"modality": "image", "shape": [1, 8, 8], "range": [-1, 1], "labels": None}
    critic = r3gan.build_critic(R3GANCriticConfig(widths=(4, 4), groups=(1, 1), blocks=1), facts)
    augment, x = ADA(ADAConfig(target=None, cutout=1.0)), pictures(3, 1, 8)
    parameters = augment.draw(x, probability=1.0, rng=Random(4))
    gradients = []
    for run in (look, torch.compile(look, backend="aot_eager", fullgraph=True)):
        _, gradient = run(critic, augment, x, None, None, parameters, True)
        gradient.square().sum().backward()
        gradients.append([gradient.detach(), critic.from_image.weight.grad.clone()])
        critic.zero_grad()
    for eager, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(eager, compiled)


@pytest.mark.parametrize("target", [None, 0.6])
def test_it_runs_on_meta(target):
    augment, x = ADA(ADAConfig(target=target, cutout=1.0)).to("meta"), torch.empty(4, 3, 16, 16, device="meta")
    parameters = augment.draw(x, probability=0.5, rng=Random(0, "meta"))
    assert augment(x, parameters).device.type == "meta"
    told = Verdict([torch.empty(4, device="meta")])
    figures = augment.heard([(told, told)], Hinge(), lambda tensor: tensor)
    assert all(value.device.type == "meta" for value in figures.values())


# --- adaptation ------------------------------------------------------------------------------------------------------


def said(*logits: float) -> Verdict:
    return Verdict([torch.tensor(logits)])


def told(augment: ADA, real: Verdict, fake: Verdict | None = None, objective=None) -> float:
    return augment.heard([(real, fake or real)], objective or Hinge(), lambda tensor: tensor)[
        "augment/probability"
    ].item()


def test_p_rises_while_the_critic_is_too_sure_and_falls_when_it_is_not():
    augment = ADA(ADAConfig(target=0.6, interval=2, length=100, probability=0.1))
    sure, unsure = said(1.0, 2.0, 0.5, 3.0), said(1.0, -2.0, 0.5, 3.0)
    assert told(augment, sure) == 0.0
    assert told(augment, sure) == pytest.approx(0.08)
    assert told(augment, unsure) == pytest.approx(0.08)
    assert told(augment, sure) == pytest.approx(0.1)  # (1 + 0.5)/2 is above the target, and 0.1 the most
    told(augment, unsure)
    assert told(augment, unsure) == pytest.approx(0.02)
    told(augment, unsure)
    assert told(augment, unsure) == 0.0


def test_what_is_drawn_follows_p():
    augment, x = only("brightness", target=0.6, interval=1, length=10, probability=0.8), torch.zeros(2000, 1, 4, 4)
    shares = []
    for _ in range(4):
        colour = augment.draw(x, probability=0.5, rng=Random(0))["colour"]
        shares.append((colour[:, 0, 3] != 0).float().mean().item())
        told(augment, said(1.0, 1.0))
    assert shares == pytest.approx([0.0, 0.2, 0.4, 0.5], abs=0.03)  # 0.5 is the most at this moment


@pytest.mark.parametrize(
    ("objective", "real", "fake", "rises"),
    [
        (LeastSquares(), said(0.4, 0.4), said(0.0, 0.0), False),  # nearer to 0 than to 1: taken for fakes
        (LeastSquares(), said(0.6, 0.9), said(0.0, 0.0), True),
        (RelativisticPaired(), said(-5.0, -4.0), said(-7.0, -7.0), True),
        (RelativisticPaired(), said(5.0, 4.0), said(7.0, 3.0), False),
        (Wasserstein(), said(-5.0, -4.0), said(-7.0, -7.0), True),
    ],
)
def test_being_sure_is_what_the_objective_makes_of_it(objective, real, fake, rises):
    augment = ADA(ADAConfig(target=0.6, interval=1, length=10))
    assert (told(augment, real, fake, objective) > 0) == rises


def test_parts_of_a_batch_and_several_devices_move_p_as_the_whole_does():
    config = ADAConfig(target=0.6, interval=1, length=100)
    whole, parts, devices = ADA(config), ADA(config), ADA(config)
    told(whole, said(1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0))
    halves = [said(1.0, 1.0, 1.0, -1.0), said(1.0, 1.0, 1.0, 1.0)]
    parts.heard([(half, half) for half in halves], Hinge(), lambda tensor: tensor)
    devices.heard([(halves[0], halves[0])], Hinge(), lambda tensor: tensor + torch.tensor([4.0, 4.0]))
    assert whole.adapted.item() == parts.adapted.item() == devices.adapted.item() == pytest.approx(0.08)


# --- what it can be put before ---------------------------------------------------------------------------------------


def before(augment: ADA, data: Dataset) -> Experiment:
    critic = r3gan.build_critic(
        R3GANCriticConfig(widths=(8, 8), groups=(1, 1), blocks=1), {**data.facts, "shape": [3, 8, 8]}
    )
    return checked(Experiment(critic, critic, data, Hinge(), augment=augment))


@pytest.mark.parametrize("side", [3, 4])
def test_pictures_that_it_can_not_move_are_refused_before_training(side):
    data = Images(torch.zeros(4, 3, side, side, dtype=torch.uint8), name="made", licence="none")
    augment, x = ADA(ADAConfig(target=None)), torch.zeros(4, 3, side, side)
    if side < 4:
        with pytest.raises(ConfigError, match="pictures of 4 pixels a side or more; the data has 3x3"):
            before(augment, data)
        before(only("brightness"), data)
    else:
        before(augment, data)
        assert augment(x, augment.draw(x, probability=0.8, rng=Random(0))).shape == x.shape


def test_channels_that_are_no_colours_are_refused_before_training():
    with pytest.raises(ConfigError, match="the data has 2 channels") as caught:
        before(only("brightness", "hue"), open_ring8(MixtureConfig(examples=8, held_out=0)))
    assert caught.value.fix == "--set augment.brightness=0 --set augment.hue=0"
