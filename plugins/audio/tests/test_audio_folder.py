from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch

from genkit import ConfigError, DataError, Random
from genkit_audio.data.config import FolderConfig
from genkit_audio.data.folder import open_folder
from genkit_audio.data.windows import Cut

RATE, LENGTH = 16_000, 1_024


def _open(path, **options):
    return open_folder(FolderConfig(path=str(path), **{"rate": RATE, "length": LENGTH, "held_out": 0.0, **options}))


def _waves(data):
    return torch.stack([data.read(i)["wave"] for i in range(len(data))])


# --- what is found ---------------------------------------------------------------------------------------------------


def test_folder_gives_windows_and_the_labels_of_its_sub_folders(folder):
    data = _open(folder, crop="start")
    assert {key: data.facts[key] for key in ("modality", "rate", "length", "labels", "label_counts", "mel")} == {
        "modality": "audio", "rate": RATE, "length": LENGTH, "labels": ["high", "low"], "label_counts": [3, 3],
        "mel": None,
    }  # fmt: skip
    json.dumps(data.facts)
    batch = data.prepare(data.collate([data.read(i) for i in range(6)]), rng=Random(0))
    assert batch.condition.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.sample.shape == (6, LENGTH)
    peak_bins = torch.fft.rfft(batch.sample).abs().argmax(1) * RATE / LENGTH
    assert peak_bins.sub(torch.tensor([2_000.0] * 3 + [200.0] * 3)).abs().max() < RATE / LENGTH


def test_a_stray_file_leaves_all_without_labels_unless_folders_are_asked_for(folder, save, tone):
    save("sounds/stray.wav", tone(0.2), RATE)
    assert _open(folder).facts["labels"] is None
    with pytest.raises(DataError, match="sub-folders"):
        _open(folder, labels="folders")


@pytest.mark.parametrize("content", ["empty", "m4a", "missing", "odd"])
def test_a_path_without_recordings_is_named(tmp_path, content):
    path = tmp_path / content
    if content in {"empty", "m4a"}:
        path.mkdir()
    if content == "m4a":
        (path / "a.m4a").write_bytes(b"x")
    if content == "odd":
        path.write_text("x")
    with pytest.raises(DataError, match=str(path)) as caught:
        _open(path)
    assert ("1 of its files" in str(caught.value)) == (content == "m4a")


def test_files_that_can_not_be_read_by_kind_are_counted(folder, capsys):
    (folder / "low" / "a.m4a").write_bytes(b"x")
    assert _open(folder).summary()[".m4a files left out, which can not be read"] == 1
    assert "1 .m4a files left out" in capsys.readouterr().err


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "path,label,start,stop\nhigh/2.wav,a,0.1,0.5\nlow/1.wav,b,,\n"),
        ("list.csv", "file_name;class;start;end\nhigh/2.wav;a;0.1;0.5\nlow/1.wav;b;;\n"),
        ("list.jsonl", '{"path": "high/2.wav", "label": "a", "start": 0.1, "stop": 0.5}\n\n'
                       '{"path": "low/1.wav", "label": "b"}\n'),
    ],
)  # fmt: skip
def test_a_list_names_parts_and_labels(folder, name, text):
    (folder / name).write_text(text)
    data = _open(folder / name, crop="start")
    assert data.facts["labels"] == ["a", "b"]
    assert data.seconds == pytest.approx(0.4 + 0.6)
    whole = _open(folder, crop="start", length=9_216).read(2)["wave"]
    assert torch.equal(data.read(0)["wave"], whole[1_600 : 1_600 + LENGTH])


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("nowhere.wav,a,,", r"list\.csv:2: there is no file .*nowhere\.wav"),
        ("high/0.wav,a,0.2,0.1", r"list\.csv:2: the part of high/0\.wav"),
        ("high/0.wav,a,soon,", r"list\.csv:2: its start, 'soon'"),
        (",a,,", r"list\.csv:2: names no recording"),
        ("high/0.wav,a,,\nhigh/1.wav,,,", r"list\.csv:3: rows with a label and without one"),
        ("high/0.wav,a,0.1,7", r"high/0\.wav: is 0\.30 seconds long"),
    ],
)
def test_an_odd_row_is_named_with_its_line(folder, rows, what):
    (folder / "list.csv").write_text(f"path,label,start,stop\n{rows}\n")
    with pytest.raises(DataError, match=what):
        _open(folder / "list.csv")


def test_a_list_that_is_no_json_is_named_with_its_line(folder):
    (folder / "list.jsonl").write_text('{"path": "high/0.wav"}\nnothing\n')
    with pytest.raises(DataError, match=r"list\.jsonl:2"):
        _open(folder / "list.jsonl")


# --- kinds of recordings ---------------------------------------------------------------------------------------------


def test_mixed_rates_channels_and_formats_with_broken_files_need_no_code(save, tone, tmp_path, capsys):
    for name, rate in (("a.wav", 44_100), ("b.flac", 16_000), ("c.ogg", 22_050), ("d.mp3", 48_000), ("e.wav", 8_000)):
        save(f"all/{name}", tone(0.5, rate, 1_000), rate)
    save("all/stereo.wav", np.stack([tone(0.5), np.zeros(8_000, np.float32)], 1), RATE)
    broken = tone(0.5)
    broken[5] = np.nan
    save("all/nan.wav", broken, RATE, subtype="FLOAT")
    save("all/none.wav", broken[:0], RATE)
    (tmp_path / "all" / "text.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"(none|text)\.wav.*and 1 more"):
        _open(tmp_path / "all", allow_upsampling=True)
    data = _open(tmp_path / "all", allow_upsampling=True, skip_broken=True)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "1 clips mixed to one channel, 1 clips upsampled to 16000 Hz, 3 broken recordings left out" in said
    assert data.summary()["broken recordings left out"] == 3
    batch = data.prepare(data.resident(), rng=Random(0))
    power, bins = batch.sample.square().mean(1), torch.fft.rfft(batch.sample).abs().argmax(1) * RATE / LENGTH
    assert ((bins - 1_000).abs() < RATE / LENGTH).sum() >= len(batch.sample) * 5 // 6
    assert power.median() == pytest.approx(0.125, rel=0.05)


def test_data_of_a_lower_rate_is_refused_unless_allowed(save, tone, tmp_path):
    save("slow.wav", tone(0.5, 8_000), 8_000)
    with pytest.raises(DataError, match=r"slow\.wav.*8000 Hz.*24000 Hz") as caught:
        _open(tmp_path, rate=24_000)
    assert "data.allow_upsampling=true" in str(caught.value)
    assert _open(tmp_path, rate=24_000, allow_upsampling=True).facts["rate"] == 24_000


def test_several_channels_may_be_refused(save, tone, tmp_path):
    save("stereo.wav", np.stack([tone(0.5)] * 2, 1), RATE)
    with pytest.raises(DataError, match=r"stereo\.wav: has 2 channels"):
        _open(tmp_path, channels="refuse")


def test_nothing_but_broken_files_is_an_error_even_when_skipping(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.wav: is an empty file"):
        _open(tmp_path, skip_broken=True)


def test_what_is_louder_than_full_scale_is_clipped_and_said(save, tone, tmp_path, capsys):
    save("loud.wav", tone(0.5, level=3.0), RATE, subtype="FLOAT")
    assert _open(tmp_path).read(0)["wave"].max() == 32_767
    assert "1 clips louder than full scale, clipped" in capsys.readouterr().err
    _open(tmp_path, loudness="peak")
    assert "louder" not in capsys.readouterr().err


# --- silence and levels ----------------------------------------------------------------------------------------------


def test_silence_at_the_ends_is_trimmed_and_silent_clips_left_out(save, tone, tmp_path, capsys):
    quiet = np.zeros(8_192, np.float32)
    save("a.wav", np.concatenate([quiet, tone(0.512), quiet]), RATE)
    save("b.wav", quiet, RATE)
    data = _open(tmp_path, trim_db=-40.0)
    assert data.seconds == pytest.approx(0.512)
    assert data.read(0)["wave"][:LENGTH].float().square().mean().sqrt() / 32_768 == pytest.approx(0.3536, rel=0.01)
    assert "1 silent clips left out" in capsys.readouterr().err
    assert _open(tmp_path).seconds == pytest.approx(1.536 + 0.512)


@pytest.mark.parametrize(
    ("options", "peak"),
    [({"loudness": "peak"}, 0.95), ({"loudness": "peak", "level_db": -6.0206}, 0.5),
     ({"loudness": "rms", "level_db": -20.0}, 0.1 * 2**0.5), ({"loudness": "rms", "level_db": 0.0}, 1.0)],
)  # fmt: skip
def test_clips_are_brought_to_one_level(save, tone, tmp_path, options, peak):
    save("quiet.wav", tone(0.5, level=0.01), RATE, subtype="FLOAT")
    save("loud.wav", tone(0.5, level=0.9), RATE, subtype="FLOAT")
    found = _waves(_open(tmp_path, **options)).abs().amax(1) / 32_768
    assert found.min() == pytest.approx(peak, rel=0.01)
    assert found.max() == pytest.approx(peak, rel=0.01)


def test_gain_is_drawn_for_training_and_not_for_what_is_held_out(save, noise, tmp_path):
    for index in range(8):
        save(f"{index}.wav", noise(LENGTH, index), RATE)
    data = _open(tmp_path, gain_db=(-12.0, -6.0), held_out=0.25, crop="start")
    stored = data.resident()
    raw = stored["wave"].float() / 32_768
    first, again = (data.prepare(stored, rng=Random(1)).sample for _ in range(2))
    gains = 20 * torch.log10((first / raw).nanmedian(1).values)
    assert torch.equal(first, again)
    assert gains.min() >= -12.01
    assert gains.max() <= -5.99
    assert gains.std() > 0.5
    held = data.held_out()
    assert torch.equal(held.prepare(held.resident(), rng=Random(1)).sample, held.resident()["wave"].float() / 32_768)


# --- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [10, 100, 101, 199, 200, 1_234])
def test_every_beginning_of_an_example_is_in_exactly_one_window(samples):
    cut = Cut(100, "random", "repeat")
    windows = cut.windows(samples)
    begins = [window.start + k for window in windows for k in range(window.starts)]
    assert begins == list(range(max(samples - 99, samples if samples < 100 else 1)))
    clip = np.arange(samples, dtype=np.int16)
    for window in windows:
        stored = cut.fill(clip[window.start : window.stop], window, samples)
        assert stored.shape == (200,)
        for k in range(window.starts):
            expected = (window.start + k + np.arange(100)) % samples
            assert np.array_equal(stored[k : k + 100], clip[expected])


def test_a_short_clip_is_repeated_or_followed_by_silence(save, tone, tmp_path, capsys):
    short = tone(0.02, level=0.9)
    save("a.wav", short, RATE)
    repeated = _open(tmp_path, crop="start").read(0)["wave"].numpy()
    assert np.array_equal(repeated[320:640], repeated[:320])
    assert "1 clips shorter than an example, repeated" in capsys.readouterr().err
    followed = _open(tmp_path, crop="start", short="silence").read(0)["wave"].numpy()
    assert np.array_equal(followed[:320], repeated[:320])
    assert not followed[320:].any()
    assert capsys.readouterr().err == ""


def test_what_is_cut_off_at_the_end_fades(save, noise, tmp_path):
    save("a.wav", noise(2 * LENGTH), RATE)
    plain, faded = (_open(tmp_path, crop="start", fade=fade).read(0)["wave"].double() for fade in (0, 200))
    assert torch.equal(plain[:-200], faded[:-200])
    power = [wave[-200:].view(4, 50).square().mean(1).sqrt() for wave in (plain, faded)]
    assert (power[1] / power[0]).diff().max() < 0
    assert faded[-1].abs() <= 1
    with pytest.raises(ConfigError, match="fade"):
        _open(tmp_path, fade=200)


def test_crops_differ_from_batch_to_batch_and_depend_on_the_rng_alone(save, noise, tmp_path):
    path = save("a.wav", noise(8 * LENGTH), RATE)
    data = _open(tmp_path)
    stored = data.resident()
    one, same, other = (data.prepare(stored, rng=Random(seed)).sample for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    parts = torch.from_numpy(soundfile.read(path, dtype="float32")[0]).unfold(0, LENGTH, 1)
    assert all((parts - row).abs().amax(1).min() < 1e-6 for row in one)


def test_held_out_sounds_are_cut_without_chance(save, noise, tmp_path):
    for index in range(4):
        save(f"{index}.wav", noise(3 * LENGTH + 100, index), RATE)
    held = _open(tmp_path, held_out=0.25).held_out()
    assert len(held) == 3
    assert set(held.read(0)) == {"wave"}
    first, other = (held.prepare(held.resident(), rng=Random(seed)).sample for seed in (1, 2))
    assert torch.equal(first, other)


# --- sampling and the held-out part ----------------------------------------------------------------------------------


@pytest.fixture
def uneven(save, noise):
    """Label a: clips of 8 and 2 examples; label b: one of 2."""
    for name, times in (("a/0", 8), ("a/1", 2), ("b/0", 2)):
        path = save(f"uneven/{name}.wav", noise(times * LENGTH), RATE)
    return path.parent.parent


@pytest.mark.parametrize(
    ("sampling", "shares"), [("duration", [8, 2, 2]), ("clips", [4, 4, 4]), ("labels", [4.8, 1.2, 6])]
)
def test_clips_are_drawn_by_duration_or_evenly(uneven, sampling, shares):
    data = _open(uneven, sampling=sampling)
    sizes = [len(Cut(LENGTH, "random", "repeat").windows(times * LENGTH)) for times in (8, 2, 2)]
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    drawn = torch.zeros(3, dtype=torch.float64).index_add_(0, owner, data.weights)
    assert (drawn / drawn.sum() * 12).tolist() == pytest.approx(shares)
    labels = torch.tensor(data.facts["label_counts"], dtype=torch.float64)
    assert (labels / labels.sum()).tolist() == pytest.approx([sum(shares[:2]) / 12, shares[2] / 12], abs=0.06)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"sampling": "labels", "labels": "none"}, r"each label.*has none"),
        ({"sampling": "labels", "mel": "small-16k"}, r"each label.*with a mel"),
        ({"level_db": -6.0}, r"a level is given"),
    ],
)
def test_options_that_would_do_nothing_are_refused(folder, options, where):
    with pytest.raises(ConfigError, match=where):
        _open(folder, **options)


def test_clips_of_one_kind_need_no_weights(folder):
    assert _open(folder, crop="start", sampling="clips").weights is None


def test_held_out_recordings_are_the_same_wherever_the_folder_lies(save, noise, tmp_path):
    for index in range(20):
        save(f"here/{'ab'[index % 2]}/{index}.wav", noise(LENGTH, index), RATE)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    here, there = (_open(tmp_path / place, held_out=0.2) for place in ("here", "there"))
    held = here.held_out()
    assert (len(here), len(held)) == (16, 4)
    assert torch.bincount(held.labels).tolist() == [2, 2]
    assert torch.equal(held.resident()["wave"], there.held_out().resident()["wave"])
    seen = {tuple(row) for row in here.resident()["wave"][:, :20].tolist()}
    assert seen.isdisjoint(tuple(row) for row in held.resident()["wave"][:, :20].tolist())


def test_parts_of_one_recording_stay_together(save, noise, tmp_path):
    rows = ["path,start,stop"]
    for index in range(10):
        save(f"{index}.wav", noise(4 * LENGTH, index), RATE)
        rows += [f"{index}.wav,0,0.1", f"{index}.wav,0.1,0.2"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    data = _open(tmp_path / "list.csv", held_out=0.3, crop="start")
    assert (len(data), len(data.held_out())) == (14, 6)


def test_no_label_is_held_out_whole(save, noise, tmp_path):
    for name in ("a/0", "a/1", "b/0"):
        save(f"{name}.wav", noise(LENGTH), RATE)
    data = _open(tmp_path, held_out=0.9)
    assert min(data.facts["label_counts"]) == 1


def test_a_limit_takes_clips_from_all_of_the_data(folder):
    assert _open(folder, limit=2, crop="start").resident()["label"].tolist() == [0, 1]
