"""The same features through torch-fidelity's formulas and ours. Skipped by name where torch-fidelity is missing."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch

from genkit.evaluation import classifier_score, frechet_distance, kernel_distance, precision_recall

if find_spec("torch_fidelity") is None:
    pytest.skip("needs the package torch-fidelity", allow_module_level=True)


class Absent(ModuleType):
    """Stands for torchvision, which torch-fidelity imports for its datasets and other extractors."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@pytest.fixture(scope="module", autouse=True)
def without_torchvision():
    """torch-fidelity imported where torchvision is not; its formulas need none of it."""
    stand_ins: dict[str, Absent] = {}
    if find_spec("torchvision") is None:
        for name in (
            "torchvision",
            "torchvision.datasets",
            "torchvision.transforms",
            "torchvision.transforms.functional",
        ):
            stand_ins[name] = Absent(name)
            stand_ins[name].__spec__ = ModuleSpec(name, None, is_package=True)
            stand_ins[name].__path__ = []
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(stand_ins[parent], child, stand_ins[name])
    sys.modules.update(stand_ins)
    import torch_fidelity  # noqa: F401  (for what it leaves in sys.modules)

    for name in stand_ins:
        del sys.modules[name]


@pytest.fixture(scope="module")
def sets() -> tuple[torch.Tensor, torch.Tensor]:
    """Features of 500 and 400 samples that are alike but not equal, correlated and not centred."""
    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(24, 24, generator=rng) / 5
    real = torch.randn(500, 24, generator=rng, dtype=torch.float64) @ mix.double() + 2
    fake = 1.1 * torch.randn(400, 24, generator=rng, dtype=torch.float64) @ mix.double() + 2.05
    return real, fake


def test_the_frechet_distance_agrees(sets):
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    real, fake = sets
    theirs = fid_statistics_to_metric(fid_features_to_statistics(fake), fid_features_to_statistics(real), False)
    assert theirs[KEY_METRIC_FID] > 0.1
    assert frechet_distance(real, fake) == pytest.approx(theirs[KEY_METRIC_FID], rel=1e-6)


def test_the_kernel_distance_of_whole_sets_agrees(sets):
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    real, fake = sets[0][:400], sets[1]
    theirs = kid_features_to_metric(
        real, fake, kid_subsets=1, kid_subset_size=400, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=0, verbose=False,
    )  # fmt: skip
    mean, _ = kernel_distance(real, fake, subset_size=400)
    assert mean == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-6)


def test_precision_and_recall_agree(sets):
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    real, fake = sets
    theirs = prc_features_to_metric(
        fake, real, prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=False, verbose=False
    )
    precision, recall = precision_recall(real, fake, k=3)
    assert 0.1 < precision < 1
    assert 0.1 < recall < 1
    assert precision == pytest.approx(theirs[KEY_METRIC_PRECISION], rel=1e-6)
    assert recall == pytest.approx(theirs[KEY_METRIC_RECALL], rel=1e-6)


def test_the_classifier_score_agrees_in_one_part_and_in_ten(sets):
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

    logits = sets[1]
    for splits in (1, 10):
        theirs = isc_features_to_metric(logits, splits=splits, shuffle=False)
        # theirs scores parts one after the other, ours rows in turn
        turned = torch.cat(list(logits.view(splits, -1, logits.shape[1]).unbind(1)))
        mean, deviation = classifier_score(turned, splits=splits)
        assert mean == pytest.approx(theirs[KEY_METRIC_ISC_MEAN], rel=1e-6)
        assert deviation == pytest.approx(theirs[KEY_METRIC_ISC_STD], rel=1e-6, abs=1e-12)
