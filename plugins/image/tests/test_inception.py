"""Inception-v3 through torch-fidelity. A stand-in for that package shows what it is given; the package itself, where it
is installed with what it needs, that it takes it."""

from __future__ import annotations

import importlib.metadata
import pickle
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch
from torch import nn

from genkit import Batch, ConfigError, DataError, PluginError
from genkit_image.metrics.extractors import open_classifier, open_extractor

URL = "https://example.org/weights-inception-1-0123abcd.pth"
FACTS = {"shape": [1, 28, 28], "labels": None}


class Net(nn.Module):
    """As torch-fidelity's: reads a file, takes bytes in colour, gives a tuple."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        self.weight, (self.layer,) = nn.Parameter(torch.zeros(1), requires_grad=False), features_list
        self.load_state_dict(torch.load(feature_extractor_weights_path))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        return (images.float().mean((2, 3)) * self.weight,)


@pytest.fixture
def stand_in(monkeypatch):
    package, module = ModuleType("torch_fidelity"), ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3, module.URL_INCEPTION_V3 = Net, URL
    package.feature_extractor_inceptionv3 = module
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    known = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9" if name == "torch-fidelity" else known(name))


@pytest.fixture
def weights(tmp_path):
    torch.save({"weight": torch.tensor([2.0])}, tmp_path / "weights.pth")
    return str(tmp_path / "weights.pth")


@pytest.mark.usefixtures("stand_in")
def test_it_sees_the_bytes_of_a_file_in_colour(weights):
    extractor, classifier = open_extractor("inception", FACTS, weights), open_classifier("inception", weights)
    assert extractor.name == classifier.name == "inception-v3"
    assert extractor.net.layer == "2048"
    assert classifier.net.layer == "logits_unbiased"
    assert extractor.version.startswith("torch-fidelity 9, 2048, sha256 ")
    features = extractor(Batch(torch.full((2, 1, 8, 8), -1.5)))
    assert features.shape == (2, 3)
    assert (features == 0).all()
    assert (extractor(Batch(torch.full((2, 3, 8, 8), 0.2)))).tolist() == [[306.0] * 3] * 2  # 2 · round(1.2 · 127.5)


@pytest.mark.usefixtures("stand_in")
def test_nothing_is_fetched_that_nobody_asked_for(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fetch(url: str, path: str, hash_prefix: str) -> None:
        asked.append((url, hash_prefix))
        torch.save({"weight": torch.ones(1)}, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(ConfigError, match="weights") as told:
        open_extractor("inception", FACTS)
    assert "download" in str(told.value)
    assert asked == []
    open_extractor("inception", FACTS, "download")
    open_extractor("inception", FACTS, "download")
    assert asked == [(URL, "0123abcd")]


@pytest.mark.usefixtures("stand_in")
def test_a_failed_download_and_a_file_that_holds_no_weights_are_errors(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fail(url: str, path: str, hash_prefix: str) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(DataError, match="no network"):
        open_extractor("inception", FACTS, "download")
    with pytest.raises(DataError, match=r"missing\.pth"):
        open_extractor("inception", FACTS, str(tmp_path / "missing.pth"))
    torch.save({"other": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="other weights"):
        open_extractor("inception", FACTS, str(tmp_path / "other.pth"))


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.usefixtures("stand_in")
def test_a_pickle_that_does_more_than_hold_tensors_is_refused_unread(tmp_path):
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
    torch.save({"weight": Trap(str(tmp_path / "sprung"))}, tmp_path / "zip.pth")
    for name in ("plain.pth", "zip.pth"):
        with pytest.raises(DataError, match="no weights"):
            open_extractor("inception", FACTS, str(tmp_path / name))
    assert not (tmp_path / "sprung").exists()


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(PluginError, match="torch-fidelity") as told:
        open_extractor("inception", FACTS, "weights.pth")
    assert "genkit-gan-image[inception]" in str(told.value)


@pytest.mark.skipif(
    find_spec("torch_fidelity") is None or find_spec("torchvision") is None,
    reason="needs the packages torch-fidelity and torchvision",
)
def test_torch_fidelity_takes_what_it_is_given(monkeypatch, tmp_path):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Theirs

    with monkeypatch.context() as patched:  # no weights are at hand: any will do
        patched.setattr(Theirs, "load_state_dict", lambda self, state: None)
        torch.save({}, tmp_path / "none.pth")
        theirs = Theirs("inception-v3", ["2048", "logits_unbiased"], str(tmp_path / "none.pth"))
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    sample = torch.rand(2, 1, 28, 28) * 2 - 1
    features, logits = theirs(((sample + 1) * 127.5).round().to(torch.uint8).expand(-1, 3, -1, -1))
    weights = str(tmp_path / "weights.pth")
    torch.testing.assert_close(open_extractor("inception", FACTS, weights)(Batch(sample)), features)
    torch.testing.assert_close(open_classifier("inception", weights)(Batch(sample)), logits)
