"""The benchmark of drums in miniature. What it measures at this size means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

SCRIPT = Path(__file__).parents[3] / "tests" / "benchmarks" / "drums.py"
SMALL = (
    "data.length=4096", "data.speeds=[1.0, 1.04]", "data.held_out=0.1", "metrics=[]", "preview=6", "train.batch_size=4",
    "model.generator.width=8", "model.generator.hidden=8", "model.critic.width=8", "model.critic.layers=3",
)  # fmt: skip


def test_drums_are_trained_sampled_and_judged_beside_real_ones(tmp_path):
    if not SCRIPT.exists():
        pytest.skip("the benchmarks are in the repository, not in the package")
    options = [part for one in SMALL for part in ("--set", one)]
    ended = subprocess.run(
        [
            sys.executable,
            SCRIPT,
            "--minutes",
            "0.01",
            "--threads",
            "1",
            "--repeats",
            "1",
            "--out",
            tmp_path,
            "--json",
            *options,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    found = json.loads(line)
    beside, (trial,) = found["beside"], found["trials"]
    assert beside["floor"] < found["frechet"]
    assert beside["one_clip_lowest"] <= beside["one_clip"]
    assert found["share_of_one_clip"] == pytest.approx(found["frechet"] / beside["one_clip"])
    assert beside["label_agreement_of_clips"] > 0.5
    assert set(trial["agreement_by_class"]) == {"cymbal", "kick", "perc", "snare", "tabla", "tom"}
    assert trial["frechet_held_out"] > 0
    assert {"machine", "protocol"} <= set(found)
    kicks = sorted((tmp_path / "seed-0" / "kick").glob("*.wav"))
    assert len(kicks) == 16
    assert soundfile.info(kicks[0]).samplerate == 22_050
    assert {"samples.png", "clips.png", "run"} <= {path.name for path in (tmp_path / "seed-0").iterdir()}
