"""Weights that others published, by the path of their file: Vocos, HiFi-GAN, iSTFTNet and BigVGAN."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genkit import CheckpointError, UsageError
from genkit_audio.models.hifigan import Upsampler
from genkit_audio.models.vocoder import Vocoder
from genkit_audio.models.vocos import Vocos

NESTS = ("generator", "state_dict", "model")
"""Where files keep the weights, when not at the top."""
NORM_NAMES = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}
"""PyTorch's old names of weight norm's two parts, and the new ones."""

VOCOS_NAMES = (
    (r"backbone\.embed\.(.*)", r"embed.\1"),
    (r"backbone\.norm\.(.*)", r"norm.\1"),
    (r"backbone\.convnext\.(\d+)\.dwconv\.(.*)", r"blocks.\1.mix.\2"),
    (r"backbone\.convnext\.(\d+)\.norm\.(.*)", r"blocks.\1.norm.\2"),
    (r"backbone\.convnext\.(\d+)\.pwconv1\.(.*)", r"blocks.\1.widen.\2"),
    (r"backbone\.convnext\.(\d+)\.pwconv2\.(.*)", r"blocks.\1.narrow.\2"),
    (r"backbone\.convnext\.(\d+)\.gamma", r"blocks.\1.scale"),
    (r"backbone\.final_layer_norm\.(.*)", r"last_norm.\1"),
    (r"head\.out\.(.*)", r"head.out.\1"),
)
"""Names of the ``vocos`` package, and ours."""
VOCOS_OTHERS = re.compile(r"head\.istft\.|feature_extractor\.|multi|disc|gen_loss|feat_matching|melspec")
"""What its files hold beside the net: windows, filters and, in training checkpoints, critics and losses."""
UPSAMPLER_OTHERS = re.compile(r".*\.(upsample|downsample)\.")
"""The anti-aliasing filters of BigVGAN, which follow from its config."""


def load_published(vocoder: Vocoder, path: str | Path) -> None:
    """Give `vocoder` the weights in the file at `path`, a ``.safetensors`` or a checkpoint of torch.

    No pickled code is run. The file does not tell what mel spectrograms it was trained on: that is for the caller to
    know (`genkit_audio.melspec.PRESETS`).

    Raises UsageError for a vocoder without published counterpart, CheckpointError when the file can not be read or
    holds another net's weights.
    """
    load_published_weights(vocoder, read_weights(Path(path)), where=str(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, by the names they have there. Raises CheckpointError when it holds none."""
    try:
        found: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"{path} holds no weights that can be read safely: {reason}", where=str(path)) from error
    for nest in NESTS:
        if isinstance(found, Mapping) and isinstance(found.get(nest), Mapping):
            found = found[nest]
    if isinstance(found, Mapping):
        found = {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}
    if not found or not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds no named weights", where=str(path))
    return dict(found)


@torch.no_grad()
def load_published_weights(vocoder: Vocoder, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Give `vocoder` weights under their published names.

    Args:
        vocoder: what is changed.
        weights: the published net's state dict.
        where: what an error calls them.

    Raises as `load_published`.
    """
    if isinstance(vocoder, Vocos):
        named = dict(_vocos(weights))
    elif isinstance(vocoder, Upsampler):
        _check_scaling(weights, where)
        named = dict(_upsampler(weights, vocoder.blocks))
    else:
        raise UsageError(f"no published weights are known for {type(vocoder).__name__}")
    own = vocoder.state_dict()
    for name, plain in list(named.items()):
        module, _, leaf = name.rpartition(".")
        if name not in own and f"{module}.parametrizations.{leaf}.original0" in own:
            del named[name]
            named |= _normed(vocoder.get_submodule(module), module, leaf, plain)
    problems = [f"{name} is missing" for name in sorted(own.keys() - named.keys())]
    problems += [f"{name} is not in this vocoder" for name in sorted(named.keys() - own.keys())]
    problems += [
        f"{name} is {list(named[name].shape)} in the file and {list(own[name].shape)} in this vocoder"
        for name in sorted(own.keys() & named.keys())
        if own[name].shape != named[name].shape
    ]
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise CheckpointError(
            f"{where} holds another net's weights: {shown}",
            where=where,
            fix="let model.generator have the published net's widths, rates and blocks, and data.mel its bands",
        )
    vocoder.load_state_dict(named)


def _vocos(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in weights.items():
        if not VOCOS_OTHERS.match(name):
            yield _renamed(name, VOCOS_NAMES), tensor


def _upsampler(weights: Mapping[str, Tensor], blocks: int) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in weights.items():
        if name in ("mean", "scale") or UPSAMPLER_OTHERS.match(name):
            continue
        module, _, leaf = name.rpartition(".")
        name = f"{module}.{NORM_NAMES.get(leaf, leaf)}"
        name = re.sub(r"^conv_pre\.", "enter.", name)
        name = re.sub(r"^conv_post\.", "leave.", name)
        name = re.sub(r"^(?:ups|upsampler)\.(\d+)\.(?:0\.)?", r"stages.\1.up.", name)
        name = re.sub(r"^activation_post\.act\.", "act.", name)
        inner = re.match(r"resblocks\.(\d+)\.(.*)", name)
        if inner:
            stage, block = divmod(int(inner[1]), blocks)
            name = f"stages.{stage}.blocks.{block}.{_block_name(inner[2])}"
        yield name, tensor


def _block_name(name: str) -> str:
    """The name of a residual block's part: convolutions in two lists, activations in turns."""
    act = re.match(r"activations\.(\d+)\.act\.(.*)", name)
    if act:
        return f"{('first_acts', 'second_acts')[int(act[1]) % 2]}.{int(act[1]) // 2}.{act[2]}"
    return re.sub(r"^convs2\.", "second.", re.sub(r"^convs1?\.", "first.", name))


def _renamed(name: str, names: tuple[tuple[str, str], ...]) -> str:
    for theirs, ours in names:
        if re.fullmatch(theirs, name):
            return re.sub(theirs, ours, name)
    return name


def _normed(module: nn.Module, name: str, leaf: str, plain: Tensor) -> dict[str, Tensor]:
    """A weight without weight norm as the norm and the direction that make it."""
    assert parametrize.is_parametrized(module, leaf), f"{name}.{leaf} has weight norm"
    size = torch.linalg.vector_norm(plain.flatten(1), dim=1).view(-1, *[1] * (plain.dim() - 1))
    start = f"{name}.parametrizations.{leaf}"
    return {f"{start}.original0": size, f"{start}.original1": plain}


def _check_scaling(weights: Mapping[str, Tensor], where: str) -> None:
    """transformers' HiFi-GAN may scale its input, which no mel specification says."""
    scaled = "mean" in weights and bool(weights["mean"].any())
    if scaled or ("scale" in weights and bool((weights["scale"] != 1).any())):
        raise CheckpointError(
            f"{where} scales its mel spectrograms band by band, which this vocoder does not", where=where
        )
