"""Sentences from nothing: trains, then draws eight at a lower temperature. The example of text."""

from __future__ import annotations

import argparse

import genkit

asked = argparse.ArgumentParser(description=__doc__)
asked.add_argument("--steps", type=int, help="generator updates; left out: fifteen minutes of them")
asked.add_argument("--out", default="runs/text-example", help="the run directory, which must not exist yet")
asked.add_argument("--device", help="such as cpu or cuda:0; left out: the machine's accelerator")
given = asked.parse_args()

values = {"train.eval_samples": 64, "metrics": ["text.diversity"]}
result = genkit.run("text.sentences", steps=given.steps, values=values, out=given.out, device=given.device)
print(f"{result.step} steps; diversity: {result.metrics}")

sampler = genkit.load(result.run, device=given.device)
sentences = sampler.sample(8, seed=1, temperature=0.8)  # sentences.sample: token numbers [8, L], sentences.mask: [8, L]
for path in sampler.write(sentences, result.run / "sentences"):
    print(path.read_text(encoding="utf-8"))
