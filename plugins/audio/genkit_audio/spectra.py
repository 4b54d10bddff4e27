"""Short-time Fourier transforms whose frames are T // hop, and their inverse in real operations."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, UsageError

Padding = Literal["centre", "same"]
"""centre: frame i is centred on sample i·hop; same: half a hop later. Both give T // hop frames for T samples."""

MAGNITUDE_EPS = 1e-9
"""Added under the root of a magnitude, so that its gradient at silence is 0 and not undefined."""


def hann(size: int, fft: int | None = None) -> Tensor:
    """The periodic Hann window [fft] of `size` samples, in the middle of `fft`, float64."""
    around = ((fft or size) - size) // 2
    return F.pad(torch.hann_window(size, dtype=torch.float64), (around, around))


def widen(tensor: Tensor) -> Tensor:
    """`tensor` in fp32, or as it is when it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No autocast inside: phases and logarithms of bf16 numbers are audibly wrong."""
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def spectrum(wave: Tensor, window: Tensor, hop: int, *, padding: Padding = "centre") -> Tensor:
    """The complex spectrum [B, fft / 2 + 1, T // hop] of waveforms [B, T], which are mirrored at their ends.

    Args:
        wave: computed in fp32 or wider.
        window: [fft], what each frame is weighed with.
        hop: samples between frames.
        padding: where the frames stand.

    Raises UsageError when the waveform is shorter than what is mirrored.
    """
    fft = len(window)
    around = (fft // 2, fft // 2) if padding == "centre" else ((fft - hop) // 2, (fft - hop + 1) // 2)
    if wave.shape[-1] <= max(around) or wave.shape[-1] < hop:
        raise UsageError(
            f"{wave.shape[-1]} samples are too few for a transform of {fft}: its ends can not be mirrored",
            fix=f"give at least {max(*around, hop) + 1} samples",
        )
    wave = F.pad(widen(wave)[:, None], around, mode="reflect")[:, 0]
    frames = torch.stft(wave, fft, hop, window=window.to(wave.dtype), center=False, return_complex=True)
    return frames[:, :, : (wave.shape[-1] - sum(around)) // hop]


def magnitude(spectrum: Tensor) -> Tensor:
    """√(re² + im² + 1e-9) of a complex tensor; twice differentiable everywhere."""
    real, imaginary = torch.view_as_real(spectrum).unbind(-1)  # a sum over an axis of two is eight times slower
    return (real.square() + imaginary.square() + MAGNITUDE_EPS).sqrt()


class InverseSTFT(nn.Module):
    """Waveforms [B, F·hop] from spectra: the least-squares inverse of `spectrum` (Griffin and Lim 1984, eq. 6).

    x = Σ_f w (IDFT X_f) / Σ_f w², frames shifted by hop. The inverse transform is four products with a basis, of
    cosines and sines at even and odd bins, a quarter of a period each: symmetry gives the rest. So it exports to ONNX,
    compiles whole, runs on ``meta``, and costs a quarter of what one product would.

    Args:
        fft: samples in a transform, a multiple of 4.
        hop: samples between frames.
        window: samples under the Hann window; None: `fft`.
        padding: where the frames stand.

    Raises ConfigError when the sizes do not fit or shifted windows leave gaps.
    """

    window: Tensor
    """[fft]."""
    even_cosines: Tensor
    odd_cosines: Tensor
    even_sines: Tensor
    odd_sines: Tensor

    def __init__(self, fft: int, hop: int, window: int | None = None, *, padding: Padding = "centre") -> None:
        super().__init__()
        size = window or fft
        if fft % 4 or size > fft or (fft - size) % 2:
            raise ConfigError(
                f"a window of {size} samples in an inverse transform of {fft}", fix="a transform of a multiple of 4"
            )
        if 2 * hop > size:
            raise ConfigError(
                f"windows of {size} samples, {hop} apart, leave gaps that hardly anything is heard through",
                fix=f"a hop of at most {size // 2} samples",
            )
        self.fft, self.hop, self.padding = fft, hop, padding
        self.overlap = math.ceil(fft / hop)
        kept = torch.get_default_dtype()
        self.register_buffer("window", hann(size, fft).to(kept), persistent=False)
        bins = torch.arange(fft // 2 + 1, dtype=torch.float64)
        angle = 2 * math.pi / fft * torch.outer(bins, bins[: fft // 4 + 1])
        share = torch.where((bins == 0) | (bins == fft // 2), 1.0, 2.0)[:, None] / fft
        cosines, sines = share * angle.cos(), (share * angle.sin())[:-1]
        for name, basis in (("cosines", cosines), ("sines", sines)):
            self.register_buffer(f"even_{name}", basis[::2].to(kept).contiguous(), persistent=False)
            self.register_buffer(f"odd_{name}", basis[1::2].to(kept).contiguous(), persistent=False)

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Waveforms [B, F·hop] from the parts [B, F, fft / 2 + 1] of spectra, in fp32 or wider."""
        with full_precision(real.device):
            half = self.fft // 2
            real, imaginary = widen(real), widen(imaginary)[..., :half]
            # Around a quarter of a period, cosines of even bins and sines of odd ones are even; around half of one,
            # all cosines are even and all sines odd.
            cosines = _unfold(real[..., ::2] @ self.even_cosines, real[..., 1::2] @ self.odd_cosines)
            sines = _unfold(imaginary[..., 1::2] @ self.odd_sines, imaginary[..., ::2] @ self.even_sines)
            frames = torch.cat([cosines - sines, (cosines + sines)[..., 1:half].flip(-1)], -1)
            wave = self._add_up(frames * self.window)
            envelope = self._add_up(self.window.square() * torch.ones_like(frames[:1, :, :1]))
            start = half if self.padding == "centre" else (self.fft - self.hop) // 2
            stop = start + frames.shape[1] * self.hop
            return wave[:, start:stop] / envelope[:, start:stop].clamp(min=1e-8)

    def _add_up(self, frames: Tensor) -> Tensor:
        """[B, F, fft] -> [B, (F + overlap - 1)·hop]: each frame added a hop later than the one before."""
        frames = F.pad(frames, (0, self.overlap * self.hop - self.fft))
        pieces = [
            F.pad(piece, (0, 0, late, self.overlap - 1 - late)) for late, piece in enumerate(frames.split(self.hop, -1))
        ]
        total = pieces[0]
        for piece in pieces[1:]:
            total = total + piece
        return total.flatten(1)


def _unfold(even: Tensor, odd: Tensor) -> Tensor:
    """[..., 2q + 1] from the parts [..., q + 1] that are even and odd around its middle."""
    return torch.cat([even + odd, (even - odd)[..., :-1].flip(-1)], -1)
