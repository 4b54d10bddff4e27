"""The options of the text datasets. Free of torch and of tokenizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How texts become rows of tokens."""

    length: Annotated[int, Field(ge=2)] = 48
    """Tokens in a row, the end included; longer texts are cut, and it is said how many."""
    tokenizer: str = "bpe"
    """bpe, characters or words, trained on the training part; or a path: a transformers model's folder, or a
    tokenizer.json."""
    vocabulary: Count | None = None
    """Tokens of a trained tokenizer at most; null: 4,096 for bpe, 8,192 for words, every character there is. Where
    `tokenizer` is a path it stays null, or says how many that one has."""
    held_out: Share = 0.1
    """Share of the texts that training never sees. Which ones depends on the texts alone; equal ones go together."""
    limit: Count | None = None
    """Take only so many examples, evenly over all of them; of a stream the first."""


@dataclass(frozen=True, kw_only=True)
class PairsConfig(TextConfig):
    """How pairs of a prompt and its response become rows of tokens."""

    prompt_length: Annotated[int, Field(ge=2)] = 64
    """Tokens in a row of prompts, template and end included; longer prompts lose their end, and it is said how many."""
    template: str | None = None
    """How a prompt is put, with {prompt} in its place; null: the model's chat template, or the prompt alone."""


@dataclass(frozen=True, kw_only=True)
class LinesConfig(TextConfig):
    """One text a line. Empty lines are left out, and it is said how many."""

    path: str
    """A file of UTF-8 text, gzipped or not, or a folder with .txt and .txt.gz files."""
    pack: bool = False
    """Learn the texts as one stream cut into windows of exactly `length` tokens, instead of one text a row."""


@dataclass(frozen=True, kw_only=True)
class JsonlConfig(PairsConfig):
    """JSON Lines: one object a line, with `text` and maybe `label`, or with `prompt` and `response`."""

    path: str
    """The file, gzipped or not."""
    labels: Literal["auto", "none"] = "auto"
    """auto: learn texts by `label` where the first line has one; none: learn them as one kind."""
    pack: bool = False
    """Learn texts as one stream cut into windows of exactly `length` tokens; not for pairs and labels."""


@dataclass(frozen=True, kw_only=True)
class SentencesConfig(TextConfig):
    """The 23,049 embedded sentences of Jane Austen's six novels."""

    labels: Literal["none", "book"] = "none"
    """book: learn the sentences by the novel they are from; none: as one kind."""
    pack: bool = False
    """Learn the sentences as one stream cut into windows of exactly `length` tokens; not with labels."""


@dataclass(frozen=True, kw_only=True)
class RepliesConfig(PairsConfig):
    """The 2,091 embedded pairs of a line of dialogue and the line that answers it."""

    length: Annotated[int, Field(ge=2)] = 64
    """Tokens in a row of answers, the end included; longer ones are cut, and it is said how many."""


@dataclass(frozen=True, kw_only=True)
class EmailsConfig(PairsConfig):
    """Short e-mails and their replies, made from templates: ten intents in three tones, with names and details."""

    length: Annotated[int, Field(ge=2)] = 40
    """Tokens in a row of replies, the end included; longer ones are cut, and it is said how many."""
    prompt_length: Annotated[int, Field(ge=2)] = 40
    """Tokens in a row of messages, template and end included; longer ones lose their end, and it is said how many."""
    size: Annotated[int, Field(ge=1, le=200_000)] = 6000
    """How many different pairs to make."""
    seed: int = 0
    """What the pairs depend on."""


@dataclass(frozen=True, kw_only=True)
class DebianConfig(PairsConfig):
    """Package descriptions of this machine's apt lists: the long description's first paragraph is the prompt, the
    synopsis the response."""

    length: Annotated[int, Field(ge=2)] = 24
    """Tokens in a row of synopses, the end included; longer ones are cut, and it is said how many."""
    prompt_length: Annotated[int, Field(ge=2)] = 96
    """Tokens in a row of descriptions, template and end included; long ones lose their end, and it is said how many."""
    lists: str = "/var/lib/apt/lists"
    """The folder of the lists."""


@dataclass(frozen=True, kw_only=True)
class HubConfig(PairsConfig):
    """A dataset of the Hugging Face hub, or one that `datasets` saved to a local folder."""

    path: str
    """A name on the hub such as ``roneneldan/TinyStories``, or a folder written by ``save_to_disk``."""
    subset: str | None = None
    """The dataset's configuration, where it has several."""
    split: str = "train"
    """The split that is trained on."""
    held_out_split: str | None = None
    """The split that is evaluated on; null: `held_out` decides."""
    text: str = "text"
    """The column of the texts, where `prompt` is null; of the responses, where it is not."""
    prompt: str | None = None
    """The column of the prompts; null: there are none."""
    label: str | None = None
    """The column of the labels; null: there are none. Not with prompts, nor streamed."""
    pack: bool = False
    """Learn texts as one stream cut into windows of exactly `length` tokens; not for pairs and labels."""
    streaming: bool = False
    """Read the examples while training instead of before it."""
    sample: Count = 10_000
    """Streamed: the tokenizer is trained on this many first examples, and those held out are evaluated on."""
    buffer: Count = 1_000
    """Streamed: examples come in the order of their files, shuffled within a window of this many."""


@dataclass(frozen=True, kw_only=True)
class OracleConfig:
    """Sequences of a random recurrent network whose probabilities are known (Yu et al. 2017)."""

    vocabulary: Annotated[int, Field(ge=2)] = 50
    """Tokens; the published benchmark has 5,000."""
    length: Annotated[int, Field(ge=1)] = 20
    """Tokens in a sequence."""
    examples: Count = 10_000
    """Sequences to train on."""
    held_out: Annotated[int, Field(ge=0)] = 10_000
    """Fresh sequences to evaluate on."""
    hidden: Count = 32
    """Width of the network's embedding and of its state."""
    seed: int = 0
    """What the network's parameters and the sequences depend on."""
    parameters: str | None = None
    """The published oracle's pickle, 15 arrays; it is read without running any code that it may hold. null: the
    parameters are drawn."""
