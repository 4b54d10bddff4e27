"""Runs of several variants with several seeds, and the table they make."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from genkit import ConfigError
from genkit_image.bench.protocols import Protocol

FIGURES = ("modes", "high_quality", "reverse_kl")
METRIC = "image.modes"
"""What measures them."""


@dataclass(frozen=True)
class Trial:
    """One run to make, or to go on with."""

    protocol: str
    variant: str
    recipe: str
    seed: int
    place: str
    overrides: Sequence[str] = ()
    steps: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Ended:
    """One finished run, or one that diverged."""

    trial: Trial
    steps: int
    seconds: float
    """Of training, with previews and checkpoints, without start-up and the last evaluation."""
    metrics: Mapping[str, float]
    floors: Mapping[str, float | None] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    """The protocol of its figures."""
    failed: str | None = None
    """What a run that diverged said; it has no figures."""


def planned(
    protocol: Protocol,
    variants: Mapping[str, Sequence[str]],
    seeds: Sequence[int],
    out: Path,
    *,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    steps: int | None = None,
    minutes: float | None = None,
) -> list[Trial]:
    """Each variant with each seed, every one in a directory of its own below `out`.

    Args:
        protocol: the data and the measure.
        variants: a row's name -> its settings, as ``--set`` takes them.
        seeds: of each.
        out: where the runs go.
        recipe: None is the protocol's own.
        overrides: settings of every run.
        steps, minutes: how long each trains; neither: as the config says.

    Raises ConfigError for settings by which nothing would be counted.
    """
    for one in [*overrides, *(setting for settings in variants.values() for setting in settings)]:
        key, _, value = one.partition("=")
        if key.strip() == "metrics" and METRIC not in value:
            raise ConfigError(
                f"a table is made of what {METRIC} counts, and `{one}` leaves it out",
                where="metrics",
                fix=f"leave it as it is, or add to it: --set metrics='[{METRIC}, image.frechet]'",
            )
    recipe = recipe or protocol.recipe
    shared = [f"{key}={value}" for key, value in protocol.settings.items()]
    return [
        Trial(
            protocol.name,
            name,
            recipe,
            seed,
            str(out / f"{protocol.name}-{recipe}-{name}-{seed}"),
            (*shared, *settings, *overrides),
            steps,
            minutes,
        )
        for seed in seeds
        for name, settings in variants.items()
    ]


def run_trial(trial: Trial) -> Ended:
    """Train in one thread, or take up what lies in the trial's place.

    A run that diverges costs the others nothing: it comes back as such. Raises what else `genkit.run` raises.
    """
    import torch

    import genkit

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = genkit.run(
            trial.recipe,
            steps=trial.steps,
            minutes=trial.minutes,
            seed=trial.seed,
            out=trial.place,
            overrides=trial.overrides,
            resume="auto",
        )
    except genkit.DivergedError as error:
        return Ended(trial, 0, 0.0, {}, failed=str(error))
    finally:
        torch.set_num_threads(threads)
    records = genkit.Run.open(trial.place).records()
    scores = {score.name: score for score in result.scores}
    # Those of the log, and not the result's, which a run that was done before has without its evaluation.
    seconds = max((record["seconds"] for record in records if record["kind"] == "train"), default=result.seconds)
    return Ended(
        trial,
        result.step,
        seconds,
        {name: value for name, value in result.metrics.items() if name in FIGURES},
        {name: scores[name].floor for name in FIGURES if name in scores},
        scores["modes"].protocol if "modes" in scores else {},
    )


def run_trials(
    trials: Sequence[Trial], *, jobs: int = 1, say: Callable[[str], None] = lambda line: None
) -> list[Ended]:
    """All trials, `jobs` at once, each in a process of its own where there are several; `say` hears of each."""

    def told(ended: Ended) -> Ended:
        trial = ended.trial
        if ended.failed is not None:
            say(f"{trial.protocol} {trial.variant} seed {trial.seed}: {ended.failed}")
            return ended
        figures = ", ".join(f"{name} {value:.4g}" for name, value in ended.metrics.items())
        steps = f"{ended.steps} steps, {ended.seconds:.0f} s"
        say(f"{trial.protocol} {trial.variant} seed {trial.seed}: {figures} ({steps})")
        return ended

    if jobs == 1:
        return [told(run_trial(trial)) for trial in trials]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return [told(ended) for ended in pool.map(run_trial, trials)]


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and its standard error, s/√n; None for one value."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return statistics.fmean(values), error


def summary(ended: Sequence[Ended]) -> dict[str, dict[str, float | None]]:
    """Mean, standard error, least and most of each figure over runs."""
    found: dict[str, dict[str, float | None]] = {}
    for name in FIGURES:
        values = [one.metrics[name] for one in ended if name in one.metrics]
        if values:
            mean, error = mean_and_error(values)
            found[name] = {"mean": mean, "standard_error": error, "least": min(values), "most": max(values)}
    return found


def as_json(protocol: Protocol, ended: Sequence[Ended]) -> dict[str, Any]:
    """Every run of one protocol, and each variant's summary."""
    variants = list(dict.fromkeys(one.trial.variant for one in ended))
    first = _first_whole(ended)
    return {
        "modes": protocol.modes,
        "measured": dict(first.measured),
        "floors": dict(first.floors),
        "variants": {
            name: {
                "recipe": first.trial.recipe,
                "overrides": list(next(one for one in ended if one.trial.variant == name).trial.overrides),
                "runs": [
                    {"seed": one.trial.seed, "failed": one.failed}
                    if one.failed is not None
                    else {"seed": one.trial.seed, "steps": one.steps, "seconds": round(one.seconds, 2), **one.metrics}
                    for one in ended
                    if one.trial.variant == name
                ],
                **summary([one for one in ended if one.trial.variant == name]),
            }
            for name in variants
        },
    }


def markdown(protocol: Protocol, ended: Sequence[Ended]) -> str:
    """The table: a row for each variant, for other real samples, and for what others have published."""
    graded = any("high_quality" in one.metrics for one in ended)
    first = _first_whole(ended)
    samples = first.measured.get("fake", {}).get("count")
    lines = [f"### {protocol.title}: {protocol.modes} modes", ""]
    if samples:
        lines += [f"{samples:,} samples of the averaged generator; ± one standard error over seeds.", ""]
    heads = ["", "seeds", "steps", "modes", "fewest", *(["high quality"] if graded else []), "reverse KL", "largest"]
    lines += [_row(heads), _row(["---"] * len(heads))]
    for variant in dict.fromkeys(one.trial.variant for one in ended):
        runs = [one for one in ended if one.trial.variant == variant]
        found = summary(runs)
        failed = sum(one.failed is not None for one in runs)
        steps = sorted({one.steps for one in runs if one.failed is None})
        modes, quality, divergence = (found.get(name) for name in FIGURES)
        lines.append(
            _row(
                [
                    f"{first.trial.recipe}" + ("" if variant == "recipe" else f", {variant}"),
                    f"{len(runs)}" + (f", {failed} of {len(runs)} diverged" if failed else ""),
                    " to ".join(f"{number:,}" for number in dict.fromkeys([*steps[:1], *steps[-1:]])),
                    _cell(modes, 1) if modes else "",
                    f"{modes['least']:g}" if modes else "",
                    *([_cell(quality, 1, 100, " %") if quality else ""] if graded else []),
                    _cell(divergence, 4) if divergence else "",
                    f"{divergence['most']:.4f}" if divergence else "",
                ]
            )
        )
    floors = first.floors
    if floors:
        quality_floor = floors.get("high_quality")
        share = [f"{100 * quality_floor:.1f} %" if quality_floor is not None else ""] if graded else []
        cells = [f"{floors.get('modes') or 0:g}", "", *share, f"{floors.get('reverse_kl') or 0:.4f}", ""]
        lines.append(_row(["real samples", "", "", *cells]))
    for name, their_modes, their_quality, theirs in protocol.published:
        lines.append(_row([name, "10", "", their_modes, "", *([their_quality] if graded else []), theirs, ""]))
    return "\n".join(lines) + "\n"


def _first_whole(ended: Sequence[Ended]) -> Ended:
    """The first run that has figures, where one has."""
    return next((one for one in ended if one.failed is None), ended[0])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(figure: Mapping[str, float | None], digits: int, times: float = 1.0, unit: str = "") -> str:
    mean, error = figure["mean"], figure["standard_error"]
    text = f"{times * (mean or 0.0):.{digits}f}"
    return text + ("" if error is None else f" ± {times * error:.{digits}f}") + unit
