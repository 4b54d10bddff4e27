"""A recipe beside its controls: does the adversary help? Behind ``genkit bench text``.

Each control is the same recipe, data, seed and number of steps with something else in the critic's place, so what it
gains, it gains without a critic's opinion.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from genkit import GenkitError, UsageError

CONTROLS = ("constant", "shuffled", "likelihood")
T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t at 97.5 % for 1, 2, ... degrees of freedom; 2 beyond."""
GENKIT = (sys.executable, "-m", "genkit")
ADVERSARY = "none"
"""What the setting `control` says of a run that is no control."""


@dataclass(frozen=True)
class Trial:
    """One finished run."""

    control: str
    seed: int
    steps: int
    seconds: float
    run: str
    scores: Mapping[str, Mapping[str, Any]]
    """For each figure its value, its floor and which direction is better."""


@dataclass(frozen=True)
class Comparison:
    """A recipe's runs and its controls'."""

    recipe: str
    trials: Sequence[Trial]
    overrides: Sequence[str] = field(default_factory=tuple)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order they were run."""
        return list(dict.fromkeys(trial.seed for trial in self.trials))

    @property
    def controls(self) -> list[str]:
        """The controls that were run."""
        return [name for name in dict.fromkeys(trial.control for trial in self.trials) if name != ADVERSARY]

    @property
    def figures(self) -> list[str]:
        """The figures that every run has."""
        common = set.intersection(*(set(trial.scores) for trial in self.trials))
        return [name for name in self.trials[0].scores if name in common]

    def values(self, control: str, figure: str) -> list[float]:
        """A figure's value for each seed."""
        return [trial.scores[figure]["value"] for trial in self.trials if trial.control == control]

    def merits(self, control: str, figure: str) -> list[float] | None:
        """A figure for each seed, the higher the better: itself, its negative, or minus its distance from what real
        samples get; None where that is not known."""
        merits = []
        for trial in self.trials:
            if trial.control != control:
                continue
            value, floor, better = (trial.scores[figure][key] for key in ("value", "floor", "better"))
            if better != "real":
                merits.append(value if better == "higher" else -value)
            elif floor is not None:
                merits.append(-abs(value - floor))
            else:
                return None
        return merits

    def difference(self, control: str, figure: str) -> tuple[float, float]:
        """The recipe's merits less a control's, seed by seed: mean and standard error; 0 where there are none."""
        ours, theirs = self.merits(ADVERSARY, figure), self.merits(control, figure)
        if ours is None or theirs is None:
            return 0.0, 0.0
        return mean_and_error([one - other for one, other in zip(ours, theirs, strict=True)])

    def judge(self, control: str, figure: str) -> int:
        """1 when the recipe is better than a control, -1 when it is worse, 0 when the seeds can not tell (two-sided t
        test of the paired differences at 5 %)."""
        mean, error = self.difference(control, figure)
        freedom = len(self.seeds) - 1
        if freedom < 1 or mean == 0:
            return 0
        limit = T_975[freedom - 1] if freedom <= len(T_975) else 2.0
        return 0 if abs(mean) <= limit * error else (1 if mean > 0 else -1)

    def verdict(self) -> str:
        """In words, whether the adversary helped."""
        if not self.controls:
            return "No control was run, so nothing is said of the adversary."
        if len(self.seeds) < 2:
            return "One seed: no difference can be told from chance. Run three or more: --seeds 0,1,2"
        judged = {figure: [self.judge(control, figure) for control in self.controls] for figure in self.figures}
        helped = [figure for figure, found in judged.items() if all(one > 0 for one in found)]
        hurt = [figure for figure, found in judged.items() if any(one < 0 for one in found)]
        said = []
        if helped:
            said.append(f"The adversary helped, more than every control, on: {', '.join(helped)}.")
        else:
            said.append("Nothing here shows that the adversary helped: on no figure was it better than every control.")
        if hurt:
            said.append(f"It was worse than a control on: {', '.join(hurt)}.")
        return " ".join(said)

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        summary = {}
        for control in (ADVERSARY, *self.controls):
            cells = {figure: mean_and_error(self.values(control, figure)) for figure in self.figures}
            summary[control] = {
                name: {"mean": mean, "standard_error": error if len(self.seeds) > 1 else None}
                for name, (mean, error) in cells.items()
            }
        return {
            "recipe": self.recipe,
            "overrides": list(self.overrides),
            "seeds": self.seeds,
            "summary": summary,
            "floors": {figure: self.trials[0].scores[figure]["floor"] for figure in self.figures},
            "better": {figure: self.trials[0].scores[figure]["better"] for figure in self.figures},
            "trials": [vars(trial) for trial in self.trials],
            "verdict": self.verdict(),
        }


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error, s/√n; 0 for one value."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return statistics.fmean(values), error


def compared(
    recipe: str,
    *,
    seeds: Sequence[int],
    controls: Sequence[str] = CONTROLS,
    steps: int | None = None,
    minutes: float | None = None,
    overrides: Sequence[str] = (),
    out: Path,
    jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Run a recipe and its controls, each in a process of its own with one thread.

    Args:
        recipe: one of the text plugin's.
        seeds: of each.
        controls: see `genkit_text.recipes.settings.Control`.
        steps: of each run; `minutes`: of the recipe's runs, whose controls then take as many steps. Neither: the
            recipe's own end.
        overrides: ``K=V`` as ``--set`` takes them.
        out: where the run directories go; those that are there go on where they were.
        jobs: runs at once.
        say: told each result.

    Raises GenkitError when a run fails, with what it said.
    """

    def trial(control: str, seed: int, steps: int | None, minutes: float | None) -> Trial:
        place = out / f"{recipe}-{control}-{seed}"
        command = [*GENKIT, "run", recipe, "--seed", str(seed), "--out", str(place), "--json"]
        command += ["--resume", "auto"]  # what was cut off goes on, what is done is measured
        command += ["--set", f"control={control}", *(word for one in overrides for word in ("--set", one))]
        command += ["--steps", str(steps)] if steps else ["--minutes", str(minutes)] if minutes else []
        told = _called(command, f"{recipe} with seed {seed} and control {control}")
        figures = ", ".join(f"{name} {score['value']:.4g}" for name, score in told["scores"].items())
        say(f"{recipe} control={control} seed={seed} steps={told['step']} seconds={told['seconds']:.0f}: {figures}")
        return Trial(control, seed, told["step"], told["seconds"], told["run"], told["scores"])

    with ThreadPoolExecutor(jobs) as pool:
        first = list(pool.map(lambda seed: trial(ADVERSARY, seed, steps, minutes), seeds))
        wanted = [(control, one) for one in first for control in controls]
        rest = list(pool.map(lambda pair: trial(pair[0], pair[1].seed, pair[1].steps, None), wanted))
    return Comparison(recipe, [*first, *rest], tuple(overrides))


def _called(command: Sequence[str], what: str) -> dict[str, Any]:
    """What a command of one thread says in JSON. Raises GenkitError when it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ended.returncode:
        raise GenkitError(f"{what} failed: {' '.join(ended.stderr.strip().splitlines()[-3:])}")
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


# --- the command -----------------------------------------------------------------------------------------------------


@click.command()
@click.argument("recipe", default="text.sentences")
@click.option("--seeds", default="0,1,2", show_default=True, help="Seeds, separated by commas.")
@click.option("--controls", default=",".join(CONTROLS), show_default=True, help="What to compare with.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps of each run.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Minutes of each run of the recipe; its controls take as many steps.",
)
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Set a config key, as for genkit run.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/bench-text"),
    show_default=True,
    help="For the runs; those there go on.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at once, a thread each.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def compare(
    recipe: str,
    seeds: str,
    controls: str,
    steps: int | None,
    minutes: float | None,
    overrides: tuple[str, ...],
    out: Path,
    jobs: int,
    as_json: bool,
) -> None:
    """A text recipe beside its controls: does the adversary help?

    Each control is the same run with a constant reward, with the rewards of other rows, or with likelihood alone.
    """
    if steps is not None and minutes is not None:
        raise UsageError("both --steps and --minutes say how long to train", fix="give one of them")
    found = compared(
        recipe,
        seeds=_seeds(seeds),
        controls=_controls(controls),
        steps=steps,
        minutes=minutes,
        overrides=overrides,
        out=out,
        jobs=jobs,
        say=lambda line: click.echo(line, err=True),
    )
    if as_json:
        click.echo(json.dumps(found.as_json()))
        return
    _print(found)


def _print(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    names = (ADVERSARY, *found.controls)
    heads = ["adversary" if name == ADVERSARY else name for name in names]
    table = Table("figure", *heads, "real against real", "better", box=None)
    first = found.trials[0].scores
    for figure in found.figures:
        cells = []
        for name in names:
            mean, error = mean_and_error(found.values(name, figure))
            cells.append(f"{mean:.4g} ± {error:.2g}" if len(found.seeds) > 1 else f"{mean:.4g}")
        floor = first[figure]["floor"]
        table.add_row(figure, *cells, "" if floor is None else f"{floor:.4g}", first[figure]["better"])
    console = Console(width=max(100, Console().width))
    console.print(table)
    steps = ", ".join(str(step) for step in dict.fromkeys(trial.steps for trial in found.trials))
    console.print(f"{found.recipe}; seeds {', '.join(map(str, found.seeds))}; steps {steps}; ± one standard error")
    console.print(found.verdict(), highlight=False)


def _seeds(given: str) -> list[int]:
    try:
        seeds = [int(one) for one in given.split(",")]
    except ValueError as error:
        raise UsageError(f"{given!r} are no seeds", where="--seeds", fix="write them as 0,1,2") from error
    if len(set(seeds)) != len(seeds):
        raise UsageError("a seed is given twice", where="--seeds")
    return seeds


def _controls(given: str) -> list[str]:
    chosen = [one for one in given.split(",") if one]
    unknown = [one for one in chosen if one not in CONTROLS]
    if unknown:
        raise UsageError(
            f"there is no control {', '.join(unknown)}", where="--controls", fix=f"choose of {', '.join(CONTROLS)}"
        )
    return chosen
