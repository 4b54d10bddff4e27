"""Generators of text: a causal network, and the two ways to draw from it.

A sample is a row of `length` tokens. Before it stands what it is given: the token `bos`, or a prompt padded on its left
whose last token is `bos`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import Draw, Random, TokenGenerator, UsageError
from genkit_text.facts import TextFacts

LOOK_EVERY = 16  # tokens between two looks at whether every row has ended, when sampling outside training


class Decoder(nn.Module, ABC):
    """A causal network over tokens. Where it reads tokens, int64 ids, it also reads relaxed ones: rows of V weights."""

    vocabulary: int

    @abstractmethod
    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, label: Tensor | None = None, *, keep: int | None = None
    ) -> Tensor:
        """Logits [B, T, V] of the token after each one of `tokens` [B, T] or [B, T, V].

        `mask` [B, T] is False at the padding before a prompt; None when there is none. `label` is int64 [B]. `keep`
        asks for the logits of the last so many alone, [B, keep, V]: those of a prompt are of no use.
        """

    @abstractmethod
    def begin(self, tokens: Tensor, mask: Tensor | None, label: Tensor | None, *, room: int) -> tuple[Tensor, Any]:
        """Read what comes before a sample: logits [B, V] of its first token, and the state to go on from.

        `room` is how many tokens `step` will be given. The state is the caller's to pass on and nobody's to look into.
        """

    @abstractmethod
    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read one more token [B], or relaxed [B, V]: logits [B, V] of the next, and the new state."""


class LanguageGenerator(TokenGenerator):
    """Draws tokens from a causal network, one after the other, each by inverting the distribution of its logits.

    The latent is one uniform number a token, so a row of latents is a sample. Log-probabilities come from one forward
    over the whole row.

    Args:
        decoder: the network.
        facts: the data's.
    """

    sampling = MappingProxyType({"temperature": 1.0, "top_p": 1.0})

    def __init__(self, decoder: Decoder, facts: TextFacts) -> None:
        super().__init__()
        self.decoder = decoder
        self.facts = facts

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Uniform numbers [count, L]."""
        return rng.uniform(count, self.facts.length)

    def forward(
        self, latent: Tensor, condition: Tensor | None = None, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> Draw:
        """Tokens [B, L] and their mask, without graph.

        Args:
            latent: [B, L] in [0, 1).
            condition: None, labels int64 [B], or prompts int64 [B, P].
            temperature: divides the logits; 0 takes the likeliest token.
            top_p: keep the likeliest tokens that hold this share of the probability (Holtzman et al. 2020).

        Raises UsageError for a temperature below 0 or a share outside (0, 1], and for a condition that does not fit.
        """
        tokens, mask = self._draw(latent, condition, temperature, top_p)
        return Draw(tokens, mask)

    def log_prob(
        self, draw: Draw, condition: Tensor | None = None, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """log p(token | tokens before it, condition), [B, L], by teacher forcing; 0 where the mask is False."""
        tokens = draw.sample
        prefix, mask, label = self.opening(len(tokens), condition, tokens.device)
        read = torch.cat([prefix, tokens[:, :-1]], 1)
        if mask is not None:
            mask = F.pad(mask, (0, tokens.shape[1] - 1), value=True)
        logits = self.decoder(read, mask, label, keep=tokens.shape[1])
        logits = shaped(logits, temperature, top_p)
        found = -F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)
        return found if draw.mask is None else torch.where(draw.mask, found, torch.zeros_like(found))

    def opening(
        self, count: int, condition: Tensor | None, device: torch.device
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What comes before a sample: tokens [B, P], their mask where they are padded, and labels [B].

        Raises UsageError when the condition is not what the data has.
        """
        facts = self.facts
        start = torch.full((count, 1), facts.bos, dtype=torch.int64, device=device)
        if facts.prompt_length:
            if condition is None or condition.dim() != 2:
                raise UsageError("this generator needs a prompt", fix="--condition prompt=TEXT")
            return condition, prompt_mask(condition, facts.pad), None
        if facts.labels:
            if condition is None or condition.dim() != 1:
                raise UsageError(
                    "this generator needs a label", fix=f"--condition label=NAME: {', '.join(facts.labels)}"
                )
            return start, None, condition
        if condition is not None:
            raise UsageError("this generator takes no condition")
        return start, None, None

    def complete(self, given: Tensor, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Samples that begin with the tokens `given` [B, t], t < L; of `latent` [B, L] the columns from t are used."""
        tokens, mask = self._draw(latent, condition, 1.0, 1.0, given)
        return Draw(tokens, mask)

    @torch.no_grad()
    def _draw(
        self,
        latent: Tensor,
        condition: Tensor | None,
        temperature: float,
        top_p: float,
        given: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        facts = self.facts
        count, length = latent.shape[:2]
        prefix, mask, label = self.opening(count, condition, latent.device)
        alive = torch.ones(count, dtype=torch.bool, device=latent.device)
        chosen: list[Tensor] = []
        living = [alive]
        if given is not None:
            prefix = torch.cat([prefix, given], 1)
            mask = None if mask is None else F.pad(mask, (0, given.shape[1]), value=True)
            chosen += given.unbind(1)
            if facts.eos is not None:
                living += (given != facts.eos).int().cumprod(1).bool().unbind(1)
                alive = living[-1]
        begun = len(chosen)
        logits, state = self.decoder.begin(prefix, mask, label, room=length - 1 - begun)
        for position in range(begun, length):
            token = self._pick(logits, latent[:, position], temperature, top_p)
            if facts.eos is not None:
                token = torch.where(alive, token, facts.pad)
                alive = alive & (token != facts.eos)
            chosen.append(token)
            if position == length - 1 or self._ended(alive, position):
                break
            living.append(alive)
            logits, state = self.decoder.step(token, state)
        rest = length - len(chosen)
        tokens = F.pad(torch.stack(chosen, 1), (0, rest), value=facts.pad)
        return tokens, None if facts.eos is None else F.pad(torch.stack(living, 1), (0, rest), value=False)

    def _pick(self, logits: Tensor, latent: Tensor, temperature: float, top_p: float) -> Tensor:
        if temperature == 0:
            return logits.argmax(-1)
        return inverse_cdf(shaped(logits, temperature, top_p), latent)

    def _ended(self, alive: Tensor, position: int) -> bool:
        """Whether every row has ended; it is only looked at outside training, where waiting for the device is cheap."""
        if self.facts.eos is None or self.training or alive.is_meta or position % LOOK_EVERY != LOOK_EVERY - 1:
            return False
        return not bool(alive.any())


class RelaxedGenerator(LanguageGenerator):
    """Draws relaxed one-hots through which gradients pass (Jang et al. 2017; Maddison et al. 2017).

    The latent is one Gumbel number for each token of the vocabulary: the argmax of logits plus Gumbel noise is an exact
    sample. In training a draw is [B, L, V]; in evaluation it is the tokens [B, L].

    Args:
        decoder, facts: see `LanguageGenerator`.
        relaxation: ``straight_through``: one-hots whose gradient is that of the softmax; ``gumbel``: the softmax.
        tau: the softmax's temperature.
    """

    def __init__(
        self,
        decoder: Decoder,
        facts: TextFacts,
        *,
        relaxation: Literal["straight_through", "gumbel"] = "straight_through",
        tau: float = 1.0,
    ) -> None:
        super().__init__(decoder, facts)
        self.relaxation = relaxation
        self.tau = tau
        self._fits = 0

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard Gumbel numbers [count, L, V].

        Raises UsageError when a draw of that size does not fit the device.
        """
        self._require_memory(count, rng.device)
        uniform = rng.uniform(count, self.facts.length, self.facts.vocabulary).clamp_(min=1e-20)
        return uniform.log_().neg_().log_().neg_()

    def forward(
        self, latent: Tensor, condition: Tensor | None = None, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> Draw:
        """In training relaxed one-hots [B, L, V] with their graph, else tokens [B, L]; and their mask.

        Raises UsageError as `LanguageGenerator.forward`, and for a temperature or a share in training.
        """
        if not self.training:
            return super().forward(latent, condition, temperature=temperature, top_p=top_p)
        if (temperature, top_p) != (1.0, 1.0):
            raise UsageError("relaxed draws are made at temperature 1 and without top-p; `tau` smooths the softmax")
        facts = self.facts
        prefix, mask, label = self.opening(len(latent), condition, latent.device)
        logits, state = self.decoder.begin(prefix, mask, label, room=facts.length - 1)
        padding = logits.new_zeros(facts.vocabulary)
        padding[facts.pad] = 1
        alive = torch.ones(len(latent), dtype=torch.bool, device=latent.device)
        chosen, living = [], [alive]
        for position in range(facts.length):
            token, one_hot = self._relax(logits, latent[:, position])
            if facts.eos is not None:
                one_hot = torch.where(alive[:, None], one_hot, padding)
                alive = alive & (token != facts.eos)
            chosen.append(one_hot)
            if position < facts.length - 1:
                living.append(alive)
                logits, state = self.decoder.step(one_hot, state)
        return Draw(torch.stack(chosen, 1), None if facts.eos is None else torch.stack(living, 1))

    def _relax(self, logits: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        perturbed = logits.float() + noise
        token = perturbed.argmax(-1)
        soft = (perturbed / self.tau).softmax(-1)
        if self.relaxation == "gumbel":
            return token, soft
        hard = torch.zeros_like(soft).scatter_(-1, token[:, None], 1.0)
        return token, hard + soft - soft.detach()

    def _pick(self, logits: Tensor, latent: Tensor, temperature: float, top_p: float) -> Tensor:
        if temperature == 0:
            return logits.argmax(-1)
        return (shaped(logits, temperature, top_p) + latent).argmax(-1)

    def _require_memory(self, count: int, device: torch.device) -> None:
        if count <= self._fits or device.type == "meta":
            return
        facts = self.facts
        needed = relaxed_bytes(count, facts.length, facts.vocabulary)
        free = free_bytes(device)
        if free is not None and needed > free:
            raise UsageError(
                f"relaxed draws of {count} x {facts.length} tokens over a vocabulary of {facts.vocabulary} need about "
                f"{needed / 2**30:.1f} GiB, and {device} has {free / 2**30:.1f} GiB free",
                where="model.generator",
                fix="a generator of sampled tokens (a recipe with policy gradient), a smaller vocabulary or batch",
            )
        self._fits = count


def drawing(
    decoder: Decoder, facts: TextFacts, *, relaxation: Literal["none", "straight_through", "gumbel"], tau: float
) -> LanguageGenerator:
    """The generator that draws tokens from `decoder`, or relaxed one-hots."""
    if relaxation == "none":
        return LanguageGenerator(decoder, facts)
    return RelaxedGenerator(decoder, facts, relaxation=relaxation, tau=tau)


def prompt_mask(prompts: Tensor, pad: int) -> Tensor:
    """[B, P]: False at the padding before each of `prompts` [B, P]. The last token always counts."""
    present = (prompts != pad).int().cumsum(1) > 0
    return torch.cat([present[:, :-1], torch.ones_like(present[:, -1:])], 1)


def shaped(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Logits in fp32 or wider, divided by `temperature`, those outside the likeliest share `top_p` at -inf.

    Raises UsageError for a temperature that is not positive, or a share outside (0, 1].
    """
    if not (temperature > 0 and math.isfinite(temperature)) or not 0 < top_p <= 1:
        raise UsageError(f"temperature {temperature} must be above 0, and top_p {top_p} above 0 and at most 1")
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if temperature != 1:
        logits = logits / temperature
    if top_p < 1:
        ordered, order = logits.sort(-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        outside = torch.zeros_like(before, dtype=torch.bool).scatter_(-1, order, before >= top_p)
        logits = logits.masked_fill(outside, -math.inf)
    return logits


def inverse_cdf(logits: Tensor, uniform: Tensor) -> Tensor:
    """The token [B] at which the distribution of `logits` [B, V] first exceeds `uniform` [B]."""
    distribution = logits.softmax(-1).cumsum(-1)
    wanted = uniform.to(distribution)[:, None] * distribution[:, -1:]
    return torch.searchsorted(distribution, wanted, right=True).squeeze(1).clamp_(max=logits.shape[-1] - 1)


def relaxed_bytes(count: int, length: int, vocabulary: int) -> int:
    """What a relaxed draw and its backward keep: the noise, the perturbed logits, the softmax, the one-hots and their
    gradients, eight numbers of 32 bits for each token of the vocabulary at each position."""
    return count * length * vocabulary * 4 * 8


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device in bytes; None where it is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
