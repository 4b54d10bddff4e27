from __future__ import annotations

import json
import math
import subprocess
import sys
import types
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

import pytest
import soundfile
import torch
from safetensors import safe_open

import genkit_audio
from genkit import Batch, ConfigError, DataError, GenkitError, PluginError, evaluation
from genkit_audio.data.config import DrumsConfig
from genkit_audio.data.embedded import open_drums
from genkit_audio.melspec import PRESETS
from genkit_audio.metrics import agreement, extractors, nearest, opinion, silence
from genkit_audio.metrics import config as options
from genkit_audio.metrics.drum_classifier import WEIGHTS, load_drum_classifier
from genkit_audio.metrics.specs import metric_specs

ASSETS = Path(genkit_audio.__file__).parent / "assets"
LENGTH, RATE = 16384, 22050
CLASSES = sorted(path.name for path in (ASSETS / "drums").iterdir() if path.is_dir())
FACTS = {"modality": "audio", "rate": RATE, "length": LENGTH, "labels": CLASSES}
NEEDS = {"pesq": "pesq", "stoi": "pystoi", "distillmos": "distillmos", "dnsmos": "speechmos"}


class Held:
    """Waveforms held in memory, as `genkit.Samples`."""

    def __init__(self, waves, condition=None):
        self.waves, self.condition, self.count = waves, condition, len(waves)

    def batches(self):
        for start in range(0, self.count, 40):
            part = slice(start, start + 40)
            yield Batch(self.waves[part], None if self.condition is None else self.condition[part])

    def features(self, extractor):
        return torch.cat([extractor(batch) for batch in self.batches()]).float()


def noise(count, level=0.1, seed=0, length=LENGTH):
    return level * torch.randn(count, length, generator=torch.Generator().manual_seed(seed)).clamp(-3, 3)


@pytest.fixture(scope="module")
def drums():
    """All embedded one-shots and their labels, cut or followed by silence."""
    waves, labels = [], []
    for label, name in enumerate(CLASSES):
        for path in sorted((ASSETS / "drums" / name).glob("*.flac")):
            wave, rate = soundfile.read(path, dtype="float32")
            assert rate == RATE
            wave = torch.from_numpy(wave)[:LENGTH]
            waves.append(torch.nn.functional.pad(wave, (0, LENGTH - len(wave))))
            labels.append(label)
    return torch.stack(waves), torch.tensor(labels)


@pytest.fixture(scope="module")
def drum_features():
    return extractors.build_frechet(options.FrechetConfig(), FACTS)


def test_the_embedded_classifier_is_small_and_says_what_it_is():
    path = ASSETS / WEIGHTS
    assert path.stat().st_size < 400_000
    with safe_open(path, framework="pt") as stored:
        about = json.loads(stored.metadata()["about"])
    assert about["classes"] == CLASSES
    assert about["rate"] == about["mel"]["rate"] == 22050
    assert 0.6 < about["cross_validated_accuracy"] < about["accuracy"] <= 1
    net, _ = load_drum_classifier()
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert net(torch.zeros(2, 100)).shape == (2, len(CLASSES))


def test_agreement_knows_the_drums_and_not_their_labels_turned_round(drums):
    waves, labels = drums
    metric = agreement.build_label_agreement(options.LabelAgreementConfig(), FACTS)
    found = metric(None, Held(waves, labels))
    assert found["label_agreement"] > 0.95
    assert found["label_agreement_worst"] > 0.8
    turned = metric(None, Held(waves, (labels + 1) % len(CLASSES)))
    assert turned["label_agreement"] < 0.05
    assert turned["label_agreement_worst"] == 0
    louder = metric(None, Held(waves * 0.5, labels))
    assert louder["label_agreement"] > 0.9
    assert metric(None, Held(noise(60, 0.3), torch.arange(60) % 6))["label_agreement"] < 0.3
    with pytest.raises(DataError, match="none"):
        metric(None, Held(waves))


def test_agreement_chooses_among_the_data_s_own_labels_in_their_order(drums):
    waves, labels = drums
    some = ["tom", "kick"]
    metric = agreement.build_label_agreement(options.LabelAgreementConfig(), {**FACTS, "labels": some})
    kept = torch.tensor([CLASSES[i] in some for i in labels])
    asked = torch.tensor([some.index(CLASSES[i]) for i in labels[kept]])
    assert metric(None, Held(waves[kept], asked))["label_agreement"] > 0.95
    for labels, match in ((None, "has none"), (["kick", "dog"], "dog")):
        with pytest.raises(ConfigError, match=match):
            agreement.build_label_agreement(options.LabelAgreementConfig(), {**FACTS, "labels": labels})


def test_agreement_by_hand_with_a_classifier_from_a_file(tmp_path):
    class ByLevel(torch.nn.Module):
        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            loud = waves.abs().mean(1) - 0.25
            return torch.stack([-loud, loud], 1)

    path = tmp_path / "by-level.pt2"
    torch.export.save(torch.export.export(ByLevel(), (torch.zeros(4, 64),)), path)
    config = options.LabelAgreementConfig(classifier=str(path))
    metric = agreement.build_label_agreement(config, {**FACTS, "labels": ["soft", "loud"]})
    waves = torch.tensor([0.1, 0.5, 0.5, 0.5]).unsqueeze(1).repeat(1, 64)
    found = metric(None, Held(waves, torch.tensor([0, 1, 1, 0])))
    assert found == {"label_agreement": 0.75, "label_agreement_worst": 0.5}
    assert metric.protocol()["classifier"] == "by-level"
    three = agreement.build_label_agreement(config, {**FACTS, "labels": ["soft", "loud", "none"]})
    with pytest.raises(DataError, match="3 labels"):
        three(None, Held(waves, torch.tensor([0, 1, 1, 0])))


def test_the_frechet_distance_ranks_what_is_done_to_drums(drums, drum_features):
    waves, _ = drums
    real = Held(waves[::2])
    figure = "frechet[drum-classifier]"

    def distance(fake):
        return drum_features(real, Held(fake))[figure]

    others, little, much = distance(waves[1::2]), distance(noisy(waves[1::2], 0.01)), distance(noisy(waves[1::2], 0.1))
    assert distance(waves[::2]) < 1e-6 < others < little < much
    assert others < distance(waves[:1].repeat(48, 1)) / 5
    assert others < distance(torch.zeros(48, LENGTH)) / 5
    assert list(drum_features.better) == [figure]


def noisy(waves, level):
    return waves + noise(len(waves), level, length=waves.shape[1])


def test_features_do_not_depend_on_the_batch(drums):
    waves, _ = drums
    extractor = extractors.open_extractor("drum-classifier", 16000)
    whole = extractor(Batch(waves[:6]))
    assert whole.shape == (6, 64)
    torch.testing.assert_close(whole[4:5], extractor(Batch(waves[4:5])), atol=1e-4, rtol=1e-4)


def test_samples_that_are_not_finite_are_refused(drums, drum_features):
    waves, _ = drums
    broken = waves[:4].clone()
    broken[2, 5] = float("nan")
    with pytest.raises(GenkitError, match="finite"):
        drum_features(Held(waves), Held(broken))


@pytest.mark.parametrize(("name", "package", "width"), [("aisfx", "aisfx", 512), ("resemblyzer", "resemblyzer", 256)])
def test_packaged_extractors_hear_more_noise_as_farther_and_take_silence(name, package, width, drums):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    waves, _ = drums
    extractor = extractors.open_extractor(name, RATE)
    features = extractor(Batch(torch.cat([waves[:6], noisy(waves[:6], 0.003), noisy(waves[:6], 0.1), waves[:1] * 0])))
    assert features.shape == (19, width)
    assert features.isfinite().all()
    little, much = ((features[:6] - features[start : start + 6]).norm(dim=1).mean() for start in (6, 12))
    assert 0 < little < much
    torch.testing.assert_close(extractor(Batch(waves[3:4])), features[3:4], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["aisfx", "resemblyzer"])
def test_a_missing_extractor_says_how_to_install_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PluginError, match=f"pip install --no-deps {name}"):
        extractors.open_extractor(name, RATE)


def test_an_extractor_can_be_a_file_and_nothing_else(tmp_path):
    with pytest.raises(ConfigError, match="vggish"):
        extractors.open_extractor("vggish", RATE)
    (tmp_path / "broken.pt2").write_bytes(b"no network")
    with pytest.raises(PluginError, match=r"broken\.pt2"):
        extractors.open_extractor(str(tmp_path / "broken.pt2"), RATE)

    class Levels(torch.nn.Module):
        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            return torch.stack([waves.mean(1), waves.abs().amax(1)], 1)

    batch = torch.export.Dim("batch", min=1, max=512)
    saved = torch.export.export(Levels(), (torch.zeros(3, 64),), dynamic_shapes=({0: batch},))
    torch.export.save(saved, tmp_path / "levels.pt2")
    extractor = extractors.open_extractor(str(tmp_path / "levels.pt2"), RATE)
    assert extractor.name == "levels"
    assert extractor(Batch(torch.full((5, 64), 2.0)))[0].tolist() == [32767 / 32768] * 2


def test_aisfx_is_the_package_s_network():
    if find_spec("aisfx") is None:
        pytest.skip("aisfx is not installed")
    theirs = pytest.importorskip("aisfx.models.cnn2d").EmbeddingNet("max", 3, 1, 64).eval()
    ours = extractors.open_extractor("aisfx", RATE).net
    theirs.load_state_dict(ours.state_dict())
    mel = torch.rand(2, 40, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(mel), theirs(mel))


def test_distillmos_is_the_package_s_network(monkeypatch):
    for package in ("distillmos", "xls_r_sqa"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    # the package needs torchaudio for its command line alone
    monkeypatch.setitem(sys.modules, "torchaudio", types.ModuleType("torchaudio"))
    theirs = resolve_name("distillmos:ConvTransformerSQAModel")().eval()
    for module in ("distillmos", "distillmos.sqa"):
        monkeypatch.delitem(sys.modules, module)
    ours = opinion.distillmos.load_distillmos()
    for length in (30000, 125000):
        waves = noise(1, 0.1, length=length) * torch.linspace(0, 1, length)
        with torch.no_grad():
            torch.testing.assert_close(ours(waves), theirs(waves).flatten(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["distillmos", "dnsmos"])
def test_opinions_fall_with_noise_and_silence_has_one(name):
    if find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    if name == "dnsmos":
        pytest.importorskip("onnxruntime")
    spec = next(spec for spec in metric_specs() if spec.name == f"audio.{name}")
    metric = resolve_name(spec.build)(resolve_name(spec.config)(clips=1), {**FACTS, "rate": 16000})
    path = max((ASSETS / "prompts").rglob("*.flac"), key=lambda path: path.stat().st_size)
    wave, rate = soundfile.read(path, dtype="float32", frames=48000)
    speech = torch.from_numpy(wave).unsqueeze(0)
    assert rate == 16000
    clean, spoilt, silent = (metric(None, Held(w)) for w in (speech, noisy(speech, 0.02), speech * 0))
    assert set(clean) == set(metric.better)
    for figure in clean:
        assert all(0.5 <= found[figure] <= 5 for found in (clean, spoilt, silent))
        if figure != "dnsmos_signal":  # it is meant to hear the speech alone
            assert spoilt[figure] < clean[figure] - 0.3


@pytest.mark.parametrize(
    ("name", "package"), [("distillmos", "distillmos"), ("dnsmos", "speechmos"), ("dnsmos", "onnxruntime")]
)
def test_a_missing_listener_says_how_to_install_it(name, package, monkeypatch):
    if package == "speechmos":
        pytest.importorskip("onnxruntime")
    monkeypatch.setitem(sys.modules, package, None)
    spec = next(spec for spec in metric_specs() if spec.name == f"audio.{name}")
    with pytest.raises(PluginError, match=rf"genkit-gan-audio\[mos\].*{package}"):
        resolve_name(spec.build)(resolve_name(spec.config)(), FACTS)


def test_copies_are_found_at_another_level_and_a_little_later(drums):
    waves, _ = drums
    metric = nearest.build_nearest(options.NearestConfig(), FACTS)
    assert metric.reference == "train"
    train, others = waves[::2], waves[1::2]
    copied = metric(Held(train), Held(train[:20]))
    assert copied == {"nearest_copies": 1, "nearest_ratio": pytest.approx(0, abs=1e-2)}
    moved = metric(Held(train), Held(0.3 * torch.nn.functional.pad(train[:20], (500, -500))))
    assert moved["nearest_ratio"] < 0.5
    honest = metric(Held(train), Held(others))  # among them other strokes on the same instruments
    assert honest["nearest_copies"] < 0.25
    assert 0.7 < honest["nearest_ratio"] < 1.3
    far = metric(Held(train), Held(noise(20, 0.3)))
    assert far["nearest_copies"] == 0
    assert far["nearest_ratio"] > 2


def test_nearest_distances_by_hand(monkeypatch):
    frames, bands = 6, nearest.BANDS
    clip = torch.full((1, frames, bands), -60.0)
    clip[:, 1:3] = -10.0
    later = torch.full((1, frames, bands), -60.0)
    later[:, 3:5] = -10.0
    quieter = clip.clone()
    quieter[:, 1] -= 6.0
    clips = torch.cat([clip, later, quieter]).flatten(1)
    found = nearest.nearest_distances(clips[:1], clips[1:])
    assert found.tolist() == pytest.approx([0.0], abs=1e-3)
    alone = nearest.nearest_distances(clips[:1], clips[2:])
    assert alone.tolist() == pytest.approx([6 / math.sqrt(frames)], rel=1e-4)
    number = torch.arange(3)
    whole = nearest.nearest_distances(clips, clips, recordings=(number, number))
    monkeypatch.setattr(nearest, "BLOCK_NUMBERS", 1)
    assert torch.allclose(nearest.nearest_distances(clips, clips, recordings=(number, number)), whole)
    assert whole.tolist() == pytest.approx([0, 0, 6 / math.sqrt(frames)], abs=1e-3)
    pair = torch.tensor([0, 0, 1])  # the first two are of one recording
    found = nearest.nearest_distances(clips, clips, recordings=(pair, pair))
    assert found.tolist() == pytest.approx([6 / math.sqrt(frames)] * 3, rel=1e-3)


def test_copies_are_found_whatever_speeds_the_training_data_are_heard_at():
    metric = nearest.build_nearest(options.NearestConfig(), FACTS)
    own, between = (open_drums(DrumsConfig(speeds=speeds, held_out=0.0)) for speeds in ((1.0,), (0.98,)))
    copies = evaluation.RealSamples(between, split="copies")
    speeds = open_drums(DrumsConfig(speeds=(0.96, 1.0, 1.04), held_out=0.0))
    found = metric(evaluation.RealSamples(speeds, split="train"), copies)
    assert found["nearest_copies"] > 0.7
    alone = metric(evaluation.RealSamples(own, split="train"), copies)
    assert found["nearest_ratio"] < alone["nearest_ratio"] + 0.05
    part = evaluation.RealSamples(speeds, split="train", indices=range(3, 30))
    assert nearest.recordings_of(part).tolist() == [i // 3 for i in range(3, 30)]
    assert metric(part, part)["nearest_copies"] == 1


def test_windows_of_one_recording_are_rivals_where_there_is_no_other():
    one = open_drums(DrumsConfig(limit=1, held_out=0.0, length=1024, crop="random", fade=0))
    windows = evaluation.RealSamples(one, split="train")
    assert len(one) > 1
    assert nearest.recordings_of(windows).tolist() == list(range(len(one)))
    assert nearest.recordings_of(Held(noise(3))).tolist() == [0, 1, 2]


def test_nearest_takes_silence_and_refuses_what_it_can_not_compare():
    metric = nearest.build_nearest(options.NearestConfig(), FACTS)
    silent = metric(Held(noise(5)), Held(torch.zeros(3, LENGTH)))
    assert silent["nearest_copies"] == 0
    assert math.isfinite(metric(Held(torch.zeros(4, LENGTH)), Held(noise(2)))["nearest_ratio"])
    with pytest.raises(DataError, match="there is one"):
        metric(Held(noise(1)), Held(noise(2)))
    with pytest.raises(DataError, match="length"):
        metric(Held(noise(3)), Held(noise(2, length=4096)))


def test_silence_clipping_and_dc_by_hand():
    metric = silence.build_silence(options.SilenceConfig(), FACTS)
    tone = 0.5 * torch.sin(torch.arange(LENGTH) / 10)
    click = torch.zeros(LENGTH)
    click[100:600] = 0.1  # 23 ms are enough to be heard
    peak = tone / tone.abs().max()  # one sample at full scale is no clipping
    waves = torch.stack([torch.zeros(LENGTH), 1e-4 * tone, click, peak, 5 * tone, tone + 0.25])
    found = metric(None, Held(waves))
    assert found["silent"] == pytest.approx(2 / 6)
    assert found["clipped"] == pytest.approx(1 / 6)
    dc = waves.clamp(-1, 1).mean(1).abs().mean()
    assert found["dc_offset"] == pytest.approx(float(dc), abs=1e-4)
    assert found["dc_offset"] > 0.25 / 6
    assert metric(None, Held(torch.zeros(1, 1)))["silent"] == 1


def test_specs_name_what_the_metrics_are():
    facts = {**FACTS, "mel": PRESETS["hifigan-22k"].to_facts()}
    specs = metric_specs()
    assert len({spec.name for spec in specs}) == len(specs) == 13
    for spec in specs:
        assert spec.modality == "audio"
        package = NEEDS.get(spec.name.removeprefix("audio."))
        assert (package is not None) == bool(spec.needs)
        if package is not None and find_spec(package) is None:
            continue
        metric = resolve_name(spec.build)(resolve_name(spec.config)(), facts)
        assert {figure.partition("[")[0]: way for figure, way in metric.better.items()} == dict(spec.better)
        assert metric.protocol()
        with pytest.raises(ConfigError, match="audio"):
            resolve_name(spec.build)(resolve_name(spec.config)(), {"modality": "text"})


def test_specs_and_options_need_no_torch():
    code = "import sys, genkit_audio.metrics.specs, genkit_audio.metrics.config; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
