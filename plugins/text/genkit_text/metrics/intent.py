"""Whether a reply answers what the message asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genkit import ConfigError, DataError, Metric, Samples
from genkit_text.data.emails import intent_of_message, intent_of_reply
from genkit_text.metrics.config import IntentConfig
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import Reader


class Intent(Metric):
    """The share of replies whose intent, by the templates of text.emails, is that of the message. Real replies have it
    always, so that the floor is 1.

    Args:
        reader: reads the texts.
    """

    better = FIGURES["intent"]

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The share of all replies, and that of the intent with the lowest. Raises DataError when no message has an
        intent that is known, so that the data are no e-mails of text.emails."""
        right: dict[str, list[bool]] = {}
        for prompt, reply in zip(self.reader.prompts(fake), self.reader.texts(fake), strict=True):
            asked = intent_of_message(prompt)
            if asked is not None:
                right.setdefault(asked, []).append(intent_of_reply(reply) == asked)
        if not right:
            raise DataError("no message has an intent that text.intent knows", fix="it is for the data of text.emails")
        answers = [one for answered in right.values() for one in answered]
        return {
            "intent": sum(answers) / len(answers),
            "intent_worst": min(sum(answered) / len(answered) for answered in right.values()),
        }

    def protocol(self) -> dict[str, Any]:
        return {"intent": "by the templates of text.emails; messages without a known intent are left out"}


def build_intent(config: IntentConfig, facts: Mapping[str, Any]) -> Intent:
    """Agreement of intents. Raises ConfigError when the data are no pairs of texts."""
    reader = Reader(facts)
    if not reader.facts.prompt_length or reader.facts.tokenizer is None:
        raise ConfigError("text.intent is for messages and replies, and the data has no prompts", where="metrics")
    return Intent(reader)
