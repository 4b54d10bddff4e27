from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from genkit import ConfigError, DataError, Random
from genkit_text.data.config import JsonlConfig, LinesConfig
from genkit_text.data.files import open_jsonl, open_lines
from genkit_text.facts import TextFacts


def texts(data):
    made = data.prepare(data.resident(), rng=Random(0))
    return TextFacts.of(data.facts).text.decode_rows(made.sample, made.mask)


def lines_of(path, **options):
    return open_lines(LinesConfig(path=str(path), **{"held_out": 0.0, **options}))


def jsonl_of(path, **options):
    return open_jsonl(JsonlConfig(path=str(path), **{"held_out": 0.0, **options}))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_is_a_text(write, end):
    assert texts(lines_of(write("One.", " Two ", "Three…", end=end))) == ["One.", "Two", "Three…"]


def test_empty_lines_are_left_out_and_counted(write, capsys):
    data = lines_of(write("One.", "", "  ", "Two."))
    assert texts(data) == ["One.", "Two."]
    assert data.summary()["empty lines left out"] == 2
    assert capsys.readouterr().err == "text.lines: 2 empty lines were left out\n"


def test_lines_longer_than_a_row_are_cut_and_counted(write, capsys):
    data = lines_of(write("abcdefgh", "abc"), tokenizer="characters", length=5)
    assert texts(data) == ["abcde", "abc"]
    assert capsys.readouterr().err == "text.lines: 1 of 2 lines were longer than 5 tokens and were cut\n"


def test_a_folder_and_gzip_are_read(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "more" / "c.txt.gz").write_bytes(gzip.compress(b"third\nfourth\n"))
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbffirst\n")
    (tmp_path / "notes.md").write_text("not this")
    assert texts(lines_of(tmp_path)) == ["first", "second", "third", "fourth"]


def test_the_first_examples_can_be_taken(write):
    assert texts(lines_of(write("a", "b", "", "c", "d"), limit=3)) == ["a", "b", "c"]


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path):
    (tmp_path / "old.txt").write_bytes("one\ncaf\u00e9\n".encode("latin1"))
    with pytest.raises(DataError, match=r"old\.txt: is not UTF-8: byte 7 is 0xe9") as caught:
        lines_of(tmp_path / "old.txt")
    assert "iconv" in caught.value.fix


@pytest.mark.parametrize("opened", [lines_of, jsonl_of])
def test_a_file_that_is_not_there_is_named(opened, tmp_path):
    with pytest.raises(DataError, match=r"missing\.txt: can not be read \(No such file"):
        opened(tmp_path / "missing.txt")


def test_a_damaged_gzip_file_is_named(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"some text\n" * 100)[:30])
    with pytest.raises(DataError, match=r"cut\.gz: can not be read"):
        lines_of(tmp_path / "cut.gz")


@pytest.mark.parametrize("opened", [lines_of, jsonl_of])
def test_an_empty_file_is_refused(opened, write):
    with pytest.raises(DataError, match=r"has no lines|is empty"):
        opened(write())


def test_a_folder_without_texts_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"has no \.txt files"):
        lines_of(tmp_path)


# --- JSON Lines ------------------------------------------------------------------------------------------------------


def test_objects_with_text_are_texts(write, tmp_path):
    path = Path(write({"text": "One\nand a half.", "id": 1}, "", {"text": "Two 🙂"}))
    data = jsonl_of(path)
    assert texts(data) == ["One\nand a half.", "Two 🙂"]
    assert data.summary()["empty texts left out"] == 1
    assert "labels" not in data.facts
    (tmp_path / "data.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert texts(jsonl_of(tmp_path / "data.gz")) == texts(data)


def test_labels_are_classes_unless_they_are_not_wanted(write):
    path = write({"text": "a", "label": "sad"}, {"text": "b", "label": "glad"}, {"text": "c", "label": "sad"})
    data = jsonl_of(path)
    assert data.facts["labels"] == ["glad", "sad"]
    assert data.facts["label_counts"] == [1, 2]
    assert data.resident()["label"].tolist() == [1, 0, 1]
    assert "labels" not in jsonl_of(path, labels="none").facts


def test_labels_that_are_numbers_are_in_their_order(write):
    data = jsonl_of(write(*({"text": f"t{label}", "label": label} for label in (10, 9, 1))))
    assert data.facts["labels"] == ["1", "9", "10"]


def test_prompts_and_responses_are_pairs(write):
    data = jsonl_of(write({"prompt": "How are you?", "response": "Fine."}, {"prompt": "And now?", "response": ""}))
    assert texts(data) == ["Fine."]
    made = data.prepare(data.resident(), rng=Random(0))
    assert TextFacts.of(data.facts).text.decode_prompts(made.condition) == ["How are you?"]
    assert data.summary()["empty pairs left out"] == 1


@pytest.mark.parametrize(("first", "broken", "message"), [
    ({"text": "a"}, {"txt": "b"}, "line 3: has no 'text'; its keys are 'txt'"),
    ({"text": "a", "label": "x"}, {"text": "b"}, "line 3: has no 'label'"),
    ({"prompt": "a", "response": "b"}, {"prompt": "a"}, "line 3: has no 'response'"),
    ({"text": "a"}, {"text": None}, "line 3: 'text' is null, not a string"),
    ({"text": "a", "label": "x"}, {"text": "b", "label": 0.5}, "line 3: 'label' is 0.5, not a string"),
    ({"text": "a"}, '{"text": "b"', "line 3: is not JSON"),
    ({"text": "a"}, "[1]", "line 3: is no object"),
    ({"text": "a"}, "{}", "line 3: is no object"),
    ({"text": "a"}, '{"text": "\\ud83d"}', "line 3: 'text' holds half of a character"),
])  # fmt: skip
def test_a_broken_line_is_named_by_its_number(first, broken, message, write):
    with pytest.raises(DataError, match=rf"data\.txt, {message}"):
        jsonl_of(write(first, "", broken))


def test_pairs_and_labels_are_not_packed(write):
    with pytest.raises(ConfigError, match="texts with pairs can not be packed"):
        jsonl_of(write({"prompt": "a", "response": "b"}), pack=True)
    with pytest.raises(ConfigError, match="texts with labels can not be packed"):
        jsonl_of(write({"text": "a", "label": "b"}), pack=True)
