"""Times genkit's sampling of text against ``transformers.generate`` on the same weights, prompts and settings.

Three random models without an end token, so that both make equally many tokens: a GPT-2 and a Llama of transformers
in `text.causal_lm`, and `text.transformer` against the Llama that it is exported as. Before the clock starts, what
generate drew is scored by genkit, and must have the log-probabilities that transformers gives it. Then the two take
turns, one draw of a batch each; round 0 warms up and is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from machine import answer, describe, say
from torch import Tensor

from genkit import Draw, Random, Sampler, SamplerParts
from genkit_text.export import counterpart
from genkit_text.models.config import CausalLMConfig, TransformerConfig
from genkit_text.models.language import LanguageGenerator
from genkit_text.models.pretrained import PretrainedDecoder, build_causal_lm
from genkit_text.models.transformer import build_transformer

AGREES = 1e-4
"""The largest difference of two log-probabilities that fp32 may show."""
PAD, BOS = 0, 1


@dataclass(frozen=True)
class Plan:
    """What is drawn, from what, and how often."""

    rounds: int
    batch: int
    prompt: int
    tokens: int
    vocabulary: int
    width: int
    layers: int
    heads: int
    device: torch.device
    seed: int

    def facts(self) -> dict[str, Any]:
        """Those of data that such prompts and rows would come from."""
        return {
            "modality": "text",
            "vocabulary": self.vocabulary,
            "length": self.tokens,
            "bos": BOS,
            "pad": PAD,
            "prompt_length": self.prompt,
        }


# --- the models ------------------------------------------------------------------------------------------------------


def gpt2(plan: Plan) -> LanguageGenerator:
    """`text.causal_lm` on a GPT-2."""
    config = {"n_embd": plan.width, "n_layer": plan.layers, "n_head": plan.heads, "n_positions": _positions(plan)}
    return build_causal_lm(CausalLMConfig(config={"model_type": "gpt2", **config}), plan.facts())


def llama(plan: Plan) -> LanguageGenerator:
    """`text.causal_lm` on a Llama."""
    config = {
        "model_type": "llama",
        "hidden_size": plan.width,
        "intermediate_size": 4 * plan.width,
        "num_hidden_layers": plan.layers,
        "num_attention_heads": plan.heads,
        "max_position_embeddings": _positions(plan),
    }
    return build_causal_lm(CausalLMConfig(config=config), plan.facts())


def transformer(plan: Plan) -> LanguageGenerator:
    """`text.transformer`."""
    return build_transformer(TransformerConfig(width=plan.width, layers=plan.layers, heads=plan.heads), plan.facts())


MODELS: dict[str, Callable[[Plan], LanguageGenerator]] = {"gpt2": gpt2, "llama": llama, "transformer": transformer}


def _positions(plan: Plan) -> int:
    return plan.prompt + plan.tokens


# --- the two systems -------------------------------------------------------------------------------------------------


class Match:
    """One model's two ways to be drawn from."""

    def __init__(self, name: str, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        generator = MODELS[name](plan)
        self.sampler = Sampler(SamplerParts(generator, None, None), facts=plan.facts(), device=plan.device)
        self.generator = generator
        decoder = generator.decoder
        theirs = decoder.model if isinstance(decoder, PretrainedDecoder) else counterpart(decoder, generator.facts)
        self.theirs: Any = theirs.to(plan.device).eval()
        rng = Random(plan.seed, plan.device)
        prompts = rng.integers(2, plan.vocabulary, plan.batch, plan.prompt)
        self.prompts = torch.cat([prompts[:, :-1], torch.full_like(prompts[:, -1:], BOS)], 1)
        self.settings = transformers.GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=plan.tokens,
            pad_token_id=PAD,
            eos_token_id=None,
            use_cache=True,
        )

    def ours(self, turn: int) -> Tensor:
        """Tokens [batch, tokens] by genkit."""
        found: Tensor = self.sampler.draw(0, self.plan.batch, turn, self.prompts).sample
        return found

    def generated(self, turn: int) -> Tensor:
        """Tokens [batch, tokens] by ``generate``."""
        torch.manual_seed(turn)
        mask = torch.ones_like(self.prompts)
        found: Tensor = self.theirs.generate(self.prompts, attention_mask=mask, generation_config=self.settings)
        return found[:, self.plan.prompt :]

    @torch.no_grad()
    def apart(self) -> float:
        """The largest difference between the log-probabilities that genkit and transformers give generated tokens."""
        drawn = self.generated(0)
        logits = self.theirs(torch.cat([self.prompts, drawn], 1)).logits[:, self.plan.prompt - 1 : -1]
        wanted = logits.log_softmax(-1).gather(2, drawn[:, :, None]).squeeze(2)
        return float((self.generator.log_prob(Draw(drawn), self.prompts) - wanted).abs().max())


def timed(draw: Callable[[int], Tensor], turn: int, plan: Plan) -> float:
    """Tokens a second of one draw."""
    if plan.device.type != "cpu":
        torch.accelerator.synchronize()
    started = time.perf_counter()
    drawn = draw(turn)
    if plan.device.type != "cpu":
        torch.accelerator.synchronize()
    seconds = time.perf_counter() - started
    if drawn.shape != (plan.batch, plan.tokens):
        sys.exit(f"{list(drawn.shape)} tokens were drawn where {plan.batch} x {plan.tokens} were asked for")
    return drawn.numel() / seconds


def measure(name: str, plan: Plan) -> dict[str, Any]:
    """One model: the check, then the rounds."""
    match = Match(name, plan)
    apart = match.apart()
    if apart > AGREES:
        sys.exit(f"{name}: genkit and transformers differ by {apart} in a log-probability")
    systems = {"genkit": match.ours, "generate": match.generated}
    speeds: dict[str, list[float]] = {system: [] for system in systems}
    for turn in range(plan.rounds + 1):
        for system, draw in systems.items():
            speed = timed(draw, turn, plan)
            say(f"{name}: round {turn}{'' if turn else ' (warm-up)'} {system}: {speed:,.0f} tokens/s")
            if turn:
                speeds[system].append(speed)
    rounds = [ours / theirs for ours, theirs in zip(speeds["genkit"], speeds["generate"], strict=True)]
    return {
        "tokens_per_second": {system: round(statistics.median(found), 1) for system, found in speeds.items()},
        "ratio": round(statistics.median(rounds), 3),
        "ratio_of_each_round": [round(one, 3) for one in rounds],
        "parameters": sum(one.numel() for one in match.generator.parameters()),
        "log_probability_difference": apart,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="which to time")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each that count")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=16, help="tokens of prompt")
    parser.add_argument("--tokens", type=int, default=64, help="tokens drawn in a row")
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice when not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = vars(parser.parse_args())
    models, threads, as_json = (given.pop(name) for name in ("models", "threads", "json"))
    if min(given["rounds"], given["batch"], given["prompt"], given["tokens"]) < 1:
        parser.error("--rounds, --batch, --prompt and --tokens are at least 1")
    if threads is not None:
        torch.set_num_threads(threads)
    plan = Plan(**given | {"device": torch.device(given["device"])})
    found = {name: measure(name, plan) for name in models}
    answer(
        {
            **found,
            "slowest_ratio": min(one["ratio"] for one in found.values()),
            "machine": {**describe(), "transformers": transformers.__version__},
            "protocol": {
                **given,
                "dtype": "fp32",
                "time": "median over the rounds of a whole draw, the prompt's own forward included; the two take turns",
                "ratio": "median over the rounds of genkit's tokens a second divided by generate's",
                "settings": "temperature 1, no top-k, no top-p, KV cache, no end token; prompts without padding",
            },
        },
        as_json=as_json,
    )


if __name__ == "__main__":
    main()
