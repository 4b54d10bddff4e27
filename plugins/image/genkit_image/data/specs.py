"""What the image plugin offers in ``data``. Imports no torch."""

from __future__ import annotations

from typing import Any

from genkit import DatasetSpec
from genkit_image.data.endings import SUFFIXES

_INSPECT, _PREPARE = "genkit_image.data.inspection:inspect", "genkit_image.data.preparation:prepare"


def dataset_specs() -> list[DatasetSpec]:
    """Every dataset of the plugin."""
    return [
        _dataset(
            "digits",
            "Digits",
            "10,000 handwritten digits that come with the package.",
            "CC BY-SA 3.0",
            inspect=_INSPECT,
        ),
        DatasetSpec(
            name="image.stacked_digits",
            modality="image",
            summary="Three of those digits as red, green and blue: 1,000 modes (Lin et al. 2018).",
            config="genkit_image.bench.config:StackedDigitsConfig",
            open="genkit_image.bench.stacked:open_stacked_digits",
            offline=True,
            licence="CC BY-SA 3.0",
        ),
        *(
            DatasetSpec(
                name=f"image.{name}",
                modality="image",
                summary=f"Points in the plane: {what}.",
                config="genkit_image.bench.config:MixtureConfig",
                open=f"genkit_image.bench.mixtures:open_{name}",
                offline=True,
                licence="none needed: it is drawn from a seed",
            )
            for name, what in (
                ("ring8", "8 Gaussians of standard deviation 0.01 on the unit circle"),
                ("grid25", "25 Gaussians of standard deviation 0.05 at {-4, -2, 0, 2, 4}²"),
            )
        ),
        _dataset(
            "folder",
            "Folder",
            "A folder or zip file of pictures of any size and kind, or a prepared one; sub-folders are labels.",
            endings=(*sorted(SUFFIXES), ".zip", "genkit-pictures.json"),
            inspect=_INSPECT,
            prepare=_PREPARE,
        ),
        _dataset(
            "paired",
            "Paired",
            "Two folders of pictures that belong together by name: A/1.jpg is given, B/1.jpg is made of it.",
            module="pairs",
            inspect=_INSPECT,
        ),
        _dataset("outlines", "Outlines", "The embedded digits as pairs: their edges, and themselves.", "CC BY-SA 3.0"),
        _dataset(
            "idx",
            "Idx",
            "IDX files, as MNIST and Fashion-MNIST ship.",
            endings=("-ubyte", "-ubyte.gz"),
            inspect=_INSPECT,
        ),
        _dataset(
            "webdataset",
            "WebDataset",
            "Shards in WebDataset's form: .tar files of pictures with their labels, on a disk of this machine.",
            module="shards",
            endings=(".tar",),
            inspect=_INSPECT,
            prepare=_PREPARE,
        ),
        _dataset(
            "hub",
            "Hub",
            "A dataset of the Hugging Face hub (extra `hub`), streamed or not, or one saved to a folder.",
            offline=False,
            inspect=_INSPECT,
            prepare=_PREPARE,
        ),
    ]


def _dataset(
    name: str, prefix: str, summary: str, licence: str = "yours", *, module: str = "", offline: bool = True, **more: Any
) -> DatasetSpec:
    """A dataset that the module of its name, or `module`, opens."""
    return DatasetSpec(
        name=f"image.{name}",
        modality="image",
        summary=summary,
        config=f"genkit_image.data.config:{prefix}Config",
        open=f"genkit_image.data.{module or name}:open_{name}",
        offline=offline,
        licence=licence,
        **more,
    )
