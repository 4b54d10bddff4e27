"""Text <-> token ids: a tokenizer that was trained on the data, or a language model's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

from genkit import CheckpointError, ConfigError, DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

PAD, BOS, EOS, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
SPACE, GLUE = "▁", "◂"
"""How a tokenizer of words writes the space before a word or a mark, and its absence after a mark."""
PLACE = "{prompt}"
"""Where a template has the prompt."""
KINDS = ("bpe", "characters", "words")
BOS_NAMES = ("<s>", "<bos>", "[BOS]", "<|startoftext|>", "<|begin_of_text|>", "[CLS]")
EOS_NAMES = ("</s>", "<eos>", "[EOS]", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "[SEP]")
PAD_NAMES = ("<pad>", "[PAD]", "<|pad|>", "<|padding|>")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer and the tokens a genkit dataset needs of it.

    Text never becomes a special token: a user's ``</s>`` is four characters. Only a template's text does.

    Args:
        backend: the tokenizer; padding and truncation are switched off.
        bos: the token before the first of a sample; it also ends a prompt.
        eos: the token that ends a sample.
        pad: what fills a row. It may be `eos`.
        template: how a prompt is put to a language model; ``{prompt}`` stands for it.

    Raises ConfigError when the template has no place for the prompt, or more than one.
    """

    backend: tokenizers.Tokenizer
    bos: int
    eos: int
    pad: int
    template: str = PLACE

    def __post_init__(self) -> None:
        if self.template.count(PLACE) != 1:
            raise ConfigError(f"the template {self.template!r} must have {PLACE} once", where="data.template")
        self.backend.no_padding()
        self.backend.no_truncation()
        self.backend.encode_special_tokens = True

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer.from_facts, (self.to_facts(),)  # the backend's own pickle forgets `encode_special_tokens`

    @cached_property
    def vocabulary(self) -> int:
        """How many token ids there are: the highest, and one."""
        return max(self.backend.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def around(self) -> tuple[list[int], str, list[int]]:
        """The template's tokens before the prompt, the spaces that go with the prompt's text, its tokens after it, the
        last of which is `bos`: a chat model's template may end in it already."""
        before, after = self.template.split(PLACE)
        spaces = before[len(before.rstrip(" ")) :]  # a space belongs to the word behind it
        first, last = (_with_specials(self.backend, part) for part in (before.rstrip(" "), after))
        return first, spaces, last if last[-1:] == [self.bos] else [*last, self.bos]

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`, without special ones."""
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts, on all processor cores."""
        return [found.ids for found in self.backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; special tokens are left out, and so are ids that the tokenizer does not have.

        Where one text follows another after `eos`, as in packed rows, a line break stands between them.
        """
        texts: list[list[int]] = [[]]
        for token in ids:
            if token == self.eos:
                texts.append([])
            elif token != self.pad:
                texts[-1].append(token)
        read = (self.backend.decode(part, skip_special_tokens=True) for part in texts if part)
        return "\n".join(read)

    def decode_rows(self, tokens: Tensor, mask: Tensor | None = None) -> list[str]:
        """The text of each row of `tokens` [B, L]; where a `mask` [B, L] is given, of the tokens where it is True."""
        rows = tokens.tolist()
        if mask is None:
            return [self.decode(row) for row in rows]
        return [
            self.decode([token for token, counts in zip(row, kept, strict=True) if counts])
            for row, kept in zip(rows, mask.tolist(), strict=True)
        ]

    def decode_prompts(self, prompts: Tensor) -> list[str]:
        """The text of each row of `prompts` [B, P], without padding and without its template."""
        first, _, last = self.around
        found = []
        for row in prompts.tolist():
            own = list(dropwhile(lambda token: token == self.pad, row))[len(first) :]
            found.append(self.decode(own[: -len(last)]).strip())
        return found

    def prompt_tokens(self, text: str, room: int | None = None) -> list[int]:
        """The tokens of a prompt, template applied and `bos` at the end, not padded.

        Args:
            room: cut the prompt's own tokens, from its end, so that all fit into this many; None keeps them.
        """
        first, spaces, last = self.around
        own = self.encode(spaces + text)
        if room is not None:
            own = own[: max(0, room - len(first) - len(last))]
        return [*first, *own, *last]

    def encode_prompt(self, text: str, length: int) -> list[int]:
        """A row of `length` tokens: padding, the prompt in its template, `bos`.

        Raises UsageError when the prompt is empty, or has more tokens than there is room for.
        """
        if not text.strip():
            raise UsageError("the prompt is empty", where="--condition prompt", fix="--condition prompt=TEXT")
        found = self.prompt_tokens(text.strip())
        if len(found) > length:
            own = len(self.encode(text.strip()))
            raise UsageError(
                f"the prompt has {own:,} tokens; this model reads at most {length - len(found) + own:,}",
                where="--condition prompt",
                fix="a shorter prompt, or a model trained with a larger data.prompt_length",
            )
        return [self.pad] * (length - len(found)) + found

    def to_facts(self) -> dict[str, Any]:
        """All of it as JSON values, to be kept in a checkpoint."""
        kept = {"bos": self.bos, "eos": self.eos, "pad": self.pad, "template": self.template}
        return {"json": self.backend.to_str(), **kept}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Tokenizer:
        """What `to_facts` described. Raises CheckpointError when it can not be read."""
        try:
            backend = tokenizers.Tokenizer.from_str(facts["json"])
            return cls(backend, int(facts["bos"]), int(facts["eos"]), int(facts["pad"]), str(facts["template"]))
        except ConfigError:
            raise
        except Exception as error:  # `tokenizers` raises bare Exception
            raise CheckpointError(f"the tokenizer in the facts can not be read ({error})") from error


def _with_specials(backend: tokenizers.Tokenizer, text: str) -> list[int]:
    """The tokens of `text`, in which special tokens may be written out."""
    reader = tokenizers.Tokenizer.from_str(backend.to_str())
    reader.encode_special_tokens = False
    return list(reader.encode(text, add_special_tokens=False).ids)


# --- trained on the data ---------------------------------------------------------------------------------------------


def train_tokenizer(
    kind: Literal["bpe", "characters", "words"], texts: Iterable[str], vocabulary: int | None = None
) -> Tokenizer:
    """A tokenizer of at most `vocabulary` tokens, the special ones included.

    Args:
        kind: ``bpe``: byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019), which reads any text;
            ``characters`` and ``words``: the most frequent ones of the texts, all others are ``<unk>``.
        vocabulary: None: 4,096 for bpe, 8,192 for words, every character there is.

    Raises ConfigError when `vocabulary` has no room for what the kind can not do without.
    """
    least = {"bpe": 3 + 256, "characters": 5, "words": 5}
    if kind not in least:
        raise ConfigError(f"no kind of tokenizer is called {kind!r}", where="data.tokenizer", fix=", ".join(KINDS))
    if vocabulary is not None and vocabulary < least[kind]:
        needs = "3 special tokens and 256 bytes" if kind == "bpe" else "4 special tokens and one more"
        raise ConfigError(
            f"a vocabulary of {vocabulary} is too small: a tokenizer of {kind} has {needs}",
            where="data.vocabulary",
            fix=f"{least[kind]} or more",
        )
    if kind == "bpe":
        backend = _train_bpe(texts, vocabulary or 4096)
    elif kind == "words":
        backend = _word_level(texts, vocabulary or 8192, *_words())
    else:
        backend = _word_level(texts, vocabulary, *_characters())
    return Tokenizer(backend, bos=1, eos=2, pad=0)


def _train_bpe(texts: Iterable[str], vocabulary: int) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def _words() -> tuple[Any, Any, Any]:
    """How a text is cleaned, cut into words and marks, and put together again.

    Every word is ``▁word``, so that it is one token wherever it stands. A mark is ``,``, or ``▁(`` after a space, and
    ends in ◂ where a word follows without one.
    """
    clean = normalizers.Sequence(
        [
            normalizers.Replace(Regex(rf"[\s{SPACE}{GLUE}]+"), " "),
            normalizers.Strip(),
            normalizers.Replace(" ", SPACE),
            normalizers.Prepend(SPACE),
            normalizers.Replace(Regex(rf"(?<!\w['\u2019])(?<![\w{SPACE}])(?=\w)"), GLUE + SPACE),
        ]
    )
    pattern = Regex(rf"{SPACE}\w+(?:['\u2019]\w+)*|{SPACE}?[^\w{SPACE}{GLUE}]{GLUE}?")
    join = decoders.Sequence(
        [
            decoders.Replace(UNKNOWN, SPACE + UNKNOWN),
            decoders.Fuse(),
            decoders.Replace(GLUE + SPACE, ""),
            decoders.Replace(GLUE, ""),
            decoders.Replace(SPACE, " "),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return clean, pre_tokenizers.Split(pattern, "removed", invert=True), join


def _characters() -> tuple[Any, Any, Any]:
    return None, pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"), decoders.Fuse()


def _word_level(texts: Iterable[str], vocabulary: int | None, clean: Any, cut: Any, join: Any) -> tokenizers.Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        cleaned = text if clean is None else clean.normalize_str(text)
        counts.update(piece for piece, _ in cut.pre_tokenize_str(cleaned))
    specials = [PAD, BOS, EOS, UNKNOWN]
    ranked = [piece for piece in sorted(counts, key=lambda piece: (-counts[piece], piece)) if piece not in specials]
    kept = [*specials, *ranked[: None if vocabulary is None else vocabulary - len(specials)]]
    backend = tokenizers.Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(kept)}, unk_token=UNKNOWN))
    if clean is not None:
        backend.normalizer = clean
    backend.pre_tokenizer = cut
    backend.decoder = join
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (PAD, BOS, EOS)])
    return backend


# --- from a file -----------------------------------------------------------------------------------------------------


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a transformers model's folder, or of a ``tokenizer.json``. The network is never asked.

    With `transformers` a model's chat template becomes the `template`; without it a ``tokenizer.json`` is read.
    `bos` is the model's, or its `eos`; so is `pad`.

    Raises DataError when nothing is there, it can not be read, or it has no token that ends a text.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return _from_file(path, {})
    if not path.is_dir():
        raise DataError(
            f"{path}: no such file or folder",
            where="data.tokenizer",
            fix=f"{', '.join(KINDS)}, a tokenizer.json, or a folder with a transformers model",
        )
    try:
        import transformers
    except ImportError:
        return _from_folder(path)
    try:
        model = transformers.AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    except Exception as error:  # transformers raises many kinds for files that are missing, damaged or unknown
        raise DataError(f"{path}: its tokenizer can not be read ({error})", where="data.tokenizer") from error
    if model.eos_token_id is None and (path / "tokenizer.json").is_file():
        return _from_folder(path)  # it may be there and just not be named
    backend = getattr(model, "backend_tokenizer", None)
    if backend is None:
        raise DataError(
            f"{path}: its tokenizer, {type(model).__name__}, has no form that the package `tokenizers` reads",
            where="data.tokenizer",
            fix="save it with a tokenizer.json",
        )
    eos = _required(model.eos_token_id, str(path))
    bos = eos if model.bos_token_id is None else model.bos_token_id
    pad = eos if model.pad_token_id is None else model.pad_token_id
    backend = tokenizers.Tokenizer.from_str(backend.to_str())
    return _with_chat(Tokenizer(backend, bos, eos, pad), model)


def _with_chat(found: Tokenizer, model: Any) -> Tokenizer:
    """The tokenizer with its model's chat template; what the template ends in then stands before a sample."""
    if not getattr(model, "chat_template", None):
        return found
    mark = "GENKITPROMPT"
    turns = [{"role": "user", "content": mark}]
    rendered = model.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    if rendered.count(mark) != 1:
        raise DataError(
            f"{model.name_or_path}: its chat template does not hold what the user says once", where="data.tokenizer"
        )
    template = rendered.replace(mark, PLACE)
    ends = _with_specials(found.backend, template.split(PLACE)[1])
    return Tokenizer(found.backend, ends[-1] if ends else found.bos, found.eos, found.pad, template)


def _from_folder(path: Path) -> Tokenizer:
    """The ``tokenizer.json`` of a model's folder, with the special tokens its config names."""
    file = path / "tokenizer.json"
    if not file.is_file():
        raise DataError(
            f"{path}: has no tokenizer.json",
            where="data.tokenizer",
            fix='pip install "genkit-gan-text[hf]" reads older kinds',
        )
    named: dict[str, str] = {}
    for config in ("special_tokens_map.json", "tokenizer_config.json"):
        if (path / config).is_file():
            try:
                stored = json.loads((path / config).read_text(encoding="utf-8"))
            except ValueError as error:
                raise DataError(f"{path / config}: is not JSON ({error})", where="data.tokenizer") from error
            for role in ("bos", "eos", "pad"):
                token = stored.get(f"{role}_token")
                token = token.get("content") if isinstance(token, dict) else token
                named |= {role: token} if isinstance(token, str) else {}
    return _from_file(file, named)


def _from_file(path: Path, named: Mapping[str, str]) -> Tokenizer:
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # `tokenizers` raises bare Exception
        raise DataError(f"{path}: is not a tokenizer.json ({error})", where="data.tokenizer") from error

    def find(role: str, usual: Sequence[str]) -> int | None:
        for name in [named[role]] if role in named else usual:
            if (found := backend.token_to_id(name)) is not None:
                return int(found)
        return None

    eos = _required(find("eos", EOS_NAMES), str(path))
    bos, pad = find("bos", BOS_NAMES), find("pad", PAD_NAMES)
    return Tokenizer(backend, eos if bos is None else bos, eos, eos if pad is None else pad)


def _required(eos: int | None, path: str) -> int:
    if eos is None:
        raise DataError(
            f"{path}: the tokenizer has no token that ends a text; looked for {', '.join(EOS_NAMES)}",
            where="data.tokenizer",
            fix="add one of them to it as a special token",
        )
    return int(eos)
