"""The three tests of mode coverage, what else can be run on them, and what others have published. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Data whose modes are known, and how a generator of them is measured."""

    name: str
    title: str
    modes: int
    recipe: str
    """What is run when no recipe is named."""
    settings: Mapping[str, str]
    """What makes any recipe learn this data and be measured so, as ``--set`` takes it."""
    published: Sequence[tuple[str, str, str, str]] = ()
    """Of others: name, modes, high quality, reverse KL, as they printed them."""


def _settings(data: str, samples: int) -> dict[str, str]:
    return {"data": data, "metrics": "[image.modes]", "train.eval_samples": str(samples)}


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "ring8",
            "Eight Gaussians on a ring",
            8,
            "image.mixture",
            _settings("image.ring8", 2500),
            (
                ("GAN (Lin et al. 2018)", "6.3 ± 0.5", "98.2 %", "0.45"),
                ("PacGAN2 (Lin et al. 2018)", "7.9", "95.6 %", "0.07"),
                ("PacGAN4 (Lin et al. 2018)", "7.8", "95.9 %", "0.07"),
            ),
        ),
        Protocol(
            "grid25",
            "25 Gaussians on a grid",
            25,
            "image.mixture",
            _settings("image.grid25", 2500),
            (
                ("GAN (Lin et al. 2018)", "17.3 ± 0.8", "94.8 %", "0.70"),
                ("PacGAN2 (Lin et al. 2018)", "23.8", "91.3 %", "0.13"),
                ("PacGAN4 (Lin et al. 2018)", "24.8 ± 0.2", "93.6 %", "0.04"),
            ),
        ),
        Protocol(
            "stacked",
            "Stacked digits",
            1000,
            "image.stacked",
            _settings("image.stacked_digits", 26_000),
            (
                ("DCGAN (Lin et al. 2018), on MNIST", "99.0", "", "3.40"),
                ("VEEGAN (Lin et al. 2018), on MNIST", "150", "", "2.95"),
                ("PacDCGAN2 (Lin et al. 2018), on MNIST", "1000", "", "0.06"),
            ),
        ),
    )
}
"""Data and measures follow Lin et al. 2018, section 4, and their published code: the KL is that of the histogram over
modes from the uniform one. Their StackedMNIST is made of the 70,000 digits of MNIST, ours of 8,000 of them."""

VARIANTS: Mapping[str, Sequence[str]] = {
    "recipe": (),
    "non_saturating": ("objective=non_saturating", "penalties.r1=null", "penalties.r2=null"),
}
"""Named settings that a table can hold beside one another: the recipe as it is, and the first GAN's loss alone."""
