"""``genkit sample`` and ``genkit eval``."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import click

from genkit.errors import PluginError, UsageError

if TYPE_CHECKING:
    from genkit.inference import Sampler
    from genkit.interfaces import Batch


class Sampling(click.Command):
    """A command that draws, with the options that plugins' generators can be told."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {option for one in own for option in one.opts} | {f"--{one.name}" for one in own}
        return [*own, *self.settings(taken)]

    def settings(self, taken: Collection[str]) -> list[click.Parameter]:
        """One option for each setting of each modality. Raises PluginError for one that is `taken`."""
        from genkit.catalog import catalog

        writers = catalog().writers
        told: dict[str, list[str]] = {}
        for modality, spec in writers.items():
            for name, text in spec.sampling.items():
                if {_option(name), f"--{name}"} & set(taken):
                    raise PluginError(
                        f"plugin `{writers.plugin(modality).name}`: its setting `{name}` can not become an option of "
                        f"`genkit {self.name}`, which has {_option(name)} itself",
                        where=writers.plugin(modality).source,
                        fix="call it otherwise in WriterSpec.sampling and Generator.sampling",
                    )
                told.setdefault(name, []).append(f"{text} ({modality})")
        return [
            click.Option([_option(name), name], type=float, help=" ".join(texts))
            for name, texts in sorted(told.items())
        ]


@click.command(cls=Sampling)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help="How many samples; with --conditions, how many for each. Default: 16; with --conditions 1, and one for each "
    "condition where it alone decides the sample, as with a vocoder.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Sample i of a seed is always the same.")
@click.option(
    "--condition", "conditions", multiple=True, metavar="K=V", help="What to ask for, such as label=7; may be repeated."
)
@click.option(
    "--conditions",
    "listed",
    type=click.File("rb"),
    metavar="FILE",
    help='JSON lines, each what to ask for, such as {"label": "7"}; - reads standard input.',
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory for the samples' files. Default: standard output for text, else RUN/samples/drawn.",
)
@click.option("--format", "kind", metavar="KIND", help="The kind of the files, such as flac for audio.")
@click.option("--array", type=click.Path(path_type=Path), help="Write an npz: samples, condition.")
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option(
    "--weights",
    type=click.Choice(["average", "raw"]),
    default="average",
    show_default=True,
    help="The EMA, or the generator as trained.",
)
@click.option("--device", help="cpu, cuda, cuda:1, mps. Default: the machine's accelerator.")
@click.option("--json", "as_json", is_flag=True, help="Print the samples, or what was written, as JSON.")
def sample(
    run: Path,
    count: int | None,
    seed: int,
    conditions: tuple[str, ...],
    listed: BinaryIO | None,
    out: Path | None,
    kind: str | None,
    array: Path | None,
    checkpoint: str,
    weights: Literal["average", "raw"],
    device: str | None,
    as_json: bool,
    **settings: float | None,
) -> None:
    """Draw samples from a run."""
    from genkit.inference import load

    asked = asked_for(conditions)
    if listed is not None:
        each, rows = count or 1, _listed(listed)
        twice = ", ".join(sorted(set(asked) & set(rows[0])))
        if twice:
            raise UsageError(f"both --condition and --conditions say {twice}", fix="leave it out of one of them")
        asked |= {key: [row[key] for row in rows for _ in range(each)] for key in rows[0]}
        count = each * len(rows)
    sampler = load(run, checkpoint=checkpoint, weights=weights, device=device)
    if kind is not None and sampler.writer is not None:
        sampler.writer.of_kind(kind)  # raises before anything is drawn
    if count is None:
        several = [len(values) for values in asked.values() if isinstance(values, list)]
        count = 16 if sampler.random or not asked else max(several, default=1)
    condition = sampler.condition(asked or None, count)
    started = time.perf_counter()
    batch = sampler.draw(0, count, seed, condition, **_told(settings)).map(lambda leaf: leaf.cpu())
    drawn_in = time.perf_counter() - started
    lines = sampler.writer.lines(batch) if sampler.writer is not None else None
    if lines is not None and out is None and array is None:
        for line in lines:
            click.echo(json.dumps(line, ensure_ascii=False) if as_json else list(line.values())[-1])
        return
    played = sampler.writer.seconds(batch) if sampler.writer is not None else None
    written: dict[str, Any] = {}
    if played is not None:
        speed = played / drawn_in
        written |= {"seconds": played, "drawn_in_seconds": drawn_in, "times_real_time": speed}
        click.echo(f"{played:.2f} s drawn in {drawn_in:.2f} s: {speed:.3g} times real time", err=True)
    if array is not None:
        _write_array(array, sampler, batch)
        written["array"] = str(array)
    if out is not None or kind is not None or array is None:
        directory = out or run / "samples" / "drawn"
        written["files"] = [str(path) for path in sampler.write(batch, directory, kind=kind)]
    if as_json:
        click.echo(json.dumps(written))
        return
    for path in [*written.get("files", []), *([written["array"]] if "array" in written else [])]:
        click.echo(path)


@click.command("eval", cls=Sampling)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--count", type=click.IntRange(min=2), help="Generated samples. Default: the config's train.eval_samples."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which samples are drawn, which reals are chosen.")
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option("--device", help="cpu, cuda, cuda:1, mps. Default: the machine's accelerator.")
@click.option("--json", "as_json", is_flag=True, help="Print value, floor and protocol of each metric as JSON.")
def evaluate(
    run: Path,
    count: int | None,
    seed: int,
    checkpoint: str,
    device: str | None,
    as_json: bool,
    **settings: float | None,
) -> None:
    """Measure a run against held-out data."""
    from genkit import scoring

    scores = scoring.evaluate(run, count=count, seed=seed, checkpoint=checkpoint, device=device, **_told(settings))
    if as_json:
        click.echo(json.dumps({"run": str(run), "metrics": {score.name: score.as_json() for score in scores}}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "value", "real against real", "better", box=None)
    for score in scores:
        floor = "none" if score.floor is None else f"{score.floor:.4g}"
        table.add_row(score.title, f"{score.value:.4g}", floor, "as real" if score.better == "real" else score.better)
    console = Console()
    console.print(table)
    for protocol in {json.dumps(score.protocol, sort_keys=True, default=str): score for score in scores}:
        console.print(f"protocol {protocol}", soft_wrap=True, highlight=False, markup=False)


def asked_for(given: tuple[str, ...]) -> dict[str, Any]:
    """What ``--condition`` asks for; a key that is given several times has a list."""
    asked: dict[str, list[str]] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise UsageError(f"{one!r} is no condition", where="--condition", fix="write it as KEY=VALUE")
        asked.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in asked.items()}


def _option(name: str) -> str:
    """The option of a setting."""
    return f"--{name.replace('_', '-')}"


def _told(settings: Mapping[str, float | None]) -> dict[str, float]:
    """The settings that were given."""
    return {name: value for name, value in settings.items() if value is not None}


def _listed(file: BinaryIO) -> list[dict[str, Any]]:
    """The conditions of a file of JSON lines. Raises UsageError naming the line that is wrong."""
    rows: list[dict[str, Any]] = []
    name, number = getattr(file, "name", "<stdin>"), 0
    try:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            row = json.loads(line.decode())
            if not isinstance(row, dict) or not row:
                raise UsageError("expected an object of conditions", where=f"{name}:{number}")
            if rows and set(row) != set(rows[0]):
                wanted = ", ".join(rows[0])
                raise UsageError(f"this line gives {', '.join(row)}, the first {wanted}", where=f"{name}:{number}")
            rows.append(row)
    except json.JSONDecodeError as error:
        raise UsageError(f"this is no JSON: {error}", where=f"{name}:{number}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"byte {error.start} of this line is no UTF-8", where=f"{name}:{number}") from error
    if not rows:
        raise UsageError("there is no condition in it", where=name)
    return rows


def _write_array(path: Path, sampler: Sampler, batch: Batch) -> None:
    import numpy as np
    from torch.utils._pytree import tree_leaves

    leaves = [leaf.numpy() for leaf in tree_leaves(batch.sample)]
    arrays: dict[str, Any] = {"samples": leaves[0]} | {f"samples_{i}": leaf for i, leaf in enumerate(leaves[1:], 1)}
    if batch.mask is not None:
        arrays["mask"] = batch.mask.numpy()
    if batch.condition is not None and sampler.conditions is not None:
        described = sampler.conditions.describe(batch.condition)
        named = described if isinstance(described, dict) else {"": described}
        arrays |= {f"condition_{key}" if key else "condition": value for key, value in named.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
