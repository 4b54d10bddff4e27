"""`text.oracle`: sequences of a random recurrent network, whose probabilities are known (Yu et al. 2017)."""

from __future__ import annotations

import hashlib
import io
import pickle
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genkit import Batch, ConfigError, DataError
from genkit_text.data.config import OracleConfig
from genkit_text.data.text import Text

START = 0
"""The token before a sequence's first. It is also a token like the others."""
CHUNK = 500
"""Sequences drawn at once: V = 5000 then takes 10 MB a position."""
ARRAYS = 15
SAFE: dict[tuple[str, str], Any] = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}
"""All that a pickle of arrays needs, under the names of numpy 1 and 2."""
for _core in ("core", "_core"):
    SAFE[f"numpy.{_core}.multiarray", "_reconstruct"] = np.empty(0).__reduce__()[0]
    SAFE[f"numpy.{_core}.numeric", "_frombuffer"] = np.empty(0).__reduce_ex__(5)[0]


class Oracle(nn.Module):
    """An embedding, one LSTM cell with one bias a gate, and a linear layer; every parameter is N(0, 1).

    torch's own LSTM has two biases a gate, which makes another distribution when both are drawn.

    Args:
        embedding: [V, H].
        inputs, recurrent: [H, 4·S], the gates' weights in the order input, forget, output, candidate.
        bias: [4·S].
        output, output_bias: [S, V] and [V].
    """

    embedding: Tensor
    inputs: Tensor
    recurrent: Tensor
    bias: Tensor
    output: Tensor
    output_bias: Tensor

    def __init__(
        self, embedding: Tensor, inputs: Tensor, recurrent: Tensor, bias: Tensor, output: Tensor, output_bias: Tensor
    ) -> None:
        super().__init__()
        for name, value in (
            ("embedding", embedding), ("inputs", inputs), ("recurrent", recurrent), ("bias", bias),
            ("output", output), ("output_bias", output_bias),
        ):  # fmt: skip
            self.register_buffer(name, value)

    @classmethod
    def drawn(cls, vocabulary: int, hidden: int, seed: int) -> Oracle:
        """An oracle whose parameters are standard normal numbers of `seed`."""
        source = generator(seed, "parameters")
        shapes = (
            (vocabulary, hidden), (hidden, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,), (hidden, vocabulary),
            (vocabulary,),
        )  # fmt: skip
        return cls(*(torch.randn(shape, generator=source, dtype=torch.float32) for shape in shapes))

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return len(self.output_bias)

    @torch.no_grad()
    def sample(self, count: int, length: int, *, source: torch.Generator) -> Tensor:
        """Sequences [count, length], int64, of `source`'s numbers, which are the CPU's."""
        drawn = []
        for first in range(0, count, CHUNK):
            uniform = torch.rand(min(CHUNK, count - first), length, generator=source, dtype=torch.float32)
            token, state, row = uniform.new_full((len(uniform),), START, dtype=torch.int64), None, []
            for position in range(length):
                logits, state = self._step(token, state)
                edges = logits.softmax(-1).cumsum(-1)
                at = uniform[:, position, None] * edges[:, -1:]
                token = torch.searchsorted(edges, at, right=True).squeeze(1).clamp_(max=self.vocabulary - 1)
                row.append(token)
            drawn.append(torch.stack(row, 1))
        return torch.cat(drawn)

    @torch.no_grad()
    def log_prob(self, tokens: Tensor) -> Tensor:
        """log p(token | tokens before it), [B, L], of `tokens` [B, L]."""
        token, state, found = torch.full_like(tokens[:, 0], START), None, []
        for position in range(tokens.shape[1]):
            logits, state = self._step(token, state)
            token = tokens[:, position]
            found.append(logits.log_softmax(-1).gather(1, token[:, None]).squeeze(1))
        return torch.stack(found, 1)

    def _step(self, token: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Logits [B, V] of the token after `token` [B], and the new state: c ← f·c + i·tanh(·), h = o·tanh(c)."""
        gates = self.embedding[token] @ self.inputs + self.bias
        if state is not None:
            gates = gates + state[0] @ self.recurrent
        enter, forget, leave, candidate = gates.chunk(4, -1)
        cell = enter.sigmoid() * candidate.tanh()
        if state is not None:
            cell = cell + forget.sigmoid() * state[1]
        hidden = leave.sigmoid() * cell.tanh()
        return hidden @ self.output + self.output_bias, (hidden, cell)


class OracleText(Text):
    """Sequences of an oracle, which also tells any sequence's probability.

    Args:
        oracle: where they are from.
        config: how many, and how long.
        part: ``train`` or ``held out``; each is drawn from numbers of its own.
    """

    def __init__(self, oracle: Oracle, config: OracleConfig, part: str = "train") -> None:
        self.oracle, self.config = oracle, config
        count = config.examples if part == "train" else config.held_out
        tokens = oracle.sample(count, config.length, source=generator(config.seed, part))
        name = f"oracle of {oracle.vocabulary} tokens"
        facts = {
            "modality": "text",
            "name": name,
            "vocabulary": oracle.vocabulary,
            "length": config.length,
            "bos": START,
            "eos": None,
            "pad": START,
        }
        super().__init__(
            {"tokens": tokens.int()},
            facts=facts,
            name=name if part == "train" else f"{name}, {part}",
            licence="none is needed: drawn at random",
            said={"seed": config.seed, "parameters": config.parameters or "drawn"},
        )

    def held_out(self) -> OracleText | None:
        return self._fresh

    @cached_property
    def _fresh(self) -> OracleText | None:
        return OracleText(self.oracle, self.config, "held out") if self.config.held_out else None

    def summary(self) -> dict[str, Any]:
        return {**super().summary(), "held out": self.config.held_out}

    def log_prob(self, batch: Batch) -> Tensor:
        """The oracle's log-probabilities of tokens [B, L]. They are computed on the CPU, the same for every device."""
        return self.oracle.log_prob(batch.sample.cpu()).to(batch.sample.device)


def open_oracle(config: OracleConfig) -> OracleText:
    """Sequences of an oracle that is drawn, or read from `config.parameters`.

    Raises DataError when that file can not be read, ConfigError when it is another vocabulary's or width's.
    """
    if config.parameters is None:
        return OracleText(Oracle.drawn(config.vocabulary, config.hidden, config.seed), config)
    oracle = read_parameters(Path(config.parameters).expanduser())
    for key, asked, found in (
        ("vocabulary", config.vocabulary, oracle.vocabulary),
        ("hidden", config.hidden, len(oracle.recurrent)),
    ):
        if asked != found:
            raise ConfigError(
                f"{config.parameters} is an oracle with {key} {found}, not {asked}",
                where=f"data.{key}",
                fix=f"--set data.{key}={found}",
            )
    return OracleText(oracle, config)


def generator(seed: int, purpose: str) -> torch.Generator:
    """A source of random numbers, the CPU's, for one purpose."""
    digest = hashlib.blake2b(f"{seed}\x1f{purpose}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


# --- the published parameters ----------------------------------------------------------------------------------------


class _Arrays(pickle.Unpickler):
    """Reads arrays of numbers and nothing else: a pickle can otherwise run anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how pickles that Python 2 wrote hold bytes
            return _latin1
        if (module, name) not in SAFE:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array of numbers")
        return SAFE[module, name]


def _latin1(text: str, codec: str = "latin1") -> bytes:
    return text.encode("latin1")


def read_parameters(path: Path) -> Oracle:
    """The oracle of a pickle with 15 arrays, as SeqGAN's published one: the embedding; W, U and b of the input, forget
    and output gates and of the candidate; the output's weight and bias.

    Raises DataError when it can not be read, holds anything but arrays of numbers, or their shapes do not fit.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can not be read ({error.strerror or error})", where="data.parameters") from error
    try:
        arrays = _Arrays(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{path}: is not a pickle of arrays ({error})", where="data.parameters") from error
    if not isinstance(arrays, list | tuple) or len(arrays) != ARRAYS:
        raise DataError(f"{path}: does not hold {ARRAYS} arrays", where="data.parameters")
    if not all(isinstance(one, np.ndarray) and np.issubdtype(one.dtype, np.floating) for one in arrays):
        raise DataError(f"{path}: holds more than arrays of numbers", where="data.parameters")
    embedding, *gates, output, output_bias = (torch.from_numpy(np.array(one, np.float32)) for one in arrays)
    width, state = (*gates[0].shape, 0, 0)[:2]
    vocabulary = len(embedding)
    shapes = [(width, state), (state, state), (state,)] * 4
    found = [tuple(one.shape) for one in (embedding, *gates, output, output_bias)]
    if found != [(vocabulary, width), *shapes, (state, vocabulary), (vocabulary,)]:
        raise DataError(
            f"{path}: its arrays are not those of an oracle: {', '.join(map(str, found))}", where="data.parameters"
        )
    weights, recurrent, biases = (torch.cat(gates[kind::3], -1) for kind in range(3))
    return Oracle(embedding, weights, recurrent, biases, output, output_bias)
