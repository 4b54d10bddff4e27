"""`genkit export RUN --to onnx`: every generator, in onnxruntime, on sizes that the graph was not drawn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from genkit import Draw, Generator, GenkitError, PluginError, Random, Sampler, SamplerParts, UsageError
from genkit.catalog import catalog
from genkit_audio import export
from genkit_audio.export import to_onnx
from genkit_audio.melspec import MelSpec
from genkit_audio.models import bigvgan, frames, hifigan, vocos, wavegan
from genkit_audio.models.config import (
    BigVGANConfig,
    FramesConfig,
    HiFiGANConfig,
    ISTFTNetConfig,
    VocosConfig,
    WaveGANConfig,
)

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

# The exporter takes about 10 ms for an operation: nets are as short as they can be and still have every kind of layer.
MEL = MelSpec(8000, 32, 16, 32, 6, 0.0, None, None, "htk", 1, "ln", 1e-5, True)
STAGE = {"rates": (16,), "kernels": (32,), "block_kernels": (3,), "width": 8}
GENERATORS = {
    "vocos": (vocos.build_vocos, VocosConfig(width=8, hidden=16, layers=1)),
    "hifigan-v1": (hifigan.build_hifigan, HiFiGANConfig(**STAGE, block_dilations=((1, 3),))),
    "hifigan-v2": (hifigan.build_hifigan, HiFiGANConfig(**{**STAGE, "width": 2}, block_dilations=((1,),))),
    "hifigan-v3": (hifigan.build_hifigan, HiFiGANConfig(**STAGE, block="single", block_dilations=((2,),))),
    "istftnet": (
        hifigan.build_istftnet,
        ISTFTNetConfig(**{**STAGE, "rates": (4,), "kernels": (8,)}, block_dilations=((1,),), fft=8),
    ),
    "bigvgan": (bigvgan.build_bigvgan, BigVGANConfig(**STAGE, block="single", block_dilations=((1,),))),
    "wavegan": (wavegan.build_wavegan, WaveGANConfig(width=2, latent=7, post_filter=9)),
    "frames": (
        frames.build_frames,
        FramesConfig(width=8, hidden=8, layers=1, doublings=1, fft=32, hop=16, latent=8, noise=3),
    ),
}
LENGTH = 256
FROM_NOISE = ("wavegan", "frames")


def sampler(name: str, classes: int = 0) -> Sampler:
    torch.manual_seed(0)
    build, config = GENERATORS[name]
    facts = {
        "modality": "audio", "rate": 8000, "length": LENGTH, "labels": [f"class {i}" for i in range(classes)],
        "mel": None if name in FROM_NOISE else MEL.to_facts(),
    }  # fmt: skip
    network = build(config, facts)
    for key, parameter in network.named_parameters():
        if parameter.dim() > 1:  # at their start some nets hardly let anything through
            torch.nn.init.normal_(parameter, mean=float("original0" in key), std=0.2)
    return Sampler(SamplerParts(network, None, None), facts=facts)


def session(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def told(file: Path) -> dict[str, object]:
    return {key: json.loads(value) for key, value in session(file).get_modelmeta().custom_metadata_map.items()}


@pytest.mark.parametrize("name", [name for name in GENERATORS if name not in FROM_NOISE])
def test_a_vocoder_gives_the_same_waves_for_any_batch_and_frames(name, tmp_path):
    source = sampler(name)
    (file,) = to_onnx(source, tmp_path / "out")
    assert [path.name for path in file.parent.iterdir()] == ["generator.onnx"]
    for rows, frames_ in ((1, 61), (3, 9)):
        mel = torch.randn(rows, MEL.bands, frames_, generator=torch.Generator().manual_seed(1))
        (found,) = session(file).run(["wave"], {"mel": mel.numpy()})
        with torch.no_grad():
            wanted = source.generator.synthesise(mel)
        assert wanted.std() > 0.01
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)
    about = told(file)
    assert (about["rate"], MelSpec.from_facts(about["mel"])) == (8000, MEL)


@pytest.mark.parametrize(("name", "classes"), [("wavegan", 0), ("wavegan", 3), ("frames", 3)])
def test_a_generator_from_noise_gives_the_same_waves_for_latents_and_labels(name, classes, tmp_path):
    source = sampler(name, classes)
    (file,) = to_onnx(source, tmp_path / "deep" / "sounds.onnx")
    assert file == tmp_path / "deep" / "sounds.onnx"
    latent = source.generator.latent(5, rng=Random(4))
    label = torch.arange(5) % classes if classes else None
    given = {"latent": latent.numpy()} | ({"label": label.numpy()} if classes else {})
    (found,) = session(file).run(["wave"], given)
    with torch.no_grad():
        np.testing.assert_allclose(found, source.generator(latent, label).sample.numpy(), atol=1e-4)
    about = told(file)
    assert about["labels"] == [f"class {i}" for i in range(classes)]
    assert about["latent"]["distribution"].startswith(
        "uniform" if float(latent.abs().max()) <= 1 else "standard normal"
    )
    assert about["length"] == found.shape[1] == LENGTH


def test_the_format_is_offered_for_audio():
    assert catalog().load(catalog().export("onnx", "audio"), "export") is to_onnx


def test_a_file_that_differs_from_pytorch_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "AGREES", 0.0)
    with pytest.raises(GenkitError, match="differ by"):
        to_onnx(sampler("wavegan"), tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_its_packages_the_extra_is_named_and_without_onnxruntime_it_is_said(tmp_path, monkeypatch, capsys):
    def missing(name):
        monkeypatch.setattr(export, "find_spec", lambda asked: None if asked == name else object())

    missing("onnxscript")
    with pytest.raises(PluginError, match="needs onnxscript") as caught:
        to_onnx(sampler("wavegan"), tmp_path / "out.onnx")
    assert caught.value.fix == 'pip install "genkit-gan-audio[onnx]"'
    missing("onnxruntime")
    to_onnx(sampler("wavegan"), tmp_path / "out.onnx")
    assert "not checked against PyTorch" in capsys.readouterr().err


def test_what_is_neither_vocoder_nor_known_generator_is_refused(tmp_path):
    class Noise(Generator):
        def latent(self, count, *, rng):
            return rng.normal(count, 4)

        def forward(self, latent, condition=None):
            return Draw(latent)

    facts = {"modality": "audio", "rate": 8000, "length": 4}
    with pytest.raises(UsageError, match="Noise can not be exported"):
        to_onnx(Sampler(SamplerParts(Noise(), None, None), facts=facts), tmp_path / "out.onnx")
