"""Sentences of five words out of four, each word depending on the last and on a label; every density is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import genkit

WORDS = ("ho", "la", "mi", "so")
LENGTH = 5
LABELS = ("calm", "loud")
FACTS = {"modality": "words", "words": list(WORDS), "labels": list(LABELS), "label_counts": [1, 1]}


class ChainGenerator(genkit.TokenGenerator):
    """Each word depends on the one before it and on the label.

    Args:
        seed: what its weights depend on.
        ends: the word that ends a sentence, and counts; None: each has all its words.
    """

    sampling: Mapping[str, float] = MappingProxyType({"temperature": 1.0})

    def __init__(self, seed: int = 0, ends: int | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.words = nn.Embedding(len(WORDS) + 1, 8)  # the last stands before the first word
            self.labels = nn.Embedding(len(LABELS), 8)
            self.head = nn.Linear(8, len(WORDS))
        self.ends = ends

    def latent(self, count: int, *, rng: genkit.Random) -> Tensor:
        return rng.uniform(count, LENGTH)

    def forward(self, latent: Tensor, condition: Tensor, temperature: float = 1.0) -> genkit.Draw:
        word = torch.full_like(condition, len(WORDS))
        words = []
        for chance in latent.unbind(1):
            below = self._logits(word, condition, temperature).softmax(-1).cumsum(-1)
            word = (below < chance[:, None]).sum(-1).clamp(max=len(WORDS) - 1)
            words.append(word)
        sample = torch.stack(words, 1)
        return genkit.Draw(sample, None if self.ends is None else before_end(sample, self.ends))

    def log_prob(self, draw: genkit.Draw, condition: Tensor, temperature: float = 1.0) -> Tensor:
        before = F.pad(draw.sample[:, :-1], (1, 0), value=len(WORDS))
        logits = self._logits(before, condition[:, None], temperature)
        return logits.log_softmax(-1).gather(2, draw.sample[:, :, None]).squeeze(2)

    def _logits(self, before: Tensor, label: Tensor, temperature: float) -> Tensor:
        return self.head(torch.tanh(self.words(before) + self.labels(label))) / temperature


def before_end(sample: Tensor, end: int) -> Tensor:
    """True up to the first `end`, which counts."""
    ended = (sample == end).long()
    return ended.cumsum(1) - ended == 0


class CausalCritic(genkit.Critic):
    """A logit a word, from it and those before it."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), width)
        self.labels = nn.Embedding(len(LABELS), width)
        self.head = nn.Linear(width, 1)

    def forward(self, sample: Tensor, condition: Tensor, mask: Tensor | None = None) -> genkit.Verdict:
        hidden = torch.tanh(self.words(sample).cumsum(1) + self.labels(condition)[:, None])
        return genkit.Verdict([self.head(hidden).squeeze(2)], mask=mask)


class ChainData(genkit.Dataset):
    """Sentences of a chain that is known: a generator that is not trained.

    Args:
        count: sentences.
        seed: which.
        ends: see `ChainGenerator`.
    """

    facts = MappingProxyType(FACTS)

    def __init__(self, count: int = 64, *, seed: int = 1, ends: int | None = None) -> None:
        self.oracle = ChainGenerator(seed=9, ends=ends).requires_grad_(False)
        self.seed = seed
        labels = torch.arange(count) % len(LABELS)
        draw = self.oracle(self.oracle.latent(count, rng=genkit.Random(seed)), labels)
        self.sentences, self.labels = draw.sample, labels

    def __len__(self) -> int:
        return len(self.sentences)

    def read(self, index: int) -> Any:
        return self.sentences[index], self.labels[index]

    def resident(self) -> Any:
        return self.sentences, self.labels

    def prepare(self, stored: Any, *, rng: genkit.Random) -> genkit.Batch:
        words, labels = stored
        return genkit.Batch(words, labels, None if self.oracle.ends is None else before_end(words, self.oracle.ends))

    def held_out(self) -> ChainData | None:
        return ChainData(48, seed=2, ends=self.oracle.ends) if self.seed == 1 else None

    def log_prob(self, batch: genkit.Batch) -> Tensor:
        return self.oracle.log_prob(genkit.Draw(batch.sample, batch.mask), batch.condition)


class Divergence(genkit.Metric):
    """KL(data ‖ generator) and KL(generator ‖ data) in nats a sentence, by the densities of both.

    Of data against data there is only the mean log-probability, ``nll``, which generated samples have too.
    """

    better: Mapping[str, str] = MappingProxyType({"forward_kl": "lower", "reverse_kl": "lower", "nll": "lower"})

    def __call__(self, real: genkit.Samples, fake: genkit.Samples) -> dict[str, float]:
        figures = {"nll": -mean_log_prob(fake, by=real)}
        if isinstance(fake, genkit.evaluation.GeneratedSamples):
            figures["forward_kl"] = mean_log_prob(real, by=real) - mean_log_prob(real, by=fake)
            figures["reverse_kl"] = mean_log_prob(fake, by=fake) - mean_log_prob(fake, by=real)
        return figures

    def protocol(self) -> dict[str, Any]:
        return {}


def mean_log_prob(samples: genkit.Samples, *, by: genkit.Samples) -> float:
    """The mean of log p(sentence) over `samples`, p the distribution that made `by`."""
    return float(torch.cat([by.log_prob(batch).sum(1) for batch in samples.batches()]).mean())


class WordsWriter(genkit.Writer):
    """A text file; a line a sentence on a terminal."""

    def write(self, batch: genkit.Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        return [self.preview(batch, directory / stem, columns=1)]

    def preview(self, batch: genkit.Batch, path: Path, *, columns: int) -> Path:
        path = path.with_name(f"{path.name}.txt")
        path.write_text("".join(f"{line['text']}\n" for line in self.lines(batch)))
        return path

    def lines(self, batch: genkit.Batch) -> list[dict[str, Any]]:
        labels = [LABELS[index] for index in batch.condition.tolist()]
        sentences = [" ".join(WORDS[index] for index in row) for row in batch.sample.tolist()]
        return [{"label": label, "text": text} for label, text in zip(labels, sentences, strict=True)]


def export_table(sampler: genkit.Sampler, out: Path) -> list[Path]:
    """The weights of the last layer as JSON, with the words they are for."""
    out.mkdir()
    table = out / "table.json"
    table.write_text(json.dumps({"words": sampler.facts["words"], "head": sampler.generator.head.weight.tolist()}))
    return [table]


def build_recipe(config: genkit.RecipeConfig) -> genkit.Experiment:
    terms = [genkit.terms.Likelihood()]
    return genkit.assemble(config, terms=terms, estimator=genkit.estimators.ScoreFunction())


def build_generator(config: object, facts: Mapping[str, Any]) -> ChainGenerator:
    return ChainGenerator()


def build_critic(config: object, facts: Mapping[str, Any]) -> CausalCritic:
    return CausalCritic()


def build_divergence(config: object, facts: Mapping[str, Any]) -> Divergence:
    return Divergence()


def build_writer(facts: Mapping[str, Any]) -> WordsWriter:
    return WordsWriter()


def open_chain(config: object) -> ChainData:
    return ChainData()
