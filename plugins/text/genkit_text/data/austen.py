"""`text.sentences` and `text.replies`: Jane Austen's novels, which come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

from genkit_text.data.config import RepliesConfig, SentencesConfig
from genkit_text.data.corpus import Corpus, build
from genkit_text.data.files import read_jsonl
from genkit_text.data.text import Text

LICENCE = "public domain: the novels of Jane Austen; see genkit_text/assets/sentences.LICENCE.txt"


def open_sentences(config: SentencesConfig) -> Text:
    """The embedded sentences, labelled by their novel if `config.labels` is ``book``."""
    corpus = _embedded("sentences", "sentences of Jane Austen", labels=config.labels == "book")
    return build(corpus, config, pack=config.pack)


def open_replies(config: RepliesConfig) -> Text:
    """The embedded lines of dialogue and their answers."""
    return build(_embedded("replies", "dialogues of Jane Austen", labels=False), config)


def _embedded(file: str, name: str, *, labels: bool) -> Corpus:
    with as_file(files("genkit_text") / "assets" / f"{file}.jsonl.gz") as path:
        return read_jsonl(
            path, labels=labels, source=f"text.{file}", licence=LICENCE, name=name, label_key="book", unit=file
        )
