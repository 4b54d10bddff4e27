"""Faults beyond the ten: each check that a plugin can fail says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from genkit.testing import CheckFailure, CheckSkipped, PluginCheck, checks_of, ranks


def only(name: str, distribution: str) -> PluginCheck:
    return next(check for check in checks_of(distribution, only=[name]) if "ring8" not in check.subject)


def test_a_recipe_whose_build_raises_is_told_in_one_line(faulty: Callable[..., str]) -> None:
    broken = ("recipes.py", "return genkit.assemble(config)", 'raise ValueError("no such mixture")')
    with pytest.raises(CheckFailure) as caught:
        only("build", faulty(broken)).run()
    assert caught.value.what.startswith("building it raised ValueError: no such mixture (genkit_faulty/recipes.py:")
    assert "\n" not in caught.value.what


POINT = "genkit.Draw(self.layers(latent))"
RAISES = """\
@genkit.hookimpl
def genkit_run_start(run):
    raise OSError("nobody there")


"""
OTHERS = {
    "an import string that leads nowhere": (
        "specs",
        ("plugin.py", 'build="genkit_points.models:build_critic"', 'build="genkit_points.models:make"'),
        "`genkit_faulty.models:make` can not be imported",
    ),
    "a builder that takes too little": (
        "specs",
        ("models.py", "build_critic(config: CriticConfig, facts", "build_critic(config: CriticConfig, *, facts"),
        "is called with (config, facts)",
    ),
    "a module without a docstring": (
        "hook-docs",
        ("plugin.py", '"""What this plugin announces. Nothing here imports torch."""\n', ""),
        "the module genkit_faulty.plugin",
    ),
    "a summary that is no sentence": (
        "hook-docs",
        ("plugin.py", "circle: the mode-coverage benchmark of PacGAN.", "circle"),
        "the summary of the recipe `faulty.ring8`",
    ),
    "a misspelt key of the smoke config": (
        "schema",
        ("plugin.py", '"data.examples": 256', '"data.exmples": 256'),
        "did you mean `examples`?",
    ),
    "torch imported by a config's module": (
        "torch-free",
        ("settings.py", "from dataclasses", "import torch  # noqa\nfrom dataclasses"),
        "torch is imported at the config of",
    ),
    "a generator cut off from its loss": ("three-steps", ("models.py", POINT, f"{POINT[:-1]}.detach())"), "grad"),
    "figures that are not finite": (
        "three-steps",
        ("models.py", POINT, f"{POINT[:-1]} * float('nan'))"),
        "not finite at step 0",
    ),
    "a critic whose gradient has no graph": (
        "second-derivative",
        ("models.py", "self.layers(sample)]", "self.layers(sample.detach())]"),
        "RuntimeError",
    ),
    "a critic that changes its own weights": (
        "three-steps",
        (
            "models.py",
            "return genkit.Verdict(",
            "self.layers[0].weight.data.mul_(0.999)\n        return genkit.Verdict(",
        ),
        "the generator's turn changes the critic's weights",
    ),
    "latents that are not the seed's": (
        "sampling",
        ("models.py", "rng.normal(count, self.latent_size)", "__import__('torch').randn(count, self.latent_size)"),
        "two samples of one seed differ",
    ),
    "a run hook that raises": (
        "smoke-run",
        ("plugin.py", "SMOKE = {", f"{RAISES}SMOKE = {{"),
        "ended with 3: error: plugin `faulty` failed in genkit_run_start: OSError: nobody there",
    ),
    "a sample that depends on the others": (
        "sampling",
        ("models.py", POINT, "genkit.Draw(self.layers(latent + latent.mean(0)))"),
        "depends on how many are drawn",
    ),
}


@pytest.mark.parametrize("fault", OTHERS)
def test_other_faults_are_named_too(fault: str, faulty: Callable[..., str]) -> None:
    check, edit, what = OTHERS[fault]
    with pytest.raises(CheckFailure) as caught:
        only(check, faulty(edit)).run()
    assert what in caught.value.what


def test_processes_that_end_with_other_weights_are_told_apart_from_rounding() -> None:
    one = [torch.tensor([1.0, 2.0], dtype=torch.float64)]
    near, far = ([one[0] * (1 + by)] for by in (1e-8, 1e-3))
    assert ranks.verdict([one, near, near]) is True
    assert ranks.verdict([[], [], []]) is None
    differ, apart = ranks.verdict([one, near, far]), ranks.verdict([one, far, far])
    assert "two processes end with different weights" in str(differ)
    assert "two processes do not train as one does: 1.0e+03 times the tolerance" in str(apart)


def test_a_check_with_nothing_to_look_at_is_skipped_by_name(faulty: Callable[..., str]) -> None:
    without = ("recipes.py", "default_factory=lambda: penalties(0.5, 0.002)", "default_factory=dict")
    with pytest.raises(CheckSkipped, match="the recipe has no penalty"):
        only("second-derivative", faulty(without)).run()
