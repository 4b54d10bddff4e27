"""A small transformer over tokens, in the form of Llama, so that it can leave as one.

RMS norm (Zhang and Sennrich 2019), rotary positions (Su et al. 2021), SwiGLU (Shazeer 2020), no biases (Touvron et al.
2023). Parameters are named as transformers' Llama names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError
from genkit_text.facts import TextFacts
from genkit_text.models.config import TransformerConfig
from genkit_text.models.language import Decoder, LanguageGenerator, drawing

ROTARY_BASE = 10_000.0
NORM_EPS = 1e-6


@dataclass
class State:
    """Keys and values of what was read."""

    caches: list[Cache]
    position: int
    mask: Tensor | None
    """[B, P + room], False at the padding before a prompt."""
    label: Tensor | None


class Cache:
    """One block's keys and values [B, H, T, D]: in place where no gradient is wanted, else joined anew at each step."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.length = 0
        self._kept: tuple[Tensor, Tensor] | None = None

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values [B, H, t, D]; all of them, [B, H, T, D]."""
        start, self.length = self.length, self.length + key.shape[2]
        if torch.is_grad_enabled():
            joined = (key, value) if self._kept is None else tuple(map(_joined, self._kept, (key, value)))
            self._kept = joined[0], joined[1]
            return self._kept
        if self._kept is None:
            shape = (*key.shape[:2], self.room, key.shape[3])
            self._kept = key.new_empty(shape), value.new_empty(shape)
        for buffer, new in zip(self._kept, (key, value), strict=True):
            buffer[:, :, start : self.length] = new
        return self._kept[0][:, :, : self.length], self._kept[1][:, :, : self.length]


def _joined(old: Tensor, new: Tensor) -> Tensor:
    return torch.cat([old, new], 2)


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, rotation: Tensor, mask: Tensor | None, cache: Cache | None) -> Tensor:
        """[B, t, E] -> [B, t, E]. `mask` [B, 1, t, T] is True where a query may look; None: at all that came before."""
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotated(query, rotation), rotated(key, rotation)
        if cache is not None:
            key, value = cache.extend(key, value)
        causal = mask is None and query.shape[2] > 1
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        return self.o_proj(seen.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention, then the feed-forward layer, each normalised before and added after."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, eps=NORM_EPS)
        self.self_attn = Attention(width, heads)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=NORM_EPS)
        self.mlp = FeedForward(width, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotation: Tensor, mask: Tensor | None, cache: Cache | None) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), rotation, mask, cache))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class TransformerDecoder(Decoder):
    """The network.

    Args:
        vocabulary: token ids.
        width, layers, heads, hidden: its size.
        positions: tokens in a row, what comes before a sample included.
        labels: how many labels a row can have; their embeddings are added to each token's.
        tied: let output weights be the embeddings.
        dropout: on the residual branches.

    Raises ConfigError when the width does not part into heads of an even size.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        positions: int,
        labels: int = 0,
        tied: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ConfigError(f"a width of {width} does not part into {heads} heads of an even size", where="model")
        self.vocabulary, self.positions, self.tied = vocabulary, positions, tied
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.label_embedding = nn.Embedding(labels, width) if labels else None
        self.layers = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("rotation", rotations(positions, width // heads), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                out = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5 if out else 0.02)
        if tied:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, label: Tensor | None = None, *, keep: int | None = None
    ) -> Tensor:
        seen = self._read(tokens, 0, attendable(mask, tokens.shape[1]), self._label(label), None)
        return self.lm_head(seen if keep is None else seen[:, -keep:])

    def begin(self, tokens: Tensor, mask: Tensor | None, label: Tensor | None, *, room: int) -> tuple[Tensor, State]:
        caches = [Cache(tokens.shape[1] + room) for _ in self.layers]
        given = self._label(label)
        seen = self._read(tokens, 0, attendable(mask, tokens.shape[1]), given, caches)
        known = None if mask is None else F.pad(mask, (0, room), value=True)
        return self.lm_head(seen[:, -1]), State(caches, tokens.shape[1], known, given)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        mask = None if state.mask is None else state.mask[:, None, None, : state.position + 1]
        seen = self._read(token[:, None], state.position, mask, state.label, state.caches)
        state.position += 1
        return self.lm_head(seen[:, 0]), state

    def _label(self, label: Tensor | None) -> Tensor | None:
        return None if self.label_embedding is None or label is None else self.label_embedding(label)[:, None]

    def _read(
        self, tokens: Tensor, start: int, mask: Tensor | None, label: Tensor | None, caches: list[Cache] | None
    ) -> Tensor:
        x = tokens @ self.embed_tokens.weight if tokens.is_floating_point() else self.embed_tokens(tokens)
        if label is not None:
            x = x + label
        rotation = self.rotation[:, start : start + x.shape[1]]
        for number, block in enumerate(self.layers):
            x = block(x, rotation, mask, caches[number] if caches else None)
        return self.norm(x)


def attendable(mask: Tensor | None, length: int) -> Tensor | None:
    """[B, 1, T, T]: what each position may look at when padding `mask` [B, T] comes before it; None without padding.

    Padding looks at itself, since attention to nothing has no value.
    """
    if mask is None:
        return None
    mask = F.pad(mask, (0, length - mask.shape[1]), value=True)
    before = torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=mask.device)
    return ((before & mask[:, None, :]) | itself)[:, None]


def rotations(positions: int, size: int) -> Tensor:
    """Cosine and sine of each position's angle for each pair of channels, [2, positions, size / 2]."""
    frequencies = ROTARY_BASE ** (-torch.arange(0, size, 2).float() / size)
    angles = torch.outer(torch.arange(positions).float(), frequencies)
    return torch.stack([angles.cos(), angles.sin()])


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn the pairs (i, i + D/2) of the channels of `x` [B, H, T, D] by their positions' angles."""
    cosine, sine = rotation.to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def build_transformer(config: TransformerConfig, facts: Mapping[str, Any]) -> LanguageGenerator:
    """The generator of ``text.transformer``."""
    known = TextFacts.of(facts)
    decoder = TransformerDecoder(
        known.vocabulary,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        hidden=config.hidden or -(-config.width * 8 // 96) * 32,
        positions=max(known.prompt_length, 1) + known.length,
        labels=len(known.labels),
        tied=config.tied,
        dropout=config.dropout,
    )
    return drawing(decoder, known, relaxation=config.relaxation, tau=config.tau)
