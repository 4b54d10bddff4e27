"""Handwritten digits, by class: trains, then draws sixteen sevens. The example of pictures."""

from __future__ import annotations

import argparse

import genkit

asked = argparse.ArgumentParser(description=__doc__)
asked.add_argument("--steps", type=int, help="generator updates; left out: five minutes of them")
asked.add_argument("--out", default="runs/image-example", help="the run directory, which must not exist yet")
asked.add_argument("--device", help="such as cpu or cuda:0; left out: the machine's accelerator")
given = asked.parse_args()

values = {"train.eval_samples": 256, "preview": 40}
result = genkit.run("image.handwriting", steps=given.steps, values=values, out=given.out, device=given.device)
print(f"{result.step} steps; the last preview is {result.preview}")

sampler = genkit.load(result.run, device=given.device)
sevens = sampler.sample(16, seed=1, condition={"label": "7"})  # sevens.sample: [16, 1, 28, 28] in [-1, 1]
for path in sampler.write(sevens, result.run / "sevens"):
    print(path)
