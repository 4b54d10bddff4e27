"""The report of runs written by hand: what the page says, what it leaves out, and how large it gets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import rundirs
from click.testing import CliRunner
from PIL import Image

import genkit
from genkit.cli.main import main
from genkit.report import BUDGET, write_report
from genkit.report.previews import every, read_previews
from genkit.report.records import read_records, thin

Make = Callable[..., Path]


def page_of(*paths: Path) -> str:
    return write_report(paths).path.read_text(encoding="utf-8")


def contents_of(page: str) -> dict[str, Any]:
    """What the page's script is given."""
    found = re.search(r'<script type="application/json" id="contents">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_a_page_is_one_file_whose_policy_forbids_every_request(make_run: Make) -> None:
    page = page_of(make_run(samples={"00000010.png": rundirs.png(8, 8)}))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in page
    assert not re.search(r'<(link|script|img)[^>]*(href|src)="(?!data:)', page)


def test_curves_have_the_rate_and_the_weighted_penalty_share(make_run: Make) -> None:
    figures = contents_of(page_of(make_run()))["figures"]
    training = {figure["name"]: figure["lines"][0] for figure in figures["training"]}
    assert list(training) == [
        "loss/critic", "loss/generator", "critic/accuracy", "penalty share", "samples per second",
    ]  # fmt: skip
    assert training["loss/critic"]["x"] == list(range(10, 101, 10))
    assert training["samples per second"]["y"] == [80.0] * 10
    # 0.5 * 2 of the penalty beside a loss of 1 + 1/10
    assert training["penalty share"]["y"][0] == pytest.approx(1 / 2.1, rel=1e-3)
    assert [figure["name"] for figure in figures["more"]] == ["penalty/r1"]


def test_a_penalty_on_a_ramp_has_the_share_of_its_moment(tmp_path: Path) -> None:
    lines = [rundirs.train_record(10), rundirs.train_record(20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ramp = {"start": 0.0, "end": 1.0, "over": 160.0, "shape": "linear"}
    share = read_records(tmp_path / "metrics.jsonl", penalties={"r1": {"weight": ramp}}).training["penalty share"]
    assert share.values == (pytest.approx(1 / 2.1, rel=1e-6), pytest.approx(2 / 3.05, rel=1e-6))


def test_metrics_stand_beside_their_floors_and_protocols(make_run: Make) -> None:
    records = []
    for step, value in ((50, 9.0), (100, 4.0)):
        records += [
            rundirs.train_record(step),
            {"step": step, "kind": "scores", "scores": [rundirs.score("lenet", value, 0.75)]},
            {"step": step, "kind": "eval", "lenet": value, "spied": 1.5},
        ]
    page = page_of(make_run(records=records))
    metrics = {figure["title"]: figure["lines"][0] for figure in contents_of(page)["figures"]["metrics"]}
    assert metrics["Fréchet distance (lenet)"]["floor"] == [0.75, 0.75]
    assert metrics["spied"]["floor"] == []
    row = re.search(r"<tr><th scope=\"row\">Fréchet distance \(lenet\)</th>(.*?)</tr>", page)
    assert row is not None
    assert re.findall(r">([^<>]+)</td>", row[1]) == ["4", "0.75", "lower"]
    assert "&#34;extractor&#34;: &#34;lenet&#34;" in page


def test_a_run_of_an_older_genkit_says_that_floors_are_missing(make_run: Make) -> None:
    path = make_run(records=[rundirs.train_record(10), {"step": 10, "kind": "eval", "frechet[lenet]": 4.0}])
    (path / "environment.json").unlink()
    (path / "status.json").unlink()
    (path / "checkpoints" / "100" / "facts.json").unlink()
    written = write_report([path])
    page = written.path.read_text(encoding="utf-8")
    assert "No floors or protocols are kept for first." in page
    assert any("environment.json" in problem for problem in written.problems)
    assert any("facts.json" in problem for problem in written.problems)


def test_config_shows_what_differs_from_the_recipe(make_run: Make) -> None:
    page = page_of(make_run())
    found = {
        key: (same == "", cells)
        for same, key, cells in re.findall(
            r'<tr((?: class="same")?)><th scope="row"><code>([^<]*)</code></th>(.*?)</tr>',
            page.split('id="settings"')[1].split('id="data"')[0],
        )
    }
    assert found["train.batch_size"][0]
    assert "<strong>8</strong>" in found["train.batch_size"][1]
    assert not found["data.name"][0]


def test_text_of_a_preview_can_not_break_out_of_the_page(make_run: Make) -> None:
    evil = b"</script><script>alert(1)</script><b>x"
    page = page_of(make_run(samples={"00000010.txt": evil, "00000020.txt": evil}))
    assert "<script>alert" not in page
    assert "<b>x" not in page


def test_what_inspect_drew_stands_below_the_preview_of_its_step(make_run: Make) -> None:
    moving = BytesIO()
    pages = [Image.effect_noise((200, 200), 80 + 40 * number) for number in range(3)]
    pages[0].save(moving, "GIF", save_all=True, append_images=pages[1:])
    assert len(moving.getvalue()) > 48 * 2**10, "larger than what stays as it is without moving"
    drawn = {
        "00000010-a-walk.gif": moving.getvalue(), "00000010.png": rundirs.png(8, 8),
        "00000020-strip.png": rundirs.png(8, 8), "00000020.png": rundirs.png(8, 8),
    }  # fmt: skip
    page = page_of(make_run(samples=drawn))
    first, last = contents_of(page)["previews"][0]
    assert [(part["name"], part.get("label")) for part in first["parts"]] == [
        ("00000010.png", None),
        ("00000010-a-walk.gif", "a walk"),
    ]
    assert first["parts"][1]["type"] == "image/gif"
    assert [part.get("label") for part in last["parts"]] == [None, "strip"]
    assert 'alt="Strip at step 20' in page


def test_what_is_in_samples_is_shown_by_its_kind(make_run: Make) -> None:
    path = make_run(
        samples={"00000010.png": rundirs.png(8, 8), "00000010.txt": b"words", "00000010.npz": b"x", "x.png": b"y"}
    )
    rundirs.write_sound(path / "samples" / "00000010.wav")
    (path / "samples" / "drawn").mkdir()
    (frame,) = contents_of(page_of(path))["previews"][0]
    assert frame["step"] == 10
    assert [(part["name"], part["kind"]) for part in frame["parts"]] == [
        ("00000010.npz", "other"), ("00000010.png", "picture"), ("00000010.txt", "text"), ("00000010.wav", "sound"),
    ]  # fmt: skip


def test_a_small_picture_stays_the_file_it_is(make_run: Make) -> None:
    picture = rundirs.png(8, 8)
    assert rundirs.embedded(page_of(make_run(samples={"00000010.png": picture})), "image/png") == [picture]


def test_a_large_picture_is_scaled_down_and_the_page_says_so(make_run: Make) -> None:
    image = pytest.importorskip("PIL.Image")
    page = page_of(make_run(samples={"00000010.png": rundirs.png(2000, 500, noisy=True)}))
    (made,) = rundirs.embedded(page, "image/webp")
    assert image.open(BytesIO(made)).size == (1600, 400)
    assert "scaled down" in page


def test_a_sound_is_embedded_without_loss(make_run: Make) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = make_run()
    rundirs.write_sound(path / "samples" / "00000010.wav", seconds=4)
    (made,) = rundirs.embedded(page_of(path), "audio/flac")
    before, _ = soundfile.read(path / "samples" / "00000010.wav", dtype="int16")
    after, rate = soundfile.read(BytesIO(made), dtype="int16")
    assert rate == 8000
    assert (before == after).all()


def test_a_thousand_previews_are_thinned_evenly_into_a_small_page(make_run: Make) -> None:
    path = make_run(
        samples={f"{step:08d}.png": rundirs.png(300, 200, seed=step % 7, noisy=True) for step in range(1000)}
    )
    written = write_report([path])
    steps = [frame["step"] for frame in contents_of(written.path.read_text(encoding="utf-8"))["previews"][0]]
    assert written.size < 25_000_000
    assert steps[0] == 0
    assert steps[-1] == 999
    assert steps[:-1] == list(range(0, 999, steps[1]))
    assert len(steps) >= 100
    assert f"{len(steps)} of 1000 previews are in this page, evenly spaced" in written.path.read_text(encoding="utf-8")


def test_previews_keep_to_their_budget_and_a_file_beyond_it_is_named(tmp_path: Path) -> None:
    for step in range(64):
        (tmp_path / f"{step}.png").write_bytes(rundirs.png(100, 100, seed=step, noisy=True))
    found = read_previews(tmp_path, budget=100_000)
    assert sum(preview.size for preview in found.shown) <= 100_000
    assert [preview.step for preview in found.shown] == [0, 16, 32, 48, 63]
    (tmp_path / "64.gif").write_bytes(bytes(60_000))
    (medium,) = read_previews(tmp_path, budget=100_000).shown[-1].media
    assert medium.note == "64.gif is too large for this page (0.1 MB)"


def test_thinning_keeps_both_ends() -> None:
    assert every([], 4) == []
    assert every([5], 1) == [5]
    assert every(list(range(10)), 4) == [0, 4, 8, 9]
    assert every(list(range(10)), 20) == [9]


def test_a_long_curve_keeps_its_lowest_and_highest_values() -> None:
    values = [0.0] * 10_000
    values[1234], values[7777] = -5.0, 9.0
    kept = list(thin(values, 800))
    assert len(kept) <= 802
    assert {0, 1234, 7777, 9999} <= set(kept)


def test_figures_that_are_not_finite_are_gaps(make_run: Make) -> None:
    page = page_of(
        make_run(records=[rundirs.train_record(10), rundirs.train_record(20, **{"loss/critic": float("nan")})])
    )
    (line,) = contents_of(page)["figures"]["training"][0]["lines"]
    assert line["y"] == [1.1, None]


def test_a_failed_run_says_how_it_ended(make_run: Make) -> None:
    path = make_run(status="failed")
    (path / "log.txt").write_text("2026-01-01T00:00:00Z failed at step 100: DivergedError: loss/critic\n")
    (path / "diverged-rank0.json").write_text(json.dumps({"step": 99, "figures": ["loss/critic"]}))
    problems = write_report([path]).problems
    assert problems[0] == "The run failed: failed at step 100: DivergedError: loss/critic"
    assert problems[1] == 'Not finite at step 99: ["loss/critic"] (diverged-rank0.json).'


def test_a_damaged_line_is_left_out_and_told(make_run: Make) -> None:
    path = make_run()
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 110, "kind": "tr\n{"step": 120, "kind"')
    written = write_report([path])
    assert "1 lines of metrics.jsonl can not be read and are left out." in written.problems
    page = written.path.read_text(encoding="utf-8")
    assert contents_of(page)["figures"]["training"][0]["lines"][0]["x"][-1] == 100


def test_a_run_whose_plugin_is_gone_has_a_report_that_says_which(make_run: Make) -> None:
    written = write_report([make_run(recipe="gone.recipe", samples={"00000010.txt": b"words"})])
    (problem,) = written.problems
    assert "there is no recipe `gone.recipe`" in problem
    assert "gone (gone-distribution 2.0)" in problem
    assert written.previews == 1
    assert "not known" in written.path.read_text(encoding="utf-8")


def test_runs_side_by_side_share_charts_and_tables(make_run: Make) -> None:
    first = make_run("first", samples={"00000010.txt": b"one", "00000020.txt": b"two"})
    second = make_run(
        "second", records=[rundirs.train_record(10), rundirs.train_record(40)], samples={"00000040.txt": b"three"}
    )
    page = page_of(first, second)
    contents = contents_of(page)
    assert contents["titles"] == ["first", "second"]
    assert [line["run"] for line in contents["figures"]["training"][0]["lines"]] == [0, 1]
    assert [[frame["step"] for frame in frames] for frames in contents["previews"]] == [[10, 20], [40]]
    assert not (second / "report.html").exists()


def test_the_command_writes_into_the_run_and_answers_in_json(make_run: Make, tmp_path: Path) -> None:
    path = make_run()
    ended = CliRunner().invoke(main, ["report", str(path), "--json"])
    answer = json.loads(ended.stdout)
    assert answer["report"] == str(path / "report.html")
    assert answer["bytes"] == (path / "report.html").stat().st_size
    assert CliRunner().invoke(main, ["report", str(path), "--out", str(tmp_path / "new" / "x.html")]).exit_code == 0
    assert (tmp_path / "new" / "x.html").is_file()
    nothing = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "is not a run directory" in nothing.stderr


def test_a_report_needs_no_torch(make_run: Make) -> None:
    code = (
        "import sys; from pathlib import Path; from genkit.report import write_report;"
        "write_report([Path(sys.argv[1])]); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(make_run())], check=False).returncode == 0


# --- while a run trains ----------------------------------------------------------------------------------------------


def train(path: Path, **more: Any) -> genkit.RunResult:
    small = {"train.batch_size": 32, "train.eval_samples": 64, "data.examples": 500, "data.held_out": 200}
    return genkit.run(
        "points.ring8", steps=2, out=path, device="cpu", values={**small, **more.pop("values", {})}, **more
    )


def test_a_run_leaves_a_report_with_floors(tmp_path: Path) -> None:
    train(tmp_path / "run", values={"train.eval_every": 1, "train.log_every": 1})
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "No floors or protocols" not in page
    metrics = contents_of(page)["figures"]["metrics"]
    assert [line["x"] for line in metrics[0]["lines"]] == [[1, 2]]
    assert ">done</span>" in page


def test_a_run_can_do_without_a_report(tmp_path: Path) -> None:
    train(tmp_path / "run", report=False)
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_report_that_can_not_be_written_costs_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("genkit.report.writer.write_report", fail)
    assert train(tmp_path / "run", values={"train.eval_every": 1}).step == 2
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("the report can not be written: OSError: the disk is full") == 1


def test_the_budget_leaves_room_below_25_megabytes() -> None:
    assert BUDGET <= 25_000_000 - 2_000_000
