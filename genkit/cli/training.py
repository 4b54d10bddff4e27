"""``genkit run`` and ``genkit resume``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from genkit.cli.completion import complete_recipe
from genkit.errors import UsageError

tracker_option = click.option(
    "--tracker",
    "trackers",
    multiple=True,
    metavar="NAME",
    help="Tell tensorboard, wandb, mlflow or trackio too; may be repeated.",
)
no_report_option = click.option("--no-report", is_flag=True, help="Do not keep RUN/report.html up to date.")


@click.command()
@click.argument("recipe", shell_complete=complete_recipe)
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file laid over the recipe's defaults.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Set a config key; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="The run directory. Default: runs/<recipe>-<utc>-<id>.")
@click.option("--steps", type=click.IntRange(min=1), help="Stop after this many steps.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this many minutes of training."
)
@click.option("--seed", type=int, help="Every random number follows from it. Default: the --config file's, else 0.")
@click.option("--device", help="cpu, cuda, cuda:1, mps. Default: the machine's accelerator.")
@click.option("--nproc", type=click.IntRange(min=1), help="Train with this many processes on this machine.")
@click.option(
    "--resume",
    default="never",
    show_default=True,
    metavar="auto|never|PATH",
    help="auto: go on with what --out holds, if anything. PATH: with a run or checkpoint.",
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON line on stdout.")
@tracker_option
@no_report_option
@click.option("--dry-run", is_flag=True, help="Resolve the config, print it and stop.")
def run(
    recipe: str,
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    steps: int | None,
    minutes: float | None,
    seed: int | None,
    device: str | None,
    nproc: int | None,
    resume: str,
    as_json: bool,
    trackers: tuple[str, ...],
    no_report: bool,
    dry_run: bool,
) -> None:
    """Train a recipe."""
    from genkit.catalog import catalog
    from genkit.runs import check_place
    from genkit.trackers import check_trackers

    spec = catalog().recipe(recipe)  # an unknown recipe is told before torch is imported
    if dry_run:
        from genkit.config import resolve_config, to_yaml

        limits = {} if steps is None and minutes is None else {"train.steps": steps, "train.minutes": minutes}
        resolved = resolve_config(spec, files=[config] if config else [], values=limits, overrides=overrides)
        click.echo(to_yaml(resolved), nl=False)
        return
    check_trackers(trackers)
    check_place(out, resume)
    if nproc is not None and "WORLD_SIZE" not in os.environ:
        sys.exit(_launch(nproc, recipe, out, resume))
    from genkit import session
    from genkit.cli.progress import progress

    result = session.run(
        recipe,
        steps=steps,
        minutes=minutes,
        seed=seed,
        device=device,
        out=out,
        config=config,
        overrides=overrides,
        resume=resume,
        observers=[progress()],
        trackers=trackers,
        report=not no_report,
    )
    _report(result, as_json)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), help="A new end, in steps from the run's beginning.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="A new end, in minutes from the beginning."
)
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option(
    "--set", "overrides", multiple=True, metavar="K=V", help="Set a key that does not change the mathematics."
)
@click.option("--device", help="cpu, cuda, cuda:1, mps. Default: the machine's accelerator.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON line on stdout.")
@tracker_option
@no_report_option
def resume(
    run: Path,
    steps: int | None,
    minutes: float | None,
    checkpoint: str,
    overrides: tuple[str, ...],
    device: str | None,
    as_json: bool,
    trackers: tuple[str, ...],
    no_report: bool,
) -> None:
    """Go on with a run, bit-equal to one that never stopped."""
    from genkit import session
    from genkit.cli.progress import progress

    result = session.resume(
        run,
        steps=steps,
        minutes=minutes,
        checkpoint=checkpoint,
        overrides=overrides,
        device=device,
        observers=[progress()],
        trackers=trackers,
        report=not no_report,
    )
    _report(result, as_json)


def _launch(processes: int, recipe: str, out: Path | None, resume: str) -> int:
    """Start this same command in several processes, which agree on one run directory."""
    from genkit.runs import fresh_path
    from genkit.training.distributed import launch

    arguments = list(sys.argv[1:])
    if out is None and resume == "never":
        arguments += ["--out", str(fresh_path(recipe))]
    return launch(processes, arguments)


def _report(result: object, as_json: bool) -> None:
    from genkit.session import RunResult

    assert isinstance(result, RunResult)
    if int(os.environ.get("RANK", "0")) != 0:
        return
    if not as_json:
        click.echo(f"run      {result.run}")
        if result.preview:
            click.echo(f"preview  {result.preview}")
        for score in result.scores:
            click.echo(f"metric   {score}")
    else:
        described = {
            "run": str(result.run),
            "step": result.step,
            "seconds": round(result.seconds, 3),
            "metrics": result.metrics,
            "scores": {
                score.name: {"value": score.value, "floor": score.floor, "better": score.better}
                for score in result.scores
            },
        }
        click.echo(json.dumps(described))


__all__ = ["UsageError", "resume", "run"]
