from __future__ import annotations

import math
import random

import pytest

from genkit_text.metrics.bleu import bleu, self_bleu

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "and", "then"]


def sentences(count, seed, longest=12):
    rng = random.Random(seed)
    return [[rng.choice(WORDS) for _ in range(rng.randint(1, longest))] for _ in range(count)]


def test_bleu_by_hand():
    hypothesis = ["the"] * 7
    references = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    scores = bleu([hypothesis], references, 2)[0]
    assert scores[0] == pytest.approx(2 / 7)  # Papineni et al. 2002, example 2
    assert scores[1] == pytest.approx(math.sqrt(2 / 7 * 0.1 / 6))


def test_a_short_hypothesis_pays_for_its_brevity():
    scores = bleu([["the", "cat"]], [["the", "cat", "sat", "on"]], 2)[0]
    assert scores == pytest.approx([math.exp(1 - 4 / 2)] * 2)


def test_the_shorter_of_two_equally_close_references_counts():
    scores = bleu([["a", "b", "c"]], [["a", "b"], ["a", "b", "c", "d"]], 1)[0]
    assert scores[0] == pytest.approx(1.0)


def test_equals_sacrebleu_with_several_references():
    bleu_of_sacre = pytest.importorskip("sacrebleu").metrics.BLEU
    hypotheses, references = sentences(60, 1), sentences(25, 2)
    ours = bleu(hypotheses, references, 5)
    joined = [" ".join(words) for words in references]
    for n in (2, 3, 4, 5):
        scorer = bleu_of_sacre(
            tokenize="none", smooth_method="floor", smooth_value=0.1, max_ngram_order=n, effective_order=False
        )
        theirs = [scorer.sentence_score(" ".join(words), joined).score / 100 for words in hypotheses]
        assert ours[:, n - 1] == pytest.approx(theirs, abs=1e-9)


def test_self_bleu_equals_sacrebleu_against_the_others():
    bleu_of_sacre = pytest.importorskip("sacrebleu").metrics.BLEU
    samples = sentences(40, 3, longest=8)
    ours = self_bleu(samples, 5)
    for n in (2, 5):
        scorer = bleu_of_sacre(
            tokenize="none", smooth_method="floor", smooth_value=0.1, max_ngram_order=n, effective_order=True
        )
        for i, words in enumerate(samples):
            others = [" ".join(other) for j, other in enumerate(samples) if j != i]
            assert ours[i, n - 1] == pytest.approx(scorer.sentence_score(" ".join(words), others).score / 100, abs=1e-9)


def test_self_bleu_of_one_text_again_and_again_is_one():
    for text in (WORDS, ["yes"], []):
        assert (self_bleu([text] * 5, 5) == 1).all()


def test_self_bleu_of_samples_with_nothing_in_common_is_zero():
    samples = [[f"{i}-{j}" for j in range(6)] for i in range(10)]
    assert (self_bleu(samples, 5) == 0).all()


def test_a_sample_is_not_among_its_own_references():
    samples = [*[["x", "y", "z", "u", "v"]] * 2, ["p", "q", "r", "s", "t"]]
    scores = self_bleu(samples, 4)
    assert (scores[:2] == 1).all()
    assert (scores[2] == 0).all()


def test_a_hypothesis_too_short_for_an_order_scores_nothing_there():
    scores = bleu([["the"], []], [["the"], []], 3)
    assert scores.tolist() == [[1, 0, 0], [0, 0, 0]]


def test_the_order_of_the_texts_does_not_matter():
    hypotheses, references = sentences(30, 4), sentences(30, 5)
    assert bleu(hypotheses, references, 4) == pytest.approx(bleu(hypotheses[::-1], references[::-1], 4)[::-1])
    assert self_bleu(hypotheses, 4) == pytest.approx(self_bleu(hypotheses[::-1], 4)[::-1])
