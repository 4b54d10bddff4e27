from __future__ import annotations

import pytest
import torch

from genkit import Draw, Generator, Sampler, SamplerParts, UsageError
from genkit_audio.melspec import MelSpec
from genkit_audio.models import bigvgan, hifigan, vocos
from genkit_audio.models.config import BigVGANConfig, HiFiGANConfig, ISTFTNetConfig, VocosConfig
from genkit_audio.streaming import stream

MEL = MelSpec(8000, 64, 16, 64, 12, 0.0, None, None, "htk", 1, "ln", 1e-5, True)
SMALL = {"block_kernels": (3, 5), "block_dilations": ((1, 2), (1, 3)), "width": 16}
VOCODERS = {
    "vocos": vocos.Vocos(VocosConfig(width=16, hidden=32, layers=2), MEL),
    "hifigan": hifigan.HiFiGAN(HiFiGANConfig(rates=(4, 4), kernels=(8, 8), **SMALL), MEL),
    "istftnet": hifigan.ISTFTNet(ISTFTNetConfig(rates=(4,), kernels=(8,), **SMALL), MEL),
    "bigvgan": bigvgan.BigVGAN(BigVGANConfig(rates=(4, 4), kernels=(8, 8), **SMALL), MEL),
}


def sampler(name: str) -> Sampler:
    torch.manual_seed(0)
    network = VOCODERS[name]
    for key, parameter in network.named_parameters():
        if parameter.dim() > 1:  # norms of weights are ones; at their start some nets hardly let anything through
            torch.nn.init.normal_(parameter, mean=float("original0" in key), std=0.2)
    return Sampler(SamplerParts(network, None, None), facts={})


def mel(frames: int) -> torch.Tensor:
    return torch.randn(12, frames, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", VOCODERS)
@pytest.mark.parametrize("sizes", [[90], [1] * 40, [7, 50, 2, 100, 0, 3], [40, 40, 40]])
def test_joined_chunks_are_the_whole(name, sizes):
    source, whole = sampler(name), mel(sum(sizes))
    pieces = list(stream(source, whole.split(sizes, 1)))
    with torch.no_grad():
        expected = source.generator.synthesise(whole[None])[0]
    joined = torch.cat(pieces)
    assert joined.shape == expected.shape
    assert expected.std() > 0.01
    torch.testing.assert_close(joined, expected, atol=1e-5, rtol=1e-4)


def test_a_chunk_is_heard_as_soon_as_its_context_has_come():
    source, asked = sampler("vocos"), []
    context = source.generator.context

    def chunks():
        for number in range(6):
            asked.append(number)
            yield mel(context)

    first = next(stream(source, chunks()))
    assert asked == [0, 1]
    assert len(first) == context * MEL.hop


def test_memory_does_not_grow_with_what_was_heard(monkeypatch):
    source, seen = sampler("hifigan"), []
    made = source.generator.synthesise
    monkeypatch.setattr(source.generator, "synthesise", lambda mel: seen.append(mel.shape[-1]) or made(mel))
    list(stream(source, [mel(10)] * 30))
    assert max(seen) <= 2 * source.generator.context + 10


def test_a_caller_may_train_between_chunks():
    pieces = stream(sampler("vocos"), [mel(40)] * 3)
    next(pieces)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_what_can_not_be_streamed_is_refused():
    class Noise(Generator):
        def latent(self, count, *, rng):
            return rng.normal(count, 4)

        def forward(self, latent, condition=None):
            return Draw(latent)

    with pytest.raises(UsageError, match="Noise"):
        stream(Sampler(SamplerParts(Noise(), None, None), facts={}), [])
    with pytest.raises(UsageError, match=r"\[12, f\]"):
        list(stream(sampler("vocos"), [torch.zeros(13, 4)]))
    assert list(stream(sampler("vocos"), [])) == []
