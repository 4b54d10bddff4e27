"""The metrics on the plugin's own data, through the core's evaluation."""

from __future__ import annotations

import pytest
import torch

from genkit import Batch, ConfigError, DataError, evaluation
from genkit_text.data.austen import open_sentences
from genkit_text.data.config import EmailsConfig, OracleConfig, SentencesConfig
from genkit_text.data.emails import open_emails
from genkit_text.data.oracle import open_oracle
from genkit_text.metrics import (
    bleu,
    divergence,
    diversity,
    embedding,
    intent,
    label_agreement,
    likelihood,
    memorisation,
    perplexity,
    rouge,
)
from genkit_text.metrics import config as options
from genkit_text.metrics.texts import read_rows


def sets(data, count):
    held_out = data.held_out()
    return (
        evaluation.RealSamples(held_out, split="held-out", count=count),
        evaluation.RealSamples(data, split="train", count=count),
    )


def generated(like, change):
    """Samples that `change` makes of the real ones of a set."""
    rows = change(read_rows(like))
    return evaluation.GeneratedSamples(
        lambda start, size: rows.map(lambda leaf: leaf[start : start + size]), len(rows.sample)
    )


def answers_of_others(rows):
    return Batch(rows.sample.roll(1, 0), rows.condition, None if rows.mask is None else rows.mask.roll(1, 0))


@pytest.fixture(scope="module")
def emails():
    data = open_emails(EmailsConfig(size=300))
    return data, *sets(data, 100)


@pytest.fixture(scope="module")
def sentences():
    data = open_sentences(SentencesConfig(labels="book"))
    return data, *sets(data, 1200)


def test_real_replies_carry_the_right_intent_and_those_to_others_do_not(emails):
    data, held_out, train = emails
    metric = intent.build_intent(options.IntentConfig(), data.facts)
    assert metric(train, held_out) == {"intent": 1, "intent_worst": 1}
    mixed = metric(train, generated(held_out, answers_of_others))
    assert mixed["intent"] < 0.4
    assert mixed["intent_worst"] < mixed["intent"]
    empty = generated(held_out, lambda rows: Batch(torch.full_like(rows.sample, 0), rows.condition, rows.mask))
    assert metric(train, empty)["intent"] == 0


def test_intent_is_for_messages_with_one(emails, sentences):
    data, held_out, _ = emails
    with pytest.raises(ConfigError, match="messages and replies"):
        intent.build_intent(options.IntentConfig(), sentences[0].facts)
    blank = generated(held_out, lambda rows: Batch(rows.sample, torch.full_like(rows.condition, 0), rows.mask))
    with pytest.raises(DataError, match="no message has an intent"):
        intent.build_intent(options.IntentConfig(), data.facts)(held_out, blank)


def test_pairs_have_figures_for_samples_and_no_floor(emails):
    data, held_out, train = emails
    metrics = [
        rouge.build_rouge(options.RougeConfig(), data.facts),
        rouge.build_pairs(options.PairsConfig(), data.facts),
    ]
    fake = generated(held_out, answers_of_others)
    found = evaluation.evaluate(metrics, reference=held_out, fake=fake, other_real=train, train=train)
    scores = {score.name: score for score in found}
    assert 0 < scores["rougeL"].value < 0.9
    assert scores["rougeL"].floor is None
    assert scores["length_ratio_error"].value == 0
    assert scores["prompt_copies"].floor == 0


def test_real_sentences_score_as_their_floor_and_copies_are_found(sentences):
    data, held_out, train = sentences
    metrics = [
        bleu.build_bleu(options.BleuConfig(), data.facts),
        diversity.build_diversity(options.DiversityConfig(), data.facts),
        perplexity.build_ngram_perplexity(options.NgramPerplexityConfig(), data.facts),
        memorisation.build_memorisation(options.MemorisationConfig(), data.facts),
        embedding.build_frechet(options.FrechetConfig(), data.facts),
        label_agreement.build_label_agreement(options.LabelAgreementConfig(), data.facts),
    ]
    fake = generated(train, lambda rows: rows)
    found = evaluation.evaluate(metrics, reference=held_out, fake=fake, other_real=train, train=train)
    scores = {score.name: score for score in found}
    for name in ("bleu4", "self_bleu4", "distinct2", "ngram_perplexity", "frechet[hashed-ngrams]"):
        assert scores[name].value == pytest.approx(scores[name].floor)
    assert scores["exact_copies"].value == 1
    assert scores["exact_copies"].floor == 0
    assert scores["copied_share"].value == 1
    assert scores["copied_share"].floor < 0.5
    assert scores["exact_copies"].protocol["real"]["split"] == "train"
    assert scores["label_agreement_over_chance"].floor > 1.5


def test_an_oracle_s_floor_is_zero_and_uniform_tokens_are_far():
    config = OracleConfig(examples=400, held_out=400)
    data = open_oracle(config)
    held_out, train = sets(data, None)
    metrics = [
        divergence.build_divergence(options.DivergenceConfig(), data.facts),
        likelihood.build_likelihood(options.LikelihoodConfig(), data.facts),
    ]
    generator = torch.Generator().manual_seed(0)
    uniform = torch.randint(config.vocabulary, (400, config.length), generator=generator)
    level = -torch.log(torch.tensor(float(config.vocabulary)))
    fake = evaluation.GeneratedSamples(
        lambda start, size: Batch(uniform[start : start + size]),
        400,
        log_prob=lambda batch: level.expand(batch.sample.shape),
    )
    found = evaluation.evaluate(metrics, reference=held_out, fake=fake, other_real=train, train=train)
    scores = {score.name: score for score in found}
    assert scores["j"].floor == pytest.approx(0, abs=1e-6)
    assert scores["nll_gen"].value == pytest.approx(-float(level), abs=1e-5)
    assert scores["nll"].value == scores["nll_gen"].value
    assert scores["nll"].floor is None
    assert scores["forward_kl"].value == pytest.approx(-float(level) - scores["nll_oracle"].floor, abs=0.05)
    assert scores["j"].value > 2
