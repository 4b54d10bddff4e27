from __future__ import annotations

import gzip
import shutil
import subprocess
import sys

import pytest

from genkit import DataError, Random
from genkit_text.data import debian
from genkit_text.data.config import DebianConfig
from genkit_text.data.debian import descriptions, open_debian_descriptions
from genkit_text.facts import TextFacts

TRANSLATION = """\
Package: zoo
Description-md5: 0
Description-en: keeper of animals
 Zoo keeps animals in their
 cages, and feeds them.
 .
 A second paragraph.

Package: zoo-dev
Description-md5: 1
Description-en: keeper of animals (development)
 Zoo keeps animals in their cages, and feeds them.

Package: inn
Description-md5: 2
Description-en: house with beds
 An inn offers:
  * beds
  * breakfast
"""
PACKAGES = (
    "Package: bare\nDescription: no long text\nHomepage: https://example.org\n\nPackage: end\nDescription: x\n y\n"
)


def test_a_stanza_gives_its_synopsis_and_its_first_paragraph():
    assert list(descriptions(TRANSLATION)) == [
        ("keeper of animals", "Zoo keeps animals in their cages, and feeds them."),
        ("keeper of animals (development)", "Zoo keeps animals in their cages, and feeds them."),
        ("house with beds", "An inn offers:"),
    ]
    assert list(descriptions(PACKAGES)) == [("x", "y")]


def _opened(folder):
    return open_debian_descriptions(DebianConfig(lists=str(folder), held_out=0))


def _pack(folder, kind):
    name = "deb_dists_main_i18n_Translation-en"
    if kind == "gz":
        (folder / f"{name}.gz").write_bytes(gzip.compress(TRANSLATION.encode()))
        return
    (folder / name).write_text(TRANSLATION)
    if kind == "lz4":
        if not shutil.which("lz4"):
            pytest.skip("the program lz4 is not installed")
        subprocess.run(["lz4", "-q", "--rm", str(folder / name), str(folder / f"{name}.lz4")], check=True)


@pytest.mark.parametrize("kind", ["plain", "gz", "lz4"])
def test_each_description_is_a_pair_once(kind, tmp_path):
    _pack(tmp_path, kind)
    (tmp_path / "deb_dists_main_binary-amd64_Packages").write_text(PACKAGES)
    data = _opened(tmp_path)
    made, text = data.prepare(data.resident(), rng=Random(0)), TextFacts.of(data.facts).text
    pairs = zip(text.decode_prompts(made.condition), text.decode_rows(made.sample, made.mask), strict=True)
    assert dict(pairs) == {
        "Zoo keeps animals in their cages, and feeds them.": "keeper of animals",
        "An inn offers:": "house with beds",
        "y": "x",
    }


def test_lists_without_descriptions_say_how_to_get_them(tmp_path):
    with pytest.raises(DataError, match="none of its 0 lists has long descriptions") as caught:
        _opened(tmp_path)
    assert caught.value.fix == "apt-get update -o Acquire::Languages=en"


def test_a_damaged_list_is_named(tmp_path, monkeypatch):
    (tmp_path / "deb_Translation-en.gz").write_bytes(b"\x1f\x8bno")
    with pytest.raises(DataError, match=r"deb_Translation-en\.gz: can not be read"):
        _opened(tmp_path)
    (tmp_path / "deb_Translation-en.gz").rename(tmp_path / "deb_Translation-en.lz4")
    with pytest.raises(DataError, match=r"deb_Translation-en\.lz4"):
        _opened(tmp_path)


def test_a_list_that_nothing_here_unpacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    monkeypatch.setattr(debian.shutil, "which", lambda _: None)
    (tmp_path / "deb_Translation-en.lz4").write_bytes(b"")
    with pytest.raises(DataError, match=r"nothing here reads \.lz4") as caught:
        _opened(tmp_path)
    assert caught.value.fix == "apt-get install lz4"
