"""A folder as people have them, of mixed rates, channels and formats and with broken files, trains without code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from genkit import Run
from genkit.catalog import catalog
from genkit.cli.main import main

LENGTH, SHORTEST = 4096, 0.1


@pytest.fixture
def messy(save, noise, tmp_path) -> Path:
    """Fourteen recordings and five files that are none, in folders of two levels."""
    kinds = [
        ("plain.wav", 16_000, 1, {}), ("deep.wav", 22_050, 1, {"subtype": "PCM_24"}),
        ("float.wav", 48_000, 2, {"subtype": "FLOAT"}), ("eight.wav", 44_100, 1, {"subtype": "PCM_U8"}),
        ("a/loss less.flac", 44_100, 2, {}), ("a/vorbis.ogg", 32_000, 1, {}), ("a/layer.mp3", 44_100, 2, {}),
        ("a/b/apple.aiff", 96_000, 1, {}), ("a/b/ümläut.WAV", 16_000, 1, {}), ("a/b/six.wav", 48_000, 6, {}),
        ("slow.wav", 8_000, 1, {}), ("slower.flac", 11_025, 2, {}),
    ]  # fmt: skip
    for seed, (name, rate, channels, options) in enumerate(kinds):
        wave = np.stack([noise(round(0.6 * rate), seed + channel) for channel in range(channels)], 1)
        save(f"messy/{name}", wave, rate, **options)
    save("messy/short.wav", noise(round(SHORTEST * 16_000)), 16_000)
    save("messy/silent.wav", np.zeros(9_000, np.float32), 16_000)
    whole = (tmp_path / "messy" / "plain.wav").read_bytes()
    (tmp_path / "messy" / "cut off.wav").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "messy" / "text.mp3").write_text("no sound at all")
    (tmp_path / "messy" / "empty.flac").touch()
    save("messy/no samples.wav", np.zeros(0, np.float32), 16_000)
    save("messy/nan.wav", np.full(9_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    (tmp_path / "messy" / "notes.txt").write_text("left out without a word")
    (tmp_path / "messy" / "film.m4a").write_bytes(b"left out with a word")
    return tmp_path / "messy"


def call(*arguments: object, code: int = 0) -> Result:
    ended = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output
    return ended


def train(path: Path, out: Path, *settings: str, code: int = 0) -> Result:
    data = {"name": "audio.folder", "path": str(path), "mel": "small-16k", "length": LENGTH, "held_out_length": LENGTH}
    smoke = {
        key: value for key, value in catalog().recipe("audio.vocoder").smoke.items() if not key.startswith("data.")
    }
    values = {**smoke, "metrics": [], "data": data}
    given = [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    more = [part for one in settings for part in ("--set", one)]
    return call("run", "audio.vocoder", "--steps", 2, "--device", "cpu", "--out", out, *given, *more, code=code)


def test_it_trains_with_the_settings_that_inspection_and_errors_name(messy, tmp_path):
    refused = train(messy, tmp_path / "run", code=1).stderr
    assert "cut off.wav: ends early" in refused
    assert "and 3 more" in refused
    assert "--set data.skip_broken=true" in refused
    refused = train(messy, tmp_path / "run", "data.skip_broken=true", code=1).stderr
    assert "slow.wav: has a rate of 8000 Hz, and 16000 Hz are wanted; 2 of 15 clips" in refused
    assert "a data.mel of a lower rate, or data.allow_upsampling=true" in refused
    asked = ["--dataset", "audio.folder", "--out", tmp_path / "it.png", "--set", "data.rate=16000", "--json"]
    found = json.loads(call("data", "inspect", messy, *asked).stdout)
    assert (found["clips"], len(found["broken"])) == (14, 5)
    advice = "\n".join(found["advice"])
    assert "data.skip_broken=true" in advice
    assert "data.allow_upsampling=true" in advice
    trained = train(messy, tmp_path / "run", "data.skip_broken=true", "data.allow_upsampling=true")
    for said in ("5 broken recordings left out", "2 clips upsampled to 16000 Hz", "5 clips mixed to one channel"):
        assert said in trained.stderr
    assert "1 .m4a files left out" in trained.stderr
    assert Run.open(tmp_path / "run").status()["status"] == "done"
    heard, rate = soundfile.read(next((tmp_path / "run" / "samples").glob("*.wav")))
    assert rate == 16_000
    assert np.isfinite(heard).all()
