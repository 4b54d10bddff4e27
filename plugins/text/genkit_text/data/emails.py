"""`text.emails`: short e-mails and replies that are made from templates, so that replying can be tried anywhere."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from genkit_text.data.config import EmailsConfig
from genkit_text.data.corpus import Corpus, build
from genkit_text.data.email_templates import FRAMES, INTENTS, NAMES, TONES
from genkit_text.data.text import Text


@dataclass(frozen=True)
class Email:
    """A message and its reply. The message decides the reply but for its wording."""

    intent: str
    tone: str
    message: str
    reply: str


def open_emails(config: EmailsConfig) -> Text:
    """`config.size` different messages, as prompts, and their replies."""
    emails = make_emails(config.size, config.seed)
    corpus = Corpus(
        source="text.emails",
        name="template e-mails",
        licence="Apache-2.0: part of genkit-gan-text",
        texts=[email.reply for email in emails],
        prompts=[email.message for email in emails],
        unit="replies",
    )
    return build(corpus, config)


def make_emails(size: int, seed: int) -> list[Email]:
    """`size` e-mails, every message another."""
    draw = random.Random(seed)
    found: dict[str, Email] = {}
    while len(found) < size:
        email = _email(draw)
        found.setdefault(email.message, email)
    return list(found.values())


def intent_of_message(text: str) -> str | None:
    """What a message wants, by the words it holds; None when they fit no intent, or more than one."""
    return _only([name for name, intent in INTENTS.items() if re.search(intent.asks, text.lower())])


def intent_of_reply(text: str) -> str | None:
    """What a reply answers; see `intent_of_message`."""
    return _only([name for name, intent in INTENTS.items() if re.search(intent.answers, text.lower())])


def _email(draw: random.Random) -> Email:
    name = draw.choice(tuple(INTENTS))
    tone = draw.choice(TONES)
    intent = INTENTS[name]
    sender, reader = draw.sample(NAMES, 2)
    detail = draw.choice(intent.details)
    asked = draw.choice(intent.messages[tone]).format(detail=detail)
    answered = draw.choice(intent.replies[tone]).format(detail=detail)
    return Email(
        name,
        tone,
        FRAMES[tone].format(to=reader, by=sender, body=asked),
        FRAMES[tone].format(to=sender, by=reader, body=answered),
    )


def _only(found: list[str]) -> str | None:
    return found[0] if len(found) == 1 else None
