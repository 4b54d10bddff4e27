"""Generator terms against values worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genkit.adversarial.judging import CriticJudge
from genkit.adversarial.objectives import Hinge
from genkit.adversarial.terms import FeatureMatching, Likelihood, Reconstruction
from genkit.errors import UsageError
from genkit.interfaces import Batch, Critic, Draw, Generator, GeneratorTurn, TokenGenerator, Tree, Verdict
from genkit.random import Random


class Silent(Critic):
    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        raise AssertionError("the verdict is given")


class Plain(Generator):
    def latent(self, count: int, *, rng: Random) -> Tensor:
        return rng.normal(count)

    def forward(self, latent: Tensor, condition: Tree | None = None) -> Draw:
        return Draw(latent)


class Coin(TokenGenerator, Plain):
    """Says 1 with probability σ(bias + condition), whatever came before."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

    def log_prob(self, draw: Draw, condition: Tree | None = None) -> Tensor:
        sign = 2.0 * draw.sample.double() - 1
        shift = 0.0 if condition is None else condition[:, None]
        return torch.nn.functional.logsigmoid(sign * (self.bias + shift))


def turn(**given: Any) -> GeneratorTurn:
    values: dict[str, Any] = {
        "generator": Plain(),
        "objective": Hinge(),
        "judge": CriticJudge(Silent()),
        "condition": None,
        "draw": None,
        "real": None,
        "fake_verdict": None,
        "real_verdict": None,
        "group": 1,
        "rng": Random(0),
        "report": {},
    }
    return GeneratorTurn(**values | given)


def test_feature_matching_adds_mean_distances_of_maps_and_moves_only_the_fakes() -> None:
    real = [[torch.tensor([[1.0, 2.0]]), torch.tensor([[[3.0]]])], [torch.tensor([[0.0]])]]
    fake = [[torch.tensor([[0.0, 5.0]]), torch.tensor([[[1.0]]])], [torch.tensor([[8.0]])]]
    for maps in (*real, *fake):
        for one in maps:
            one.requires_grad_()
    given = turn(real_verdict=Verdict([], real), fake_verdict=Verdict([], fake))
    loss = FeatureMatching()(given)
    assert loss.item() == pytest.approx((1 + 3) / 2 + 2 + 8)
    loss.backward()
    assert fake[0][0].grad is not None
    assert fake[0][0].grad.tolist() == [[-0.5, 0.5]]
    assert real[0][0].grad is None
    assert FeatureMatching(reduce="mean")(given).item() == pytest.approx((2 + 2 + 8) / 2)
    assert FeatureMatching(maps="mean")(given).item() == pytest.approx((2 + 2) / 2 + 8)
    weighted = turn(real_verdict=Verdict([], real), fake_verdict=Verdict([], fake, weights=torch.tensor([1.0, 0.5])))
    assert FeatureMatching()(weighted).item() == pytest.approx(2 + 2 + 0.5 * 8)


def test_feature_matching_refuses_maps_that_do_not_match() -> None:
    one = Verdict([], [[torch.zeros(2, 3)]])
    with pytest.raises(UsageError, match="needs the critic's feature maps"):
        FeatureMatching()(turn(real_verdict=one, fake_verdict=Verdict([torch.zeros(2)])))
    with pytest.raises(UsageError, match="same shapes"):
        FeatureMatching()(turn(real_verdict=one, fake_verdict=Verdict([], [[torch.zeros(4, 3)]])))


def test_reconstruction_is_the_mean_distance_to_the_real_or_the_target() -> None:
    draw = Draw(torch.tensor([[1.0, 2.0]]), target=torch.tensor([[2.0, 2.0]]))
    given = turn(draw=draw, real=Batch(torch.tensor([[4.0, 1.0]])))
    assert Reconstruction()(given).item() == pytest.approx((3 + 1) / 2)
    assert Reconstruction(distance="l2")(given).item() == pytest.approx((9 + 1) / 2)
    assert Reconstruction(against="target")(given).item() == pytest.approx(0.5)
    assert Reconstruction().needs_real
    assert not Reconstruction(against="target").needs_real
    with pytest.raises(UsageError, match="against target was given none"):
        Reconstruction(against="target")(turn(draw=Draw(draw.sample)))
    with pytest.raises(UsageError, match="same shape"):
        Reconstruction()(turn(draw=draw, real=Batch(torch.zeros(1, 3))))


def test_reconstruction_of_a_tree_and_of_masked_positions() -> None:
    draw = Draw({"a": torch.tensor([[1.0]]), "b": torch.tensor([[4.0, 4.0]])})
    real = Batch({"a": torch.tensor([[0.0]]), "b": torch.tensor([[1.0, 3.0]])})
    assert Reconstruction()(turn(draw=draw, real=real)).item() == pytest.approx((1 + 2) / 2)

    mask = torch.tensor([[True, True], [True, False]])
    made = torch.tensor([[[1.0, 1.0], [3.0, 3.0]], [[5.0, 7.0], [99.0, 99.0]]])
    given = turn(draw=Draw(made, mask), real=Batch(torch.zeros(2, 2, 2)))
    assert Reconstruction()(given).item() == pytest.approx((2 + 6) / 2)


def test_likelihood_sums_tokens_and_divides_by_the_common_length() -> None:
    generator = Coin()
    mask = torch.tensor([[True, True, True], [True, False, False]])
    real = Batch(torch.tensor([[1, 1, 0], [0, 1, 1]]), torch.tensor([0.0, 1.0]).double(), mask)
    given = turn(generator=generator, real=real)
    loss = Likelihood()(given)
    half, tail = 0.6931471806, 1.3132616875  # -log ½ and -log(1 - σ(1))
    assert loss.item() == pytest.approx((3 * half + tail) / (2 * 3))
    assert given.report["nll"].item() == pytest.approx((3 * half + tail) / 4)
    loss.backward()
    assert generator.bias.grad is not None
    assert generator.bias.grad.item() == pytest.approx((-0.5 - 0.5 + 0.5 + 0.7310585786) / 6)
    assert not Likelihood.needs_draw


def test_likelihood_fits_rows_of_all_lengths_alike() -> None:
    """Half of the rows are `1`, half are `0 0`: the likeliest coin says 1 once in three tokens."""
    generator = Coin()
    generator.bias.data.fill_(-0.6931471805599453)  # log(⅓/⅔)
    real = Batch(torch.tensor([[1, 0], [0, 0]]), None, torch.tensor([[True, False], [True, True]]))
    Likelihood()(turn(generator=generator, real=real)).backward()
    assert generator.bias.grad is not None
    assert generator.bias.grad.item() == pytest.approx(0.0, abs=1e-12)


def test_equal_parts_of_a_batch_average_to_the_batch() -> None:
    torch.manual_seed(0)
    generator, mask = Coin(), torch.rand(4, 5) < 0.6
    sample, made, wanted = torch.randint(2, (4, 5)), torch.randn(4, 5), torch.randn(4, 5)

    def losses(rows: slice) -> Tensor:
        features = [Verdict([], [[one[rows]]]) for one in (made, wanted)]
        likely = turn(generator=generator, real=Batch(sample[rows], None, mask[rows]))
        rebuilt = turn(draw=Draw(made[rows], mask[rows]), real=Batch(wanted[rows]))
        matched = turn(fake_verdict=features[0], real_verdict=features[1])
        return torch.stack([Likelihood()(likely), Reconstruction()(rebuilt), FeatureMatching()(matched)])

    torch.testing.assert_close((losses(slice(0, 2)) + losses(slice(2, 4))) / 2, losses(slice(0, 4)))


def test_likelihood_needs_log_probabilities_and_reals() -> None:
    with pytest.raises(UsageError, match="Plain is no TokenGenerator"):
        Likelihood()(turn(real=Batch(torch.zeros(1, 1, dtype=torch.int64))))
    with pytest.raises(UsageError, match="real tokens"):
        Likelihood()(turn(generator=Coin()))
