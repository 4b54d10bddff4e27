from __future__ import annotations

import itertools
import random

import pytest

from genkit_text.metrics.copying import longest_copied, longest_in_own
from genkit_text.metrics.diversity import distinct, repetition
from genkit_text.metrics.kneser_ney import END, START, UNKNOWN, KneserNey

LETTERS = "abcde"


def texts(count, seed, letters=LETTERS, longest=9):
    rng = random.Random(seed)
    return [rng.choices(letters, weights=range(1, len(letters) + 1), k=rng.randint(0, longest)) for _ in range(count)]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 5, 200])
def test_probabilities_sum_to_one_in_every_context(order, count):
    model = KneserNey(texts(count, order), [*LETTERS, "never"], order)
    words = [*LETTERS, "never", UNKNOWN, END]
    contexts = [
        context for length in range(order) for context in itertools.product([START, *LETTERS, "odd"], repeat=length)
    ]
    for context in contexts:
        found = [model.probability(word, context) for word in words]
        assert sum(found) == pytest.approx(1)
        assert min(found) > 0


def test_a_bigram_model_by_hand():
    # Sentences "a a" and "a": bigrams <s>a twice, aa once, a</s> twice. The four numbers of counts are not all there,
    # so the discounts are 0.5 for a count of one and 1 for two. Words before a: {<s>, a}, before </s>: {a}; in all 3.
    model = KneserNey([["a", "a"], ["a"]], ["a"], 2)
    # Unigrams: discounts take 1 from 2 and 0.5 from 1, so 1.5 / 3 goes to the uniform 1/3 over a, <unk>, </s>.
    unigram = {"a": 1 / 3 + 0.5 / 3, END: 0.5 / 3 + 0.5 / 3, UNKNOWN: 0.5 / 3}
    for word, value in unigram.items():
        assert model.probability(word, []) == pytest.approx(value)
    # After <s>: 2 in all, 1 taken. After a: 3 in all, 0.5 + 1 taken.
    assert model.probability("a", [START]) == pytest.approx(1 / 2 + 1 / 2 * unigram["a"])
    assert model.probability("a", ["a"]) == pytest.approx(0.5 / 3 + 1.5 / 3 * unigram["a"])
    assert model.probability(END, ["a"]) == pytest.approx(1 / 3 + 1.5 / 3 * unigram[END])
    assert model.probability("b", ["a"]) == pytest.approx(1.5 / 3 * unigram[UNKNOWN])
    assert model.probability("a", ["b"]) == pytest.approx(unigram["a"])
    assert model.perplexity([["a"]]) == pytest.approx(
        (model.probability("a", [START]) * model.probability(END, ["a"])) ** -0.5
    )


def test_discounts_are_chen_and_goodman_s_where_the_counts_allow():
    # Four words once, two twice, two thrice, one four times: Y = 4 / 8, D1 = 1 - 2·½·2/4, D2 = 2 - 3·½·2/2,
    # D3 = 3 - 4·½·1/2; the end, 17 times, falls under D3.
    once, twice, thrice, four = ["a", "b", "c", "d"], ["e", "f"], ["g", "h"], ["i"]
    corpus = [[word] for word in once + twice * 2 + thrice * 3 + four * 4]
    model = KneserNey(corpus, {word for text in corpus for word in text}, 1)
    total = 2 * 18
    taken = 4 * 0.5 + 2 * 0.5 + 2 * 2 + 2 + 2
    base = taken / total / 11
    for word, expected in (("a", 0.5), ("e", 1.5), ("g", 1.0), ("i", 2.0), (END, 16.0), (UNKNOWN, 0.0)):
        assert model.probability(word, []) == pytest.approx(expected / total + base)


def test_an_n_gram_counts_below_as_often_as_different_words_stand_before_it():
    corpus = [["san", "francisco"]] * 50 + [[word, "glass"] for word in "abcdefgh"]
    model = KneserNey(corpus, {word for text in corpus for word in text}, 2)
    assert model.probability("glass", ["zz"]) > 4 * model.probability("francisco", ["zz"])


def test_a_model_knows_its_own_texts_better_than_shuffled_ones():
    rng = random.Random(0)
    corpus = [sorted(text) for text in texts(400, 1)]
    model = KneserNey(corpus[:200], LETTERS, 3)
    shuffled = [rng.sample(text, len(text)) for text in corpus[200:]]
    assert model.perplexity(corpus[200:]) < 0.8 * model.perplexity(shuffled)


def test_distinct_by_hand():
    assert distinct([["a", "b", "a"], ["a", "b"], []], 3) == pytest.approx([2 / 5, 2 / 3, 1])
    assert distinct([[], []], 2) == [0, 0]


def test_repetition_by_hand():
    looped = ["a", "b"] * 4  # five 4-grams, two of them different
    assert repetition([looped]) == pytest.approx(1 - 2 / 5)
    assert repetition([looped, list("abcdefgh"), ["short"]]) == pytest.approx((1 - 2 / 5) / 2)
    assert repetition([["a", "b", "c"], []]) == 0


def brute_force(text, sources):
    spans = [tuple(text[i:j]) for i, j in itertools.combinations(range(len(text) + 1), 2)]
    held = {tuple(source[i:j]) for source in sources for i, j in itertools.combinations(range(len(source) + 1), 2)}
    return max((len(span) for span in spans if span in held), default=0)


def test_the_longest_copied_span_is_exact():
    mine, sources = texts(60, 2, "abcdefghij", 15), texts(30, 3, "abcdefghij", 15)
    assert longest_copied(mine, sources).tolist() == [brute_force(text, sources) for text in mine]


def test_a_span_stands_within_one_source():
    assert longest_copied([list("abcd")], [list("xab"), list("cdx")]).tolist() == [2]
    assert longest_copied([list("abcd"), [], ["z"]], [list("yabcdy")]).tolist() == [4, 0, 0]
    assert longest_copied([[]], [[]]).tolist() == [0]


def test_each_text_copies_from_its_own_source_alone():
    assert longest_in_own([list("abc"), list("abc")], [list("abc"), list("xbc")]).tolist() == [3, 2]
