"""`text.reply` from one end to the other: train on pairs, compare with the warm-up model, export, reload.

For each variant: the share of right intents (template e-mails), ROUGE, and how often the reply after the adversary is
closer to the real one (ROUGE-L) than the warm-up model's for the same prompt and the same random numbers, on held-out
prompts. Then `genkit export --to hf`, and transformers must give the exported model's log-probabilities.

Variants: ``emails`` (the recipe as it is), ``gpt2`` (a GPT-2 built from a transformers config), ``lora`` (adapters on
what `gpt2` exported), ``jsonl`` (the same pairs from a JSONL file, as a user's own), ``dialogue`` (embedded novels).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import torch
from machine import answer, describe, say

import genkit
from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.evaluation import RealSamples
from genkit.inference import recipe_of
from genkit.runs import Run
from genkit_text.comparison import mean_and_error
from genkit_text.data.config import EmailsConfig
from genkit_text.data.emails import make_emails
from genkit_text.facts import TextFacts
from genkit_text.metrics.rouge import rouge_l, rouge_words
from genkit_text.recipes.reply import build

VARIANTS = ("emails", "gpt2", "lora", "jsonl", "dialogue")
PROMPTS = 500


def overrides_of(variant: str, out: Path) -> list[str]:
    """What a variant sets beside the recipe's defaults."""
    if variant in ("gpt2", "dialogue"):
        return [f"preset={variant}"]
    if variant == "lora":
        base = out / "gpt2-exported"
        if not base.is_dir():
            raise SystemExit("the variant lora adapts what gpt2 exported: run gpt2 before it, with the same --out")
        model = f"{{name: text.causal_lm, path: {base}, lora: {{rank: 8}}}}"
        return [f"model.generator={model}", "data.tokenizer=model"]
    if variant == "jsonl":
        return [f"data={{name: text.jsonl, path: {write_pairs(out / 'pairs.jsonl')}, length: 40, prompt_length: 40}}"]
    return []


def write_pairs(path: Path) -> Path:
    """The template e-mails as a user's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = EmailsConfig()
    rows = (json.dumps({"prompt": one.message, "response": one.reply}) for one in make_emails(config.size, config.seed))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def held_out(run: Path, count: int) -> tuple[genkit.Batch, list[str]]:
    """Held-out pairs as the critic sees them, and the real responses as text."""
    _, config = recipe_of(Run.open(run))
    experiment: genkit.Experiment = build(config)
    data = experiment.data.held_out()
    assert data is not None
    batch = next(RealSamples(data, split="held-out", count=count, batch_size=count).batches())
    return batch, written(data.facts, batch)


def written(facts: Mapping[str, Any], batch: genkit.Batch) -> list[str]:
    """A batch's samples as text."""
    text = TextFacts.of(facts).text
    assert text is not None
    return text.decode_rows(batch.sample, batch.mask)


def pairwise(run: Path, before: int, count: int) -> dict[str, float]:
    """The last checkpoint against that of step `before`, reply by reply, in ROUGE-L to the real one."""
    real, texts = held_out(run, count)
    found = []
    for checkpoint in ("latest", before):
        sampler = genkit.load(run, checkpoint=checkpoint, device="cpu")
        made = written(sampler.facts, sampler.sample(len(texts), seed=0, condition=real.condition))
        found.append([rouge_l(rouge_words(a), rouge_words(b)) for a, b in zip(made, texts, strict=True)])
    wins = [0.5 + 0.5 * ((ours > theirs) - (ours < theirs)) for ours, theirs in zip(*found, strict=True)]
    mean, error = mean_and_error(wins)
    return {
        "win_rate": mean,
        "win_rate_error": error,
        "rouge_l": sum(found[0]) / len(texts),
        "rouge_l_warm_up": sum(found[1]) / len(texts),
    }


def reloaded(run: Path, place: Path, count: int = 32) -> float:
    """Export, load with transformers, and give the largest difference of log-probabilities on held-out pairs."""
    import transformers

    genkit.export(run, "hf", out=place)
    model = transformers.AutoModelForCausalLM.from_pretrained(place).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    sampler = genkit.load(run, device="cpu")
    facts = TextFacts.of(sampler.facts)
    real, texts = held_out(run, count)
    density = sampler.density()
    assert density is not None
    assert tokenizer.decode(real.sample[0][real.mask[0]], skip_special_tokens=True) == texts[0]
    worst = 0.0
    with torch.no_grad():
        ours = density(real)
        for prompt, tokens, mask, expected in zip(real.condition, real.sample, real.mask, ours, strict=True):
            given = prompt[(prompt != facts.pad).cumsum(0) > 0]
            logits = model(torch.cat([given, tokens[mask]])[None]).logits[0].log_softmax(-1)
            theirs = logits[len(given) - 1 : -1].gather(1, tokens[mask][:, None]).squeeze(1)
            worst = max(worst, float((theirs - expected[mask]).abs().max()))
    return worst


def last_figures(run: Path) -> dict[str, float]:
    """The means of the last logged interval."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    last = [row for row in rows if row["kind"] == "train"][-1]
    return {name: last[name] for name in ("critic/accuracy", "kl", "reward", "entropy") if name in last}


def measure(variant: str, minutes: float, seed: int, overrides: Sequence[str], out: Path) -> dict[str, Any]:
    """One variant, from training to transformers."""
    run = out / variant
    chosen = [*overrides_of(variant, out), *overrides]
    start = resolve_config(catalog().recipe("text.reply"), overrides=chosen).train.adversarial_start
    chosen += [f"train.checkpoint_every={start}", "train.keep=100"]  # one of them is the warm-up model's
    result = genkit.run("text.reply", minutes=minutes, seed=seed, device="cpu", out=run, overrides=chosen)
    if result.step <= start:
        raise SystemExit(f"{variant}: {result.step} steps in {minutes} minutes, and the adversary starts at {start}")
    found = {
        "set": chosen,
        "steps": result.step,
        "warm_up_steps": start,
        "seconds": result.seconds,
        "scores": {score.name: {"value": score.value, "floor": score.floor} for score in result.scores},
        "last_interval": last_figures(run),
        "against_warm_up": pairwise(run, start, PROMPTS),
        "export_difference": reloaded(run, out / f"{variant}-exported"),
    }
    say(f"{variant}: {json.dumps({key: found[key] for key in ('steps', 'against_warm_up', 'export_difference')})}")
    say(", ".join(f"{name} {score['value']:.4g}" for name, score in found["scores"].items()))
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, each")
    parser.add_argument("--seeds", default="0", help="comma-separated")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="K=V", help="a config key")
    parser.add_argument("--out", type=Path, help="keep the runs here")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    seeds = [int(word) for word in given.seeds.split(",")]
    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": describe(), "variants": {}}
    with tempfile.TemporaryDirectory(prefix="genkit-reply-") as place:
        for variant in given.variants:
            found["variants"][variant] = [
                measure(variant, given.minutes, seed, given.overrides, (given.out or Path(place)) / str(seed))
                for seed in seeds
            ]
    found["protocol"] = {
        "seeds": seeds,
        "minutes": given.minutes,
        "threads": 1,
        "scores": "train.eval_samples of the recipe, for held-out prompts, temperature 1",
        "against_warm_up": f"{PROMPTS} held-out prompts, one reply each, seed 0; ties count half",
    }
    answer(found, as_json=given.json)


if __name__ == "__main__":
    main()
