"""How far a generator is from an oracle, whose probabilities are known: the figures that temperature can not game."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from genkit import Metric, Samples, UsageError
from genkit_text.metrics.config import DivergenceConfig
from genkit_text.metrics.specs import FIGURES

Who = Literal["data", "generator"]
FIXES: Mapping[Who, str] = {
    "data": "text.divergence is for data from an oracle (text.oracle); for real texts take text.ngram_perplexity",
    "generator": "a generator of tokens with log_prob",
}


class Divergence(Metric):
    """Both Kullback-Leibler divergences between the oracle p and the generator g, and their sum J, in nats a token.

    NLL_oracle = -E_g log p and NLL_gen = -E_p log g (Yu et al. 2017; Zhu et al. 2018), each mean
    over tokens. NLL_oracle alone falls below the data's own when sampling gets colder, so it proves nothing; what it
    lacks is the entropy: reverse KL(g‖p) = NLL_oracle - H(g), forward KL(p‖g) = NLL_gen - H(p), J their sum.
    """

    better = FIGURES["divergence"]

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises UsageError when the data or the generator has no density, or a token has probability
        0."""
        nll_oracle, entropy_data = cross_entropy(real, fake, "data"), cross_entropy(real, real, "data")
        nll_gen, entropy_gen = cross_entropy(fake, real, "generator"), cross_entropy(fake, fake, "generator")
        reverse, forward = nll_oracle - entropy_gen, nll_gen - entropy_data
        return {
            "j": reverse + forward,
            "forward_kl": forward,
            "reverse_kl": reverse,
            "nll_oracle": nll_oracle,
            "nll_gen": nll_gen,
            "entropy_gen": entropy_gen,
        }

    def protocol(self) -> dict[str, Any]:
        return {"unit": "nats a token, mean over the tokens of all samples"}


def cross_entropy(model: Samples, samples: Samples, who: Who) -> float:
    """-mean log-probability of the tokens of `samples` under what made `model`, in nats a token.

    Raises UsageError when that has no density, or gives a token probability 0; `who` it is stands in the message.
    """
    total, count = 0.0, 0
    for batch in samples.batches():
        log_prob = model.log_prob(batch)
        if log_prob is None:
            raise UsageError(f"the {who} has no density, which this metric needs", where="metrics", fix=FIXES[who])
        counted = log_prob if batch.mask is None else log_prob[batch.mask]
        total -= float(counted.double().sum())
        count += counted.numel()
    if not math.isfinite(total):
        raise UsageError(
            f"the {who} gives some tokens probability 0, so their likelihood has no finite value",
            fix="measure at top_p 1 and a temperature above 0",
        )
    return total / max(count, 1)


def build_divergence(config: DivergenceConfig, facts: Mapping[str, Any]) -> Divergence:
    """Divergence from the oracle that the data comes from."""
    return Divergence()
