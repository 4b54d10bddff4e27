"""Ten faults that plugin authors make, each planted in a copy of examples/genkit-points and named with its cure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genkit.testing import CheckFailure, checks_of

FORWARD = "return genkit.Draw(self.layers(latent))"
TORCH = ("models.py", "from torch import Tensor, nn", "import torch\nfrom torch import Tensor, nn")
CENTRED = """\
points = self.layers(latent)
        if self.training:
            with torch.no_grad():
                self.centre.lerp_(points.mean(0), 0.1)
        return genkit.Draw(points - self.centre)"""

FAULTS = {
    "torch imported at discovery": (
        "torch-free",
        [("plugin.py", "import genkit\n", "import torch  # noqa\n\nimport genkit\n")],
        ["torch is imported at discovery", "genkit_faulty/plugin.py:5", "`import torch  # noqa`"],
        "import string",
    ),
    "a misspelt hook": (
        "hooks",
        [("plugin.py", "def genkit_metrics", "def genkit_metrcis")],
        ["there is no hook `genkit_metrcis`", "did you mean `genkit_metrics`?"],
        "genkit.hookspecs",
    ),
    ".item() in forward": (
        "meta",
        [("models.py", FORWARD, "return genkit.Draw(self.layers(latent) * (1 + latent.mean().item()))")],
        ["item()", "genkit_faulty/models.py:", "in forward"],
        "keep the value in a tensor",
    ),
    "a tensor made on the CPU": (
        "meta",
        # A product: the meta device itself would let it pass.
        [TORCH, ("models.py", FORWARD, "return genkit.Draw(self.layers(latent) @ torch.eye(2))")],
        ["a tensor of the CPU beside one of the device", "genkit_faulty/models.py:", "in forward"],
        "device=latent.device",
    ),
    "a critic that modifies its input in place": (
        "inputs",
        [("models.py", "[self.layers(sample)]", "[self.layers(sample.mul_(0.5))]")],
        ["MlpCritic changes its input in place"],
        "make new tensors",
    ),
    "an unseeded dataset": (
        "data-order",
        [("data.py", "rng.normal(count, 2)", "torch.randn(count, 2)")],
        ["two openings of the dataset hold other examples"],
        "genkit.Random(config.seed)",
    ),
    "a config field without a docstring": (
        "config-docs",
        [("settings.py", '    depth: int = 4\n    """Hidden layers."""\n', "    depth: int = 4\n")],
        ["without a docstring: genkit_faulty.settings.GeneratorConfig.depth"],
        "under the field",
    ),
    "a state-dict key that is not saved": (
        "resume",
        [
            TORCH,
            (
                "models.py",
                "self.latent_size = latent",
                'self.latent_size = latent\n        self.register_buffer("centre", torch.zeros(2), persistent=False)',
            ),
            ("models.py", FORWARD, CENTRED),
        ],
        ["a resumed run ends with another generator", "no checkpoint holds `generator.centre`"],
        "register_buffer",
    ),
    "a writer that writes an empty file": (
        "writer",
        [("writers.py", 'table.writerow(["x", "y"])\n            table.writerows', "list")],
        ["PointsWriter.write wrote an empty .csv"],
        "write the file before its path is returned",
    ),
    "a missing licence": (
        "licence",
        [("plugin.py", 'licence="none needed: it is drawn from a seed"', 'licence=" "')],
        ["no licence is stated for the data of the dataset `faulty.grid25`"],
        "SPDX",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_its_cure(fault: str, faulty: Callable[..., str]) -> None:
    name, edits, what, cure = FAULTS[fault]
    check = next(check for check in checks_of(faulty(*edits), only=[name]) if "ring8" not in check.subject)
    with pytest.raises(CheckFailure) as caught:
        check.run()
    for words in what:
        assert words in caught.value.what
    assert cure in caught.value.cure


def test_the_copy_without_a_fault_passes_the_same_checks(faulty: Callable[..., str]) -> None:
    names = sorted({name for name, *_ in FAULTS.values()})
    for check in checks_of(faulty(), only=names):
        if check.subject != "faulty.ring8":
            check.run()
