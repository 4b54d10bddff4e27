"""A plugin whose datasets can be looked at and laid out anew, in two modalities; its parts are in `shelf_parts`."""

from __future__ import annotations

import genkit


def _dataset(name, *, config="Files", offline=True, endings=(), **hooks):
    return genkit.DatasetSpec(
        name=name,
        modality=name.partition(".")[0],
        summary="Files.",
        config=f"shelf_parts:{config}",
        open="shelf_parts:look",
        offline=offline,
        licence="yours",
        endings=endings,
        **{hook: f"shelf_parts:{function}" for hook, function in hooks.items()},
    )


@genkit.hookimpl
def genkit_datasets():
    return [
        _dataset("shelf.books", endings=(".txt",), inspect="look", prepare="bind"),
        _dataset("shelf.hub", offline=False, inspect="look"),
        _dataset("shelf.made", config="Made", inspect="look"),
        _dataset("shelf.plain"),
        _dataset("crate.records", endings=(".rec", ".txt.gz"), inspect="look"),
        _dataset("crate.lost", inspect="missing"),
    ]
