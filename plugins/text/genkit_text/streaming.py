"""Text while it is drawn, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genkit import Draw, Generator, Random, Sampler, SamplerParts, UsageError
from genkit_text.models.language import LanguageGenerator
from genkit_text.tokenization import Tokenizer

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a decoder makes of the first bytes of a character whose last are still to come."""


def stream(
    sampler: Sampler,
    *,
    prompt: str | None = None,
    label: str | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> Iterator[str]:
    """One sample's text in pieces, each as soon as it is certain. Joined they are what ``sampler.sample(1, seed=seed)``
    gives under the same condition and settings.

    Args:
        sampler: of a text run.
        prompt, label: the condition; without one it is drawn as the data has them.
        seed: which sample.
        temperature, top_p: see `LanguageGenerator.forward`.

    Raises UsageError when the run makes no text, or does not take the condition.
    """
    generator = sampler.generator
    if not isinstance(generator, LanguageGenerator) or generator.facts.text is None:
        raise UsageError("only runs of text with a tokenizer can be streamed")
    asked = {name: value for name, value in (("prompt", prompt), ("label", label)) if value is not None}
    given = sampler.condition(asked or None, 1)
    tap = _Tap(generator)
    Sampler(SamplerParts(tap, sampler.conditions, None), facts=sampler.facts, device=sampler.device).draw(
        0, 1, seed, given
    )
    latent, condition = tap.caught
    return pieces(_tokens(generator, latent, condition, temperature, top_p), generator.facts.text)


def pieces(tokens: Iterator[int], tokenizer: Tokenizer) -> Iterator[str]:
    """The text of `tokens` in pieces: never part of a character, and nothing that a later token may change."""
    read: list[int] = []
    told = ""
    for token in tokens:
        read.append(token)
        known = tokenizer.decode(read)
        if known.startswith(told) and not known.endswith(UNFINISHED) and len(known) > len(told):
            yield known[len(told) :]
            told = known
    rest = tokenizer.decode(read)[len(told) :]
    if rest:
        yield rest


def _tokens(
    generator: LanguageGenerator, latent: Tensor, condition: Tensor | None, temperature: float, top_p: float
) -> Iterator[int]:
    """The tokens of one row, as `LanguageGenerator.forward` draws them, up to the one that ends it."""
    facts = generator.facts
    with torch.no_grad():  # never around a yield: it would hold for the caller too
        prefix, mask, label = generator.opening(1, condition, latent.device)
        logits, state = generator.decoder.begin(prefix, mask, label, room=facts.length - 1)
    for position in range(facts.length):
        with torch.no_grad():
            token = generator._pick(logits, latent[:, position], temperature, top_p)
        found = int(token)
        if found == facts.eos:
            return
        yield found
        if position < facts.length - 1:
            with torch.no_grad():
                logits, state = generator.decoder.step(token, state)


class _Tap(Generator):
    """Catches the latent and the condition that a sampler gives its generator."""

    def __init__(self, generator: LanguageGenerator) -> None:
        super().__init__()
        self.generator = generator
        self.caught: tuple[Tensor, Tensor | None]

    def latent(self, count: int, *, rng: Random) -> Tensor:
        return self.generator.latent(count, rng=rng)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        self.caught = latent, condition
        return Draw(torch.zeros(len(latent), 1, dtype=torch.int64, device=latent.device))
