"""The Python of the README runs, on a net of the recipe's smoke test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import soundfile

import genkit
from genkit.catalog import catalog

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_that_is_shown_runs(block, save, noise, tmp_path, monkeypatch):
    save("speech.wav", noise(40_000), 22_050)
    monkeypatch.chdir(tmp_path)
    run = genkit.run

    def small(recipe, *, steps, **more):
        values = {**catalog().recipe(recipe).smoke, "metrics": [], **more.pop("values", {})}
        return run(recipe, steps=1, values=values, device="cpu", **more)

    monkeypatch.setattr(genkit, "run", small)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    for file in tmp_path.glob("*.wav"):
        assert soundfile.info(file).duration >= 40_000 / 22_050
    assert (tmp_path / "copy.wav").exists() or "copy.wav" not in block
