"""A waveform while its mel spectrogram is still coming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from genkit import Sampler, UsageError
from genkit_audio.models.vocoder import Vocoder, folded


def stream(sampler: Sampler, mel_chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Waveforms [f·hop] on the CPU, whose joined samples are those of the whole spectrogram at once: what
    ``genkit.load(run).stream(mel_chunks)`` calls.

    A frame is heard once the `Vocoder.context` frames after it have come, or the last one has. Nothing is cross-faded:
    each chunk is made with the frames around it that its samples depend on, and cut. So much of each is computed again;
    chunks much longer than the context cost little more than the whole.

    Args:
        sampler: of a vocoder's run.
        mel_chunks: log-mel spectrograms [bands, f] of any lengths, in order.

    Raises UsageError when the run is no vocoder's, or a chunk has other bands.
    """
    vocoder = sampler.generator
    if not isinstance(vocoder, Vocoder):
        raise UsageError(f"only vocoders can be streamed; this run's generator is {type(vocoder).__name__}")
    return _stream(folded(vocoder), mel_chunks, sampler.device)


def _stream(vocoder: Vocoder, mel_chunks: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    bands, context = vocoder.mel.bands, vocoder.context
    kept = torch.zeros(bands, 0)  # frames that are still needed
    done = 0  # how many of the first of them were heard
    for chunk in mel_chunks:
        if chunk.dim() != 2 or chunk.shape[0] != bands:
            raise UsageError(f"this vocoder takes chunks [{bands}, f] of mel spectrograms, not {list(chunk.shape)}")
        kept = torch.cat([kept, chunk.to("cpu", torch.get_default_dtype())], 1)
        ready = kept.shape[1] - context
        if ready > done:
            yield _cut(vocoder, kept, done, ready, device)
            passed = max(0, ready - context)
            kept, done = kept[:, passed:], ready - passed
    if kept.shape[1] > done:
        yield _cut(vocoder, kept, done, kept.shape[1], device)


def _cut(vocoder: Vocoder, mel: Tensor, start: int, stop: int, device: torch.device) -> Tensor:
    """The samples of frames [start, stop)."""
    with torch.inference_mode():
        wave = vocoder.synthesise(mel[None].to(device))[0]
    hop = vocoder.mel.hop
    return wave[start * hop : stop * hop].cpu()
