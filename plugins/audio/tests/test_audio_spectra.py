from __future__ import annotations

import numpy as np
import pytest
import torch

from genkit import ConfigError, UsageError
from genkit_audio.spectra import InverseSTFT, hann, magnitude, spectrum


def noise(samples: int, rows: int = 2) -> torch.Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("padding", ["centre", "same"])
@pytest.mark.parametrize(("fft", "hop", "window"), [(1024, 256, 1024), (16, 4, 16), (512, 120, 400), (256, 64, 200)])
def test_the_inverse_gives_every_sample_back(padding, fft, hop, window):
    wave = noise(20 * hop if fft < 20 * hop else 2 * fft)
    found = spectrum(wave, hann(window, fft), hop, padding=padding)
    again = InverseSTFT(fft, hop, window, padding=padding)(found.real.mT, found.imag.mT)
    assert again.shape[1] == wave.shape[1] // hop * hop
    torch.testing.assert_close(again, wave[:, : again.shape[1]], atol=2e-5, rtol=0)


def test_the_inverse_of_any_spectrum_is_torchs():
    parts = torch.randn(2, 3, 513, 20, generator=torch.Generator().manual_seed(1))
    theirs = torch.istft(torch.complex(parts[0], parts[1]), 1024, 256, window=torch.hann_window(1024))
    ours = InverseSTFT(1024, 256)(parts[0].mT, parts[1].mT)
    assert ours.shape == (3, 20 * 256)
    torch.testing.assert_close(ours[:, : 19 * 256], theirs, atol=1e-5, rtol=1e-4)


def test_the_inverse_is_differentiable_and_linear_in_both_parts():
    inverse = InverseSTFT(16, 4).double()
    parts = torch.randn(2, 1, 5, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda both: inverse(both[0], both[1]), parts)
    assert torch.autograd.gradgradcheck(lambda both: inverse(both[0], both[1]).square(), parts)


def test_windows_with_gaps_are_refused():
    with pytest.raises(ConfigError, match="gaps"):
        InverseSTFT(256, 256)


def test_the_inverse_compiles_whole():
    inverse = InverseSTFT(64, 16, padding="same")
    parts = torch.randn(2, 1, 7, 33)
    compiled = torch.compile(inverse, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*parts), inverse(*parts))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(compiled(*parts), inverse(*parts))


@pytest.mark.parametrize("padding", ["centre", "same"])
def test_the_inverse_exports_to_onnx_for_any_number_of_frames(padding, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    inverse, parts, path = (
        InverseSTFT(64, 16, padding=padding),
        torch.randn(2, 1, 7, 33),
        str(tmp_path / "inverse.onnx"),
    )
    frames = torch.export.Dim("frames", min=2)
    torch.onnx.export(
        inverse, tuple(parts), path, input_names=["real", "imaginary"], dynamo=True, verbose=False,
        dynamic_shapes=({1: frames}, {1: frames}),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    longer = torch.randn(2, 1, 23, 33)
    (found,) = session.run(None, {"real": longer[0].numpy(), "imaginary": longer[1].numpy()})
    np.testing.assert_allclose(found, inverse(*longer).numpy(), atol=1e-4)


def test_it_runs_on_meta():
    inverse = InverseSTFT(64, 16).to("meta")
    parts = torch.empty(2, 1, 7, 33, device="meta", requires_grad=True)
    inverse(*parts).sum().backward()
    assert spectrum(torch.empty(2, 512, device="meta"), hann(64).to("meta"), 16).shape == (2, 33, 32)


def test_autocast_does_not_round_the_wave():
    inverse, parts = InverseSTFT(64, 16), torch.randn(2, 1, 7, 33)
    plain = inverse(*parts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(inverse(*parts), plain)


def test_a_magnitude_has_two_derivatives_at_silence():
    wave = torch.zeros(1, 256, requires_grad=True)
    (slope,) = torch.autograd.grad(magnitude(spectrum(wave, hann(64), 16)).sum(), wave, create_graph=True)
    slope.square().sum().backward()
    assert torch.isfinite(wave.grad).all()


def test_a_wave_too_short_to_mirror_is_refused():
    with pytest.raises(UsageError, match="30 samples"):
        spectrum(noise(30), hann(64), 16)
