from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from genkit import CheckpointError, Draw, UsageError
from genkit_audio.melspec import MelSpec
from genkit_audio.models.config import HiFiGANConfig, ISTFTNetConfig, VocosConfig
from genkit_audio.models.hifigan import HiFiGAN, ISTFTNet
from genkit_audio.models.vocoder import Vocoder, folded
from genkit_audio.models.vocos import Vocos
from genkit_audio.published import load_published

MEL = MelSpec(8000, 64, 16, 64, 12, 0.0, None, None, "htk", 1, "ln", 1e-5, True)
VOCOS = VocosConfig(width=16, hidden=32, layers=2)
HIFI = HiFiGANConfig(
    width=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3, 5), block_dilations=((1, 2), (1, 3))
)  # fmt: skip


def mel(count: int) -> torch.Tensor:
    return torch.randn(2, 12, count, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The backbone and the head of the ``vocos`` package, whose other modules need more than is installed."""
    found = find_spec("vocos")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs the vocos package")
    parent = ModuleType("vocos")
    parent.__path__ = list(found.submodule_search_locations)
    scales = ModuleType("torchaudio.functional.functional")
    scales._hz_to_mel = scales._mel_to_hz = None
    stand_ins = {
        "vocos": parent,
        "torchaudio": ModuleType("torchaudio"),
        "torchaudio.functional": ModuleType("torchaudio.functional"),
        "torchaudio.functional.functional": scales,
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield SimpleNamespace(models=importlib.import_module("vocos.models"), heads=importlib.import_module("vocos.heads"))
    for name in [name for name in sys.modules if name.startswith("vocos.")]:
        del sys.modules[name]


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_weights_of_the_vocos_package_make_the_same_wave(package, tmp_path, centre, nested):
    torch.manual_seed(0)
    padding = "center" if centre else "same"
    theirs = torch.nn.ModuleDict(
        {
            "backbone": package.models.VocosBackbone(12, 16, 32, 2),
            "head": package.heads.ISTFTHead(16, 64, 16, padding=padding),
        }
    )
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    weights = {**theirs.state_dict(), "feature_extractor.mel_spec.mel_scale.fb": torch.zeros(3)}
    path = tmp_path / "vocos.bin"
    torch.save({"state_dict": weights, "epoch": 3} if nested else weights, path)
    ours = Vocos(VOCOS, replace(MEL, centre=centre))
    load_published(ours, path)
    with torch.no_grad():
        expected = theirs["head"](theirs["backbone"](mel(30)))
        made = ours.synthesise(mel(30))
    assert expected.shape[1] == (29 if centre else 30) * 16  # torch.istft leaves out the last hop
    assert expected.std() > 0.05
    torch.testing.assert_close(made[:, : expected.shape[1]], expected, atol=1e-5, rtol=1e-5)


def published_names(network: Vocoder, *, old: bool) -> dict[str, torch.Tensor]:
    """The weights of an upsampler as its authors' code names them, with the old weight norm or without any."""
    weights = {}
    for key, tensor in (network if old else folded(network)).state_dict().items():
        parts = key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        )
        words = parts.split(".")
        if words[0] == "stages" and words[2] == "up":
            name = ["ups", words[1], *words[3:]]
        elif words[0] == "stages":
            lists = {"first": "convs1" if HIFI.block == "double" else "convs", "second": "convs2"}
            name = ["resblocks", str(2 * int(words[1]) + int(words[3])), lists[words[4]], *words[5:]]
        else:
            name = [{"enter": "conv_pre", "leave": "conv_post"}[words[0]], *words[1:]]
        weights[".".join(name)] = tensor.clone()
    return weights


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("suffix", [".safetensors", ""])
@pytest.mark.parametrize("kind", ["hifigan", "istftnet"])
def test_weights_of_hifigan_load_with_weight_norm_and_without(tmp_path, old, suffix, kind):
    def make() -> Vocoder:
        if kind == "hifigan":
            return HiFiGAN(HIFI, MEL)
        blocks = {"block_kernels": HIFI.block_kernels, "block_dilations": HIFI.block_dilations}
        return ISTFTNet(ISTFTNetConfig(width=16, rates=(4,), kernels=(8,), **blocks), MEL)

    torch.manual_seed(0)
    trained, ours = make(), make()
    weights = published_names(trained, old=old)
    assert "resblocks.1.convs2.1.bias" in weights
    path = tmp_path / f"g_02500000{suffix}"
    if suffix:
        save_file(weights, path)
    else:
        torch.save({"generator": weights}, path)
    with torch.no_grad():
        assert not torch.allclose(ours.synthesise(mel(9)), trained.synthesise(mel(9)))
        load_published(ours, path)
        torch.testing.assert_close(ours.synthesise(mel(9)), trained.synthesise(mel(9)), atol=1e-6, rtol=1e-5)


def test_a_net_of_other_widths_is_refused_by_name_and_shape(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(published_names(HiFiGAN(HIFI, MEL), old=True), path)
    with pytest.raises(CheckpointError, match=r"enter.*\[16, 12, 7\] in the file and \[32, 12, 7\]"):
        load_published(HiFiGAN(replace(HIFI, width=32), MEL), path)
    with pytest.raises(CheckpointError, match=r"blocks\.0\.mix\.bias is missing"):
        load_published(Vocos(VOCOS, MEL), path)


def test_a_refused_file_changes_nothing(tmp_path):
    path, ours = tmp_path / "part.safetensors", HiFiGAN(HIFI, MEL)
    weights = published_names(HiFiGAN(HIFI, MEL), old=True)
    del weights["conv_post.bias"]
    save_file(weights, path)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"leave\.bias is missing"):
        load_published(ours, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.state_dict().items())


class Code:
    def __reduce__(self):
        return (print, ("code of a stranger ran",))


def test_pickled_code_is_not_run(tmp_path, capsys):
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"generator": Code()}))
    with pytest.raises(CheckpointError, match=r"evil\.pt"):
        load_published(HiFiGAN(HIFI, MEL), path)
    torch.save({"generator": Code()}, path)
    with pytest.raises(CheckpointError, match=r"evil\.pt"):
        load_published(HiFiGAN(HIFI, MEL), path)
    assert "stranger" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_without_weights_is_named(tmp_path, content, suffix):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="broken"):
        load_published(HiFiGAN(HIFI, MEL), path)
    with pytest.raises(CheckpointError, match="absent"):
        load_published(HiFiGAN(HIFI, MEL), tmp_path / f"absent{suffix}")


def test_scaled_spectrograms_and_other_vocoders_are_refused(tmp_path):
    path = tmp_path / "scaled.safetensors"
    weights = published_names(HiFiGAN(HIFI, MEL), old=False)
    save_file({**weights, "mean": torch.ones(12), "scale": torch.ones(12)}, path)
    with pytest.raises(CheckpointError, match="band by band"):
        load_published(HiFiGAN(HIFI, MEL), path)
    save_file({**weights, "mean": torch.zeros(12), "scale": torch.ones(12)}, path)
    load_published(HiFiGAN(HIFI, MEL), path)

    class Other(Vocoder):
        def synthesise(self, mel):
            return Draw(mel)

    with pytest.raises(UsageError, match="Other"):
        load_published(Other(MEL), path)
