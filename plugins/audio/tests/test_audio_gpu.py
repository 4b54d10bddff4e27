"""What only a GPU shows: a vocoder that is trained in bf16 stays finite, and how fast it then speaks."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
import torch

import genkit
from genkit import Run

STEPS, WARM_UP, BATCH = 200, 20, 8
SMALL = {
    "data.length": 4_096,
    "data.held_out_length": 4_096,
    "data.speeds": [1.0],
    "model.generator": {"name": "audio.vocos", "width": 64, "hidden": 128, "layers": 2},
    "model.critic": {"name": "audio.frames_critic", "ffts": [512, 256], "width": 32},
    "train.batch_size": BATCH,
    "train.precision": "bf16",
    "train.adversarial_start": WARM_UP,
    "train.log_every": 10,
    "train.preview_every": STEPS,
    "train.checkpoint_every": STEPS,
    "train.eval_samples": 4,
    "preview": 2,
    "metrics": [],
}
SPOKEN = {"frames": 1_000, "rounds": 5}
"""How much is spoken at once, and how often: the median time counts."""


def trained(out: Path, device: str, steps: int = STEPS) -> Run:
    result = genkit.run("audio.vocoder", steps=steps, values=SMALL, device=device, out=out, report=False)
    return Run.open(result.run)


def times_real_time(run: Run, device: str) -> float:
    """Seconds of sound made in a second."""
    sampler = genkit.load(run.path, device=device)
    mel = sampler.generator.mel
    given = torch.randn(1, mel.bands, SPOKEN["frames"], generator=torch.Generator().manual_seed(0)).sub(5).to(device)
    took = []
    with torch.inference_mode():
        for _ in range(SPOKEN["rounds"] + 1):  # the first one warms up
            start = time.perf_counter()
            wave = sampler.generator.synthesise(given)
            assert torch.isfinite(wave.cpu()).all()  # and waits for the device
            took.append(time.perf_counter() - start)
    return wave.shape[1] / mel.rate / sorted(took[1:])[len(took) // 2]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_vocoder_trained_in_bf16_on_the_gpu_stays_finite_and_speaks(tmp_path, capsys):
    run = trained(tmp_path / "run", "cuda")
    losses = [record for record in run.records() if record["kind"] == "train"]
    assert losses[-1]["step"] == STEPS
    assert all(math.isfinite(value) for record in losses for value in record.values() if isinstance(value, float))
    adversarial = [record for record in losses if record["step"] > WARM_UP]
    assert len(adversarial) == (STEPS - WARM_UP) // SMALL["train.log_every"]
    assert all({"loss/critic", "loss/generator", "term/mel_l1"} <= set(record) for record in adversarial)
    speed = times_real_time(run, "cuda")
    with capsys.disabled():
        print(f"\n{torch.cuda.get_device_name()}: {speed:.0f} times real time, 1 row of {SPOKEN['frames']} frames")
    assert speed > 1
