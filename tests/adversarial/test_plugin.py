"""What the core announces: torch-free specs whose configs build what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genkit.adversarial import plugin
from genkit.adversarial.settings import FiniteDifferenceConfig, HingeConfig, LeCamConfig, PenaltyConfig
from genkit.interfaces import Objective, Penalty
from genkit.schedules import Ramp
from genkit.specs import ObjectiveSpec, resolve

SPECS = {spec.name: spec for spec in plugin.genkit_objectives()}


def test_the_promised_names_are_announced() -> None:
    by_role: dict[str, set[str]] = {"objective": set(), "penalty": set()}
    for spec in SPECS.values():
        by_role[spec.role].add(spec.name)
    assert by_role == {
        "objective": {"non_saturating", "minimax", "hinge", "least_squares", "wasserstein", "rpgan", "ragan"},
        "penalty": {"r1", "r2", "wgan_gp", "r1_fd", "lecam"},
    }


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_each_is_built_from_its_default_config(spec: ObjectiveSpec) -> None:
    config = resolve(spec.config)()
    built = resolve(spec.build)(config)
    assert isinstance(built, Objective if spec.role == "objective" else Penalty)
    for name, value in vars(config).items():
        if hasattr(built, name):
            assert getattr(built, name) == value


def test_options_reach_what_is_built() -> None:
    def build(name: str, **options: object) -> object:
        return resolve(SPECS[name].build)(resolve(SPECS[name].config)(**options))

    hinge = build("hinge", reduce="mean", clamp_generator=True)
    assert (hinge.reduce, hinge.clamp_generator) == ("mean", True)
    assert build("non_saturating", smoothing=0.1).smoothing == 0.1
    assert build("least_squares", scale=1.0).scale == 1.0
    ramp = Ramp(start=2.0, end=0.2, over=1e6)
    r1 = build("r1", weight=ramp, every=16)
    assert (r1.weight, r1.every) == (ramp, 16)
    assert build("wgan_gp", target=0.0).target == 0.0
    assert build("r1_fd", sigma=0.1).sigma == 0.1
    lecam = build("lecam", decay=0.9, sub_critics=3, one_sided=True)
    assert (lecam.decay, lecam.sums.shape, lecam.one_sided) == (0.9, (2, 3), True)


def test_impossible_options_are_refused_by_name() -> None:
    for wrong, name in (
        (lambda: PenaltyConfig(every=0), "every: 0"),
        (lambda: FiniteDifferenceConfig(sigma=0.0), "sigma: 0.0"),
        (lambda: LeCamConfig(decay=1.0), "decay: 1.0"),
        (lambda: LeCamConfig(sub_critics=0), "sub_critics: 0"),
    ):
        with pytest.raises(ValueError, match=name):
            wrong()
    assert HingeConfig().reduce == "sum"


def test_announcing_imports_no_torch() -> None:
    code = "import sys, genkit.adversarial.plugin, genkit.adversarial.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
