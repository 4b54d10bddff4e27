"""What can be asked of a generator of audio: a label, or a mel spectrogram, read or made of a recording."""

from __future__ import annotations

import base64
import json
import math
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genkit import Bank, Conditions, ConfigError, DataError, Labels, UsageError
from genkit_audio.data.files import FileSource, read_header
from genkit_audio.data.resampling import read_at_rate
from genkit_audio.facts import AudioFacts
from genkit_audio.mel import MelSpectrogram, mel_filters
from genkit_audio.melspec import MelSpec
from genkit_audio.spectra import hann

KNOWN_MELS = 16
"""Mels kept in the facts, for sampling without one and for previews."""
PEAK = 2.0
"""The peak that no wave has whose mel is taken."""
SLACK = 1e-3
"""By how much a mel may pass the floor of its specification, through rounding."""


class Mels(Bank):
    """Log-mel spectrograms [B, bands, F]. Without one, those that the data's facts keep are drawn.

    Args:
        spec: what they are.
        known: mels of the data, [N, bands, F].
    """

    def __init__(self, spec: MelSpec, known: Tensor) -> None:
        super().__init__(known)
        self.spec = spec

    def parse(self, given: Mapping[str, Any], count: int) -> Tensor:
        """One row a sample of ``mel``, .npy or .npz files, or of ``audio``, recordings; files are taken in turn.

        Raises UsageError when a file holds no mel of this specification, or files of several lengths are given.
        """
        if len(given) != 1 or not set(given) <= {"mel", "audio"}:
            raise UsageError(
                f"this generator takes the condition `mel` or `audio`, not {', '.join(sorted(given)) or 'nothing'}",
                where="--condition",
                fix="--condition audio=FILE.wav, or mel=FILE.npy",
            )
        (kind, asked), *_ = given.items()
        files = asked if isinstance(asked, Sequence) and not isinstance(asked, str) else [asked]
        if not files or not all(isinstance(file, str | Path) for file in files):
            raise UsageError(f"the condition `{kind}` is a file or a list of files", where=f"--condition {kind}")
        read = read_mel if kind == "mel" else mel_of
        mels = [read(Path(file).expanduser(), self.spec) for file in files[:count]]
        frames = [mel.shape[-1] for mel in mels]
        if len(set(frames)) > 1:
            other = next(i for i, length in enumerate(frames) if length != frames[0])
            raise UsageError(
                f"{files[0]} has {frames[0]} frames and {files[other]} {frames[other]}: one batch has one length",
                where=f"--condition {kind}",
                fix="ask for them one at a time",
            )
        return torch.stack(mels)[torch.arange(count) % len(mels)]

    def describe(self, condition: Tensor) -> Any:
        """The mels, float32 [B, bands, F]."""
        return condition.float().cpu().numpy()


def conditions(facts: Mapping[str, Any]) -> Conditions | None:
    """What a generator trained on data with these facts takes."""
    found = AudioFacts.of(facts)
    if found.mel is not None:
        return Mels(found.mel, unpack_mels(facts["mels"]))
    if found.labels:
        return Labels(found.labels, facts.get("label_counts"))
    return None


def mel_of(path: Path, spec: MelSpec) -> Tensor:
    """The mel [bands, F] of a recording of any rate and channel count; its last frame is filled up with silence.

    Raises UsageError, naming the file, when it can not be read. That a lower rate leaves the top empty is said.
    """
    source = FileSource(str(path.parent), path.name)
    try:
        header = read_header(source)
        if header.rate < spec.rate:
            print(
                f"{path}: of {header.rate} Hz, brought to {spec.rate} Hz: it has nothing above {header.rate // 2} Hz",
                file=sys.stderr,
            )
        wave = torch.from_numpy(read_at_rate(source, header, spec.rate))
    except DataError as error:
        raise UsageError(error.what, where="--condition audio", fix=error.fix) from error
    frames = math.ceil(max(len(wave), spec.fft) / spec.hop)
    wave = torch.nn.functional.pad(wave, (0, frames * spec.hop - len(wave)))
    with torch.no_grad():
        mel: Tensor = MelSpectrogram(spec)(wave[None])[0]
    return mel


def write_mel(mel: Tensor, spec: MelSpec, path: Path) -> None:
    """Keep a mel [bands, F] as .npz, with its specification beside it, which `read_mel` then checks."""
    np.savez(path, mel=mel.float().cpu().numpy(), spec=json.dumps(spec.to_facts()))


def read_mel(path: Path, spec: MelSpec) -> Tensor:
    """The mel [bands, F] in a .npy file, or in a .npz under ``mel``, maybe beside its specification, ``spec``, as JSON.

    Raises UsageError, naming the file and both values, when it was made with another specification: by what the file
    says, by its number of bands, or by values that this specification can not have.
    """
    found, said = _arrays(path)
    mel = found[0] if found.ndim == 3 and len(found) == 1 else found
    where = "--condition mel"
    if said is not None and said != spec:
        lines = "; ".join(said.difference(spec))
        raise UsageError(f"{path}: was made with another mel specification: {lines}", where=where)
    if mel.ndim != 2 or mel.shape[0] != spec.bands or not mel.shape[1]:
        turned = mel.ndim == 2 and mel.shape[1] == spec.bands
        raise UsageError(
            f"{path}: has the shape {list(mel.shape)}, and a mel of {spec.bands} bands has [{spec.bands}, frames]",
            where=where,
            fix="transpose it" if turned else None,
        )
    if not np.isfinite(mel).all():
        bad = mel.size - np.count_nonzero(np.isfinite(mel))
        raise UsageError(f"{path}: {bad} of its {mel.size} values are not finite", where=where)
    floor = {"ln": math.log, "log10": math.log10, "none": float}[spec.log](spec.floor)
    if mel.min() < floor - SLACK * max(1.0, abs(floor)):
        raise UsageError(
            f"{path}: its lowest value is {mel.min():.3f}, and this specification's floor is {floor:.3f}, the "
            f"{'value' if spec.log == 'none' else spec.log} of {spec.floor:g}; it may be in decibels",
            where=where,
        )
    ceiling = {"ln": math.log, "log10": math.log10, "none": float}[spec.log](loudest(spec))
    if mel.max() > ceiling:
        raise UsageError(
            f"{path}: its highest value is {mel.max():.3f}, and by this specification a wave of twice full scale has "
            f"{ceiling:.3f} at most; it may be of {'another scale' if spec.log == 'none' else 'no logarithm'}",
            where=where,
        )
    return torch.from_numpy(np.ascontiguousarray(mel, np.float32))


def loudest(spec: MelSpec) -> float:
    """What no band of a wave in [-2, 2] passes, before the logarithm: such a wave's magnitudes are 2 Σ window at most.

    Recordings have a peak of 1, and what a codec or a filter makes of one passes it by less than that.
    """
    magnitude = PEAK * float(hann(spec.window, spec.fft).sum())
    return float(mel_filters(spec).sum(1).max()) * magnitude**spec.power


def _arrays(path: Path) -> tuple[NDArray[Any], MelSpec | None]:
    """The array of a file, and the specification that stands beside it."""
    where = "--condition mel"
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            array, said = content, None
        else:
            with content:
                array = content["mel"]
                said = MelSpec.from_facts(json.loads(str(content["spec"]))) if "spec" in content else None
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file", where=where) from error
    except KeyError as error:
        raise UsageError(f"{path}: holds no array called `mel`", where=where) from error
    except ConfigError as error:
        reason = "; ".join([error.what, *error.problems])
        raise UsageError(f"{path}: its mel specification can not be read: {reason}", where=where) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: is no .npy or .npz file of numbers ({error})", where=where) from error
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{path}: holds {array.dtype}, not numbers", where=where)
    return array, said


def pack_mels(mels: Tensor) -> dict[str, Any]:
    """Mels [N, bands, F] as JSON, in 16 bit."""
    content = mels.detach().to("cpu", torch.float16).numpy()
    return {"shape": list(mels.shape), "float16": base64.b64encode(content.tobytes()).decode()}


def unpack_mels(packed: Mapping[str, Any]) -> Tensor:
    """What `pack_mels` packed, float32."""
    content = np.frombuffer(base64.b64decode(packed["float16"]), "<f2").reshape(packed["shape"])
    return torch.from_numpy(content.astype(np.float32))
