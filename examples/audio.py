"""Drum sounds by kind: trains, then draws four kicks as WAV files. The example of sound."""

from __future__ import annotations

import argparse

import genkit

asked = argparse.ArgumentParser(description=__doc__)
asked.add_argument("--steps", type=int, help="generator updates; left out: half an hour of them")
asked.add_argument("--out", default="runs/audio-example", help="the run directory, which must not exist yet")
asked.add_argument("--device", help="such as cpu or cuda:0; left out: the machine's accelerator")
given = asked.parse_args()

values = {"train.eval_samples": 32, "metrics": ["audio.silence"], "preview": 6}
result = genkit.run("audio.drums", steps=given.steps, values=values, out=given.out, device=given.device)
print(f"{result.step} steps; the last preview is {result.preview}")

sampler = genkit.load(result.run, device=given.device)
kicks = sampler.sample(4, seed=1, condition={"label": "kick"})  # kicks.sample: [4, T] in [-1, 1]
for path in sampler.write(kicks, result.run / "kicks"):
    print(path)
