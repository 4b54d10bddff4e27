from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
import tokenizers
import torch

from genkit import CheckpointError, ConfigError, DataError, UsageError
from genkit_text.tokenization import KINDS, Tokenizer, load_tokenizer, train_tokenizer

AWKWARD = 'She said, "it isn\'t \u2013 naïve!"  \t(or 漢字 🙂)\nEnd.'


@pytest.mark.parametrize("kind", KINDS)
def test_texts_come_back_as_they_were(kind, lines):
    tokenizer = train_tokenizer(kind, lines)
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_all(lines)] == lines
    assert tokenizer.encode_all(lines) == [tokenizer.encode(line) for line in lines]


def test_bytes_read_what_they_were_not_trained_on(lines):
    tokenizer = train_tokenizer("bpe", lines, 300)
    assert tokenizer.decode(tokenizer.encode(AWKWARD)) == AWKWARD
    assert 259 <= tokenizer.vocabulary <= 300


@pytest.mark.parametrize(("kind", "text", "read"), [
    ("words", "The zebra sees the (house).", "The <unk> sees the <unk> house <unk>."),
    ("characters", "The zebra.", "The <unk>ebra."),
])  # fmt: skip
def test_what_a_tokenizer_does_not_know_is_shown_as_unknown(kind, text, read, lines):
    tokenizer = train_tokenizer(kind, lines)
    assert tokenizer.decode(tokenizer.encode(text)) == read


def test_words_keep_the_most_frequent(lines):
    tokenizer = train_tokenizer("words", [*lines, "rare"], 4 + 3)
    assert tokenizer.vocabulary == 7
    assert tokenizer.decode(tokenizer.encode("The the . rare")) == "The the <unk> <unk>"
    assert tokenizer.decode(tokenizer.encode("The big the.")) == "The <unk> the."


def test_words_of_one_sentence_are_cut_at_spaces_and_marks():
    tokenizer = train_tokenizer("words", ["Don't stop; go on."])
    assert len(tokenizer.encode("Don't stop; go on.")) == 6


@pytest.mark.parametrize(
    "text",
    [
        "Don't (he said) stop-go.",
        '"\'Tis 3.14!" -- well--so...',
        "“Oh”, \u2018it\u2019s\u2019 [a_b] x+y ▁◂.",
        "(((",
        "a",
    ],
)
def test_words_are_put_together_as_they_stood(text):
    tokenizer = train_tokenizer("words", [text])
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁◂", "")


def test_a_word_is_one_token_wherever_it_stands():
    tokenizer = train_tokenizer("words", ["the house (house) house"])
    assert tokenizer.vocabulary == 4 + 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_looks_like_a_special_token_is_text(kind, lines):
    tokenizer = train_tokenizer(kind, [*lines, "<s> </s> <pad>"])
    for again in (tokenizer, Tokenizer.from_facts(tokenizer.to_facts()), pickle.loads(pickle.dumps(tokenizer))):
        ids = again.encode("</s> <s> <pad>")
        assert not {again.bos, again.eos, again.pad} & set(ids)
        assert again.decode(ids) == "</s> <s> <pad>"


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_json_and_keep_every_token(kind, lines):
    tokenizer = train_tokenizer(kind, lines)
    again = Tokenizer.from_facts(json.loads(json.dumps(tokenizer.to_facts())))
    assert again.encode_all(lines) == tokenizer.encode_all(lines)
    assert (again.bos, again.eos, again.pad, again.vocabulary) == (1, 2, 0, tokenizer.vocabulary)


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_gives_the_same(kind, lines):
    assert train_tokenizer(kind, lines).to_facts() == train_tokenizer(kind, lines).to_facts()


def test_facts_that_are_no_tokenizer_are_named():
    with pytest.raises(CheckpointError, match="can not be read"):
        Tokenizer.from_facts({"json": "{}", "bos": 1, "eos": 2, "pad": 0, "template": "{prompt}"})


@pytest.mark.parametrize(("kind", "vocabulary", "least"), [("bpe", 100, 259), ("characters", 4, 5), ("words", 4, 5)])
def test_a_vocabulary_without_room_is_refused_with_both_numbers(kind, vocabulary, least, lines):
    with pytest.raises(ConfigError, match=f"vocabulary of {vocabulary} is too small") as caught:
        train_tokenizer(kind, lines, vocabulary)
    assert str(least) in str(caught.value)


def test_rows_are_decoded_as_far_as_their_mask(words):
    ids = words.encode("The big cat.")
    row = torch.tensor([[*ids, words.eos, *ids[:2], words.pad]])
    mask = torch.arange(row.shape[1])[None] < len(ids) + 1
    assert words.decode_rows(row, mask) == ["The big cat."]
    assert words.decode_rows(row) == ["The big cat.\nThe big"]


# --- prompts ---------------------------------------------------------------------------------------------------------


def test_a_prompt_stands_at_the_end_of_its_row_before_bos(words):
    row = words.encode_prompt("The big cat.", 8)
    assert row == [words.pad] * 3 + [*words.encode("The big cat."), words.bos]
    assert words.decode_prompts(torch.tensor([row])) == ["The big cat."]


def test_a_template_stands_round_the_prompt_and_its_special_tokens_count(lines):
    plain = train_tokenizer("bpe", lines, 300)
    tokenizer = Tokenizer(plain.backend, plain.bos, plain.eos, plain.pad, "<s>Q: {prompt}</s>A:")
    row = tokenizer.prompt_tokens("a </s> b")
    assert row[0] == 1
    assert row[-1] == 1
    assert row.count(2) == 1
    assert tokenizer.decode(row) == "Q: a </s> b\nA:"
    assert tokenizer.decode_prompts(torch.tensor([tokenizer.encode_prompt("a </s> b", 40)])) == ["a </s> b"]
    again = Tokenizer.from_facts(tokenizer.to_facts())
    assert again.prompt_tokens("a </s> b") == row


def test_a_long_prompt_is_refused_with_its_number_of_tokens(words):
    with pytest.raises(UsageError, match="has 4 tokens; this model reads at most 3"):
        words.encode_prompt("The big cat.", 4)
    assert len(words.encode_prompt("The big cat.", 5)) == 5


def test_an_empty_prompt_is_refused(words):
    with pytest.raises(UsageError, match="empty"):
        words.encode_prompt(" \n", 8)


def test_a_template_without_a_place_for_the_prompt_is_refused(words):
    with pytest.raises(ConfigError, match=r"must have \{prompt\} once"):
        Tokenizer(words.backend, 1, 2, 0, "Question:")


# --- from a file -----------------------------------------------------------------------------------------------------


def test_a_tokenizer_json_is_read_with_its_usual_special_tokens(words, tmp_path, lines):
    words.backend.save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path / "tokenizer.json", tmp_path):
        found = load_tokenizer(path)
        assert (found.bos, found.eos, found.pad) == (1, 2, 0)
        assert found.encode_all(lines) == words.encode_all(lines)


def test_a_stored_truncation_and_padding_are_switched_off(words, tmp_path, lines):
    words.backend.enable_truncation(2)
    words.backend.enable_padding(length=50)
    words.backend.save(str(tmp_path / "tokenizer.json"))
    assert len(load_tokenizer(tmp_path / "tokenizer.json").encode(lines[0])) == 7


def test_a_folder_is_read_without_transformers(words, tmp_path, monkeypatch):
    words.backend.add_special_tokens(["<stop>", "<go>"])
    words.backend.save(str(tmp_path / "tokenizer.json"))
    named = {"eos_token": {"content": "<stop>"}, "bos_token": "<go>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(named))
    monkeypatch.setitem(sys.modules, "transformers", None)
    found = load_tokenizer(tmp_path)
    assert (found.eos, found.bos, found.pad) == (found.vocabulary - 2, found.vocabulary - 1, 0)


def test_a_tokenizer_without_an_end_is_refused_by_the_names_it_might_have(tmp_path):
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match=r"no token that ends a text; looked for </s>, <eos>"):
        load_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("folder", [True, False])
def test_a_path_that_is_not_there_or_broken_is_named(folder, tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        load_tokenizer(tmp_path / "missing")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match=str(tmp_path)):
        load_tokenizer(tmp_path if folder else tmp_path / "tokenizer.json")


@pytest.fixture
def chat(tmp_path, lines):
    """A transformers tokenizer with a chat template and no token for the beginning or for padding."""
    transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    backend = train_tokenizer("bpe", lines, 400).backend
    backend.encode_special_tokens = False
    backend.add_special_tokens(["<|user|>", "<|end|>"])
    model = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")
    model.save_pretrained(tmp_path)
    template = "{% for m in messages %}<|user|>{{ m['content'] }}<|end|>{% endfor %}{{ 'Answer:' }}"
    return transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path, chat_template=template), tmp_path


def test_a_models_own_tokenizer_uses_its_end_where_it_lacks_others(chat):
    model, folder = chat
    found = load_tokenizer(folder)
    assert found.eos == model.eos_token_id
    assert (found.bos, found.pad) == (found.eos, found.eos)
    assert found.encode("The big cat.") == model.encode("The big cat.", add_special_tokens=False)
    row = torch.tensor([found.encode_prompt("The big cat.", 20)])
    assert found.decode_prompts(row) == ["The big cat."]


def test_a_chat_template_is_rendered_as_the_model_does(chat):
    model, folder = chat
    model.save_pretrained(folder)
    found = load_tokenizer(folder)
    turns = [{"role": "user", "content": "The big cat."}]
    rendered = model.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|user|>The big cat.<|end|>Answer:"
    assert found.prompt_tokens("The big cat.") == model.encode(rendered, add_special_tokens=False)
    assert found.prompt_tokens("The big cat.")[-1] == found.bos
    again = Tokenizer.from_facts(found.to_facts())
    assert again.prompt_tokens("The big cat.") == found.prompt_tokens("The big cat.")
    assert again.decode_prompts(torch.tensor([again.encode_prompt("The big cat.", 40)])) == ["The big cat."]


def test_tokenization_needs_no_torch():
    code = "import sys, genkit_text.tokenization; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
