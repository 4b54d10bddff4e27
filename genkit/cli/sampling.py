"""``genkit sample`` and ``genkit eval``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from genkit.errors import UsageError

if TYPE_CHECKING:
    from genkit.inference import Sampler
    from genkit.interfaces import Batch


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=1), default=16, show_default=True, help="How many samples.")
@click.option("--seed", type=int, default=0, show_default=True, help="Sample i of a seed is always the same.")
@click.option("--condition", "conditions", multiple=True, metavar="K=V", help="What to ask for, such as label=7.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory for one file a sample. Default: RUN/samples/drawn."
)
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
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def sample(
    run: Path,
    count: int,
    seed: int,
    conditions: tuple[str, ...],
    out: Path | None,
    array: Path | None,
    checkpoint: str,
    weights: Literal["average", "raw"],
    device: str | None,
    as_json: bool,
) -> None:
    """Draw samples from a run."""
    from genkit.inference import load

    asked = _conditions(conditions)
    sampler = load(run, checkpoint=checkpoint, weights=weights, device=device)
    batch = sampler.sample(count, seed=seed, condition=asked or None)
    written: dict[str, Any] = {}
    if array is not None:
        _write_array(array, sampler, batch)
        written["array"] = str(array)
    if out is not None or array is None:
        directory = out or run / "samples" / "drawn"
        written["files"] = [str(path) for path in sampler.write(batch, directory)]
    if as_json:
        click.echo(json.dumps(written))
        return
    for path in [*written.get("files", []), *([written["array"]] if "array" in written else [])]:
        click.echo(path)


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--count", type=click.IntRange(min=2), help="Generated samples. Default: the config's train.eval_samples."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which samples are drawn, which reals are chosen.")
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option("--device", help="cpu, cuda, cuda:1, mps. Default: the machine's accelerator.")
@click.option("--json", "as_json", is_flag=True, help="Print value, floor and protocol of each metric as JSON.")
def evaluate(run: Path, count: int | None, seed: int, checkpoint: str, device: str | None, as_json: bool) -> None:
    """Measure a run against held-out data."""
    from genkit import session

    scores = session.evaluate(run, count=count, seed=seed, checkpoint=checkpoint, device=device)
    if as_json:
        click.echo(json.dumps({"run": str(run), "metrics": {score.name: score.as_json() for score in scores}}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "value", "real against real", "better", box=None)
    for score in scores:
        floor = "none" if score.floor is None else f"{score.floor:.4g}"
        table.add_row(score.title, f"{score.value:.4g}", floor, score.better)
    console = Console()
    console.print(table)
    for protocol in {json.dumps(score.protocol, sort_keys=True, default=str): score for score in scores}:
        console.print(f"protocol {protocol}", soft_wrap=True, highlight=False, markup=False)


def _conditions(given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise UsageError(f"{one!r} is no condition", where="--condition", fix="write it as KEY=VALUE")
        pairs[key] = value
    return pairs


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
