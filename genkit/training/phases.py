"""One iteration. The critic's turns come first, then the generator's; everything stays on the device."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from genkit.adversarial.judging import token_mask, widen
from genkit.interfaces import Draw, GeneratorTurn, Judged, Verdict
from genkit.schedules import Scheduled, value_at
from genkit.training.figures import Figures
from genkit.training.team import Part, Team


def iterate(team: Team, step: int) -> Figures:
    """Step `step`: ``critic_steps`` updates of the critic, once it plays, then one of the generator."""
    team.seed_networks(step)
    train, adversarial = team.train, step >= team.train.adversarial_start
    if step < team.critic_start:
        return generator_turn(team, step, team.parts(step, 0), adversarial=False)
    if train.reuse_fakes:
        (part,) = parts = team.parts(step, 0)
        part.fake = team.draw(part, part.batch.condition, "generator")
        return critic_turn(team, step, 0, parts) | generator_turn(team, step, parts, adversarial=adversarial)
    figures = Figures()
    for turn in range(train.critic_steps):
        figures |= critic_turn(team, step, turn, team.parts(step, turn))
    return figures | generator_turn(team, step, team.parts(step, train.critic_steps), adversarial=adversarial)


def critic_turn(team: Team, step: int, turn: int, parts: list[Part]) -> Figures:
    """Fresh reals, fakes without graph, one loss of the objective and the due penalties, one backward, one update."""
    samples, objective, updater = team.samples(step), team.experiment.objective, team.critic_updater
    due = team.penalties_due(step * team.train.critic_steps + turn)
    wanted = frozenset[str]().union(*(penalty.gradient_at for _, penalty in due))
    figures, heard = Figures(), []
    updater.zero()
    for part in parts:
        with torch.no_grad():
            fake = detached(part.fake) if part.fake else team.draw(part, part.batch.condition, "critic")
        sample = part.batch.sample if fake.target is None else fake.target
        real_judged, fake_judged = judged = team.judge_pair(part, sample, fake, wanted)
        loss = objective.critic_loss(real_judged.verdict, fake_judged.verdict)
        figures.add("loss/critic", loss)
        with team.precision.full():
            penalised = team.judge_in_full(part, sample, fake, wanted, judged)
            for name, penalty in due:
                value = penalty(*penalised, team.judge(part, name), part.random(name))
                loss = loss + penalty.every * value_at(penalty.weight, samples) * value
                figures.add(f"penalty/{name}", value)
        (loss / len(parts)).backward(inputs=updater.parameters)
        heard.append((bare(real_judged.verdict), bare(fake_judged.verdict)))
        if team.observes(step):
            observe(figures, real_judged, fake_judged, midpoint=objective.midpoint)
    team.world.mean_(updater.gradients())
    updater.schedule(samples)
    figures.report |= team.tell_augment(heard)
    return figures.mean(len(parts)).set("gradient/critic", updater.step())


def generator_turn(team: Team, step: int, parts: list[Part], *, adversarial: bool = True) -> Figures:
    """The critic frozen, one generator forward, the estimator's loss and the terms, one backward, one update, EMA."""
    experiment, samples, updater = team.experiment, team.samples(step), team.generator_updater
    terms = team.terms_due(step, adversarial=adversarial)
    draws = adversarial or any(term.needs_draw for term in terms)
    graph = (adversarial and team.estimator.pathwise) or any(term.needs_draw for term in terms)
    judges_real = adversarial and (experiment.objective.needs_real or any(term.needs_verdict for term in terms))
    figures = Figures()
    team.critic_updater.freeze(True)
    updater.zero()
    for part in parts:
        real, draw = part.grouped if adversarial else part.batch, part.fake
        if draw is None and draws:
            with nullcontext() if graph else torch.no_grad():
                draw = team.draw(part, real.condition, "generator")
        fake_verdict = real_verdict = None
        shown = draw
        if adversarial and draw is not None:
            # A view of its own, so that an estimator can tell the critic's gradient from that of the terms.
            shown = replace(draw, sample=tree_map(lambda leaf: leaf.view_as(leaf), draw.sample))
            with team.precision.autocast():
                fake_verdict = team.judge(part, "generator")(shown.sample, real.condition, draw.mask).verdict
            if judges_real:
                sample = real.sample if draw.target is None else draw.target
                with torch.no_grad(), team.precision.autocast():
                    real_verdict = team.judge(part, "real")(sample, real.condition, real.mask).verdict
        turn = GeneratorTurn(
            generator=experiment.generator,
            objective=experiment.objective,
            judge=team.judge(part, "estimator"),
            condition=real.condition,
            draw=draw,
            real=real,
            fake_verdict=fake_verdict,
            real_verdict=real_verdict,
            group=team.train.samples_per_condition if adversarial else 1,
            rng=part.random("estimator"),
            report=figures.report,
            total=team.world.total,
        )
        losses = []
        for term in terms:
            with team.precision.autocast() if term.autocast else nullcontext():
                losses.append(term_loss(term.name, term(turn), term.weight, samples, figures, every=term.every))
        if adversarial:
            with team.precision.autocast():  # a score function runs the generator once more; losses widen by themselves
                heard = team.estimator(replace(turn, draw=shown))
                losses.append(term_loss("adversarial", heard, 1.0, samples, figures))
        (torch.stack(losses).sum() / len(parts)).backward(inputs=updater.parameters)
    team.critic_updater.freeze(False)
    team.world.mean_(updater.gradients())
    updater.schedule(samples)
    figures.mean(len(parts)).set("gradient/generator", updater.step())
    team.move_average(step)
    return figures


def term_loss(
    name: str, value: Tensor, weight: Scheduled, samples: float, figures: Figures, *, every: int = 1
) -> Tensor:
    """Weigh one of the generator's losses and note its unweighted value."""
    figures.add("loss/generator" if name == "adversarial" else f"term/{name}", value)
    return every * value_at(weight, samples) * value


def bare(verdict: Verdict) -> Verdict:
    """`verdict` without its graph and without features."""
    return replace(verdict, logits=[logit.detach() for logit in verdict.logits], features=[])


def detached(draw: Draw) -> Draw:
    """`draw` without its graph."""
    return replace(draw, sample=tree_map(lambda leaf: leaf.detach(), draw.sample))


@torch.no_grad()
def observe(figures: Figures, real: Judged, fake: Judged, *, midpoint: float | None) -> None:
    """The critic's mean logits, and how often it is right: a real above the objective's midpoint and a fake below it.

    Where only differences of logits mean anything, a real above the fake it is paired with, or, where they are not as
    many, above the fakes' mean, and a fake below the reals'. Tokens that do not count are left out.
    """
    reals, real_counts = logits_of(real.verdict)
    fakes, fake_counts = logits_of(fake.verdict)
    real_mean, fake_mean = (reals * real_counts).mean(), (fakes * fake_counts).mean()
    figures.add("logit/real", real_mean)
    figures.add("logit/fake", fake_mean)
    if midpoint is None and len(reals) == len(fakes):
        both = real_counts * fake_counts
        right = ((reals > fakes) * both).mean() / both.mean().clamp(min=1e-12)
    else:
        above, below = (fake_mean, real_mean) if midpoint is None else (midpoint, midpoint)
        right = (((reals > above) * real_counts).mean() + ((fakes < below) * fake_counts).mean()) / 2
    figures.add("critic/accuracy", right)


def logits_of(verdict: Verdict) -> tuple[Tensor, Tensor]:
    """All logits, [N], and the weight of each, [N], of mean 1: 0 where a token does not count."""
    logits = [widen(logit) for logit in verdict.logits]
    masks = [token_mask(logit, verdict.mask) for logit in logits]
    counts = [
        torch.ones_like(logit) if mask is None else mask.to(logit) for logit, mask in zip(logits, masks, strict=True)
    ]
    flat, weights = (torch.cat([one.reshape(-1) for one in leaves]) for leaves in (logits, counts))
    return flat, weights / weights.mean().clamp(min=1e-12)
