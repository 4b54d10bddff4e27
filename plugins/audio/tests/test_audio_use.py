"""What a trained run is used for at the command line and in one line of Python: files in, files out, streams."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

import genkit
from genkit.catalog import catalog
from genkit.cli.main import main
from genkit_audio.conditions import mel_of
from genkit_audio.melspec import PRESETS

RATE, HOP = 16_000, 256


def smoke_run(recipe: str, folder: Path, **options: object) -> Path:
    small = {**catalog().recipe(recipe).smoke, "metrics": [], **options}
    genkit.run(recipe, steps=1, out=folder / "run", values=small, device="cpu")
    return folder / "run"


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory) -> Path:
    return smoke_run("audio.vocoder", tmp_path_factory.mktemp("vocoder"))


@pytest.fixture(scope="module")
def drums(tmp_path_factory) -> Path:
    critic = {"name": "audio.frames_critic", "ffts": [256], "layers": 2}
    return smoke_run("audio.drums", tmp_path_factory.mktemp("drums"), **{"model.critic": critic})


def call(*arguments: object, code: int = 0) -> Result:
    ended = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output
    return ended


def test_a_recording_is_synthesised_whole_to_one_file_at_the_run_s_rate(vocoder, save, noise, tmp_path):
    source = save("voice.wav", np.stack([noise(66_150)] * 2, 1), 44_100)  # one and a half seconds, stereo
    ended = call("sample", vocoder, "--condition", f"audio={source}", "--out", tmp_path / "out", "--json")
    said = json.loads(ended.stdout)
    (file,) = said["files"]
    heard, rate = soundfile.read(file)
    assert (rate, heard.ndim) == (RATE, 1)
    assert 1.5 * RATE <= len(heard) < 1.5 * RATE + HOP
    assert said["seconds"] == pytest.approx(len(heard) / RATE)
    assert said["times_real_time"] == pytest.approx(said["seconds"] / said["drawn_in_seconds"])
    assert "times real time" in ended.stderr


def test_a_mel_gives_what_its_recording_gives_and_flac_is_the_same_as_wav(vocoder, save, noise, tmp_path):
    source = save("voice.wav", noise(20_000), RATE)
    np.save(tmp_path / "voice.npy", mel_of(source, PRESETS["small-16k"]).numpy())
    call("sample", vocoder, "--condition", f"audio={source}", "--out", tmp_path / "wav")
    call(
        "sample",
        vocoder,
        "--condition",
        f"mel={tmp_path / 'voice.npy'}",
        "--format",
        "flac",
        "--out",
        tmp_path / "flac",
    )
    wav, _ = soundfile.read(tmp_path / "wav" / "sample-00000.wav", dtype="int16")
    flac, rate = soundfile.read(tmp_path / "flac" / "sample-00000.flac", dtype="int16")
    assert rate == RATE
    assert np.array_equal(wav, flac)
    assert np.ptp(wav) > 0


def test_each_condition_has_a_file_unless_a_count_is_asked_for(vocoder, save, noise, tmp_path):
    one, two = save("one.wav", noise(9_000, 1), RATE), save("two.wav", noise(9_000, 2), RATE)
    asked = ["--condition", f"audio={one}", "--condition", f"audio={two}"]
    files = call("sample", vocoder, *asked, "--out", tmp_path / "both").stdout.split()
    assert len(files) == 2
    assert not np.array_equal(soundfile.read(files[0])[0], soundfile.read(files[1])[0])
    assert len(call("sample", vocoder, *asked, "--count", 5, "--out", tmp_path / "five").stdout.split()) == 5


def test_sounds_from_noise_are_named_by_their_label_and_sixteen_by_default(drums, tmp_path):
    files = call("sample", drums, "--condition", "label=kick", "--out", tmp_path / "kicks").stdout.split()
    assert [Path(file).name for file in files] == [f"sample-{i:05d}-kick.wav" for i in range(16)]
    assert soundfile.info(files[0]).samplerate == 22_050


def test_a_loaded_run_streams_what_it_gives_as_a_whole(vocoder, save, noise):
    sampler = genkit.load(vocoder, device="cpu")
    mel = sampler.condition({"audio": str(save("voice.wav", noise(50_000), RATE))}, 1)
    whole = sampler.sample(1, condition=mel).sample[0]
    pieces = list(sampler.stream(mel[0].split([3, 90, 1, mel.shape[-1] - 94], 1)))
    assert len(pieces) > 1
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "mp3"], "sounds are not written as 'mp3'"),
        (["--condition", "label=kick"], "takes the condition `mel` or `audio`, not label"),
        (["--condition", "audio=nowhere.wav"], "nowhere.wav: can not be opened (there is no such file)"),
    ],
)
def test_what_a_vocoder_can_not_be_asked_is_said(vocoder, arguments, words):
    assert words in call("sample", vocoder, *arguments, code=2).stderr


def test_a_run_from_noise_can_not_be_streamed(drums):
    with pytest.raises(genkit.UsageError, match="only vocoders can be streamed"):
        genkit.load(drums, device="cpu").stream([])


def test_a_checkpoint_of_another_mel_is_refused_with_both_values(vocoder, tmp_path):
    """As when a preset's numbers have changed since: what the config says is the same."""
    shutil.copytree(vocoder, tmp_path / "run")
    (file,) = (tmp_path / "run" / "checkpoints").glob("*/facts.json")
    facts = json.loads(file.read_text())
    facts["mel"]["hop"] = 200
    file.write_text(json.dumps(facts))
    state = file.with_name("state.json")
    state.write_text(json.dumps({**json.loads(state.read_text()), "files": {}}))
    for command in (["resume", tmp_path / "run", "--steps", 2], ["eval", tmp_path / "run"]):
        refused = call(*command, "--device", "cpu", code=1).stderr
        assert "mel.hop: 200 -> 256" in refused
        assert str(file) in refused
