from __future__ import annotations

import re
from collections import Counter

import pytest

from genkit import Random
from genkit_text.data.config import EmailsConfig
from genkit_text.data.email_templates import INTENTS, NAMES, TONES
from genkit_text.data.emails import intent_of_message, intent_of_reply, make_emails, open_emails
from genkit_text.facts import TextFacts


@pytest.fixture(scope="module")
def emails():
    return make_emails(3000, seed=0)


def test_there_are_thousands_of_different_messages_of_every_kind(emails):
    assert len({email.message for email in emails}) == 3000
    counts = Counter((email.intent, email.tone) for email in emails)
    assert len(counts) == len(INTENTS) * len(TONES) >= 24
    assert min(counts.values()) > 40


def test_a_seed_gives_the_same_emails(emails):
    assert make_emails(100, seed=0) == emails[:100]
    assert make_emails(100, seed=1) != emails[:100]


def test_the_words_of_a_message_and_of_its_reply_tell_the_intent(emails):
    assert all(intent_of_message(email.message) == email.intent for email in emails)
    assert all(intent_of_reply(email.reply) == email.intent for email in emails)


@pytest.mark.parametrize("name", INTENTS)
def test_every_wording_belongs_to_one_intent_and_holds_its_detail(name):
    intent = INTENTS[name]
    for detail in intent.details:
        for tone in TONES:
            asked, answered = intent.messages[tone], intent.replies[tone]
            assert len(asked) > 1
            assert len(answered) > 1
            assert all("{detail}" in text for text in (*asked, *answered))
            assert {intent_of_message(text.format(detail=detail)) for text in asked} == {name}
            assert {intent_of_reply(text.format(detail=detail)) for text in answered} == {name}


def test_other_texts_have_no_intent():
    assert intent_of_reply("The family of Dashwood had long been settled in Sussex.") is None
    assert intent_of_reply("Your invoice and the refund for it") is None
    assert intent_of_message("") is None


def test_a_reply_goes_to_the_sender_and_is_about_the_detail(emails):
    for email in emails:
        sender = email.message.split("\n")[-1]
        assert sender in NAMES
        assert sender in email.reply.split("\n")[0]
        (detail,) = {one for one in INTENTS[email.intent].details if re.search(rf"\b{one}\b", email.message)}
        assert detail in email.reply


def test_emails_are_pairs_that_fit_their_rows(capsys):
    data = open_emails(EmailsConfig(size=500))
    assert len(data) + len(data.held_out()) == 500
    assert capsys.readouterr().err == ""
    made, text = data.prepare(data.resident(), rng=Random(0)), TextFacts.of(data.facts).text
    prompts, replies = text.decode_prompts(made.condition), text.decode_rows(made.sample, made.mask)
    assert [intent_of_message(one) for one in prompts] == [intent_of_reply(one) for one in replies]
