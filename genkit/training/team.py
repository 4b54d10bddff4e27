"""What an iteration works on: the players, their updaters, and this rank's share of the data and of the randomness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from genkit.adversarial.judging import CriticJudge, Look, look
from genkit.experiment import Experiment
from genkit.interfaces import Batch, Draw, Estimator, Judged, Penalty, Term, Tree, Verdict
from genkit.random import Random, Rows, mix
from genkit.schedules import value_at
from genkit.settings import Train
from genkit.training.distributed import World
from genkit.training.ema import Average
from genkit.training.figures import Figures
from genkit.training.loader import Batches
from genkit.training.optimizers import Updater
from genkit.training.precision import Precision, draw_in

OBSERVE_EVERY = 10  # logits and accuracy are means over this share of the steps: ten small kernels saved on the others

__all__ = ["Figures", "Part", "Team"]


@dataclass
class Part:
    """One rank's micro-batch of one turn: its rows, its reals, its random numbers."""

    team: Team
    step: int
    turn: int
    rows: Rows
    stored: Tree
    fake: Draw | None = None
    """The draw that both turns share under ``reuse_fakes``, with its graph."""

    def random(self, purpose: str) -> Random:
        """The random source of these rows for one purpose."""
        return Random(self.team.seed_of(self.step, self.turn, purpose), self.team.precision.device, self.rows)

    @cached_property
    def batch(self) -> Batch:
        """The reals, as the critic sees them."""
        return self.team.experiment.data.prepare(self.stored, rng=self.random("data"))

    @cached_property
    def grouped(self) -> Batch:
        """The reals of the generator turn: each group of ``samples_per_condition`` rows shares its first row's."""
        group = self.team.train.samples_per_condition
        if group == 1:
            return self.batch

        return self.batch.map(lambda leaf: leaf[::group].repeat_interleave(group, 0))


@dataclass
class Team:
    """The players of an experiment, set up on a device."""

    experiment: Experiment
    estimator: Estimator
    train: Train
    seed: int
    world: World
    precision: Precision
    batches: Batches
    generator_updater: Updater
    critic_updater: Updater
    average: Average | None
    look: Look = look
    """How the critic is run; compiled where the precision asks for it."""

    @property
    def critic_start(self) -> int:
        """The step from which the critic learns."""
        early = self.train.critic_start
        return self.train.adversarial_start if early is None else early

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, which losses and penalties are computed in."""
        return self.generator_updater.parameters[0].dtype

    def seed_of(self, *words: object) -> int:
        """A seed for one purpose of one step."""
        return mix(self.seed, *words)

    def seed_networks(self, step: int) -> None:
        """Seed what the networks draw on their own account, such as dropout, on this rank."""
        seed = self.seed_of(step, "networks", self.world.rank)
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which records a stack trace for each backend
        if self.precision.device.type not in ("cpu", "meta"):
            torch.get_device_module(self.precision.device).manual_seed(seed)

    def samples(self, step: int) -> int:
        """Samples seen before step `step`: the clock of every schedule."""
        return step * self.train.batch_size

    def observes(self, step: int) -> bool:
        """True on the steps whose logits are looked at."""
        return step % min(OBSERVE_EVERY, self.train.log_every) == 0

    # --- the data's part ---------------------------------------------------------------------------------------------

    def first_batch(self, step: int) -> int:
        """The number of a step's first batch: one a turn, and one a step while the critic rests or shares its fakes."""
        resting = min(step, self.critic_start)
        each = 1 if self.train.reuse_fakes else self.train.critic_steps + 1
        return resting + (step - resting) * each

    def parts(self, step: int, turn: int) -> list[Part]:
        """The micro-batches of a turn."""
        stored = self.batches.take(self.first_batch(step) + turn)
        rows, count = self.batches.rows, self.train.micro_batches
        if count == 1:
            return [Part(self, step, turn, rows, stored)]
        size = len(rows) // count
        return [
            Part(
                self, step, turn,
                Rows(rows.start + i * size, rows.start + (i + 1) * size, rows.total),
                tree_map(lambda leaf, i=i: leaf[i * size : (i + 1) * size], stored),
            )
            for i in range(count)
        ]  # fmt: skip

    # --- the players' part -------------------------------------------------------------------------------------------

    def draw(self, part: Part, condition: Tree | None, purpose: str) -> Draw:
        """Generated samples for a part's rows, in the weights' dtype."""
        latent = self.experiment.generator.latent(len(part.rows), rng=part.random(f"latent/{purpose}"))
        with self.precision.autocast():
            draw = self.experiment.generator(latent, condition)
        return draw_in(self.dtype, draw) if self.precision.low else draw

    def judge(self, part: Part, purpose: str) -> CriticJudge:
        """The critic, with its augmentation's numbers for one purpose."""
        augment, rng = self.experiment.augment, None
        probability = 1.0
        if augment is not None:
            rng = part.random(f"augment/{purpose}")
            probability = value_at(augment.probability, self.samples(part.step))
        return CriticJudge(self.experiment.critic, augment=augment, probability=probability, rng=rng, run=self.look)

    def judge_pair(self, part: Part, sample: Tree, fake: Draw, wanted: frozenset[str]) -> tuple[Judged, Judged]:
        """The verdicts on a part's reals and fakes, with the input gradients that penalties want where this precision
        lets them share the forward."""
        shared = frozenset[str]() if self.precision.low else wanted
        batch = part.batch
        with self.precision.autocast():
            if self.train.joint_critic_pass:
                fakes = Batch(fake.sample, batch.condition, fake.mask)
                reals = Batch(sample, batch.condition, batch.mask)
                return self.judge(part, "joint").joint(reals, fakes, gradient=bool(shared))
            return (
                self.judge(part, "real")(sample, batch.condition, batch.mask, gradient="real" in shared),
                self.judge(part, "fake")(fake.sample, batch.condition, fake.mask, gradient="fake" in shared),
            )

    def judge_in_full(
        self, part: Part, sample: Tree, fake: Draw, wanted: frozenset[str], judged: tuple[Judged, Judged]
    ) -> tuple[Judged, Judged]:
        """`judged` with the wanted input gradients, by a second forward without autocast where the first had it."""
        if not self.precision.low:
            return judged
        real, made = judged
        condition = part.batch.condition
        if "real" in wanted:
            real = self.judge(part, "real")(sample, condition, part.batch.mask, gradient=True)
        if "fake" in wanted:
            made = self.judge(part, "fake")(fake.sample, condition, fake.mask, gradient=True)
        return real, made

    def penalties_due(self, update: int) -> Sequence[tuple[str, Penalty]]:
        """The penalties of the critic's `update`-th update."""
        return [(name, penalty) for name, penalty in self.experiment.penalties.items() if update % penalty.every == 0]

    def terms_due(self, step: int, *, adversarial: bool) -> Sequence[Term]:
        """The generator's terms of step `step`; those that look at the critic rest while it does."""
        due = [term for term in self.experiment.terms if step % term.every == 0]
        return [term for term in due if adversarial or not term.needs_verdict]

    @torch.no_grad()
    def tell_augment(self, heard: Sequence[tuple[Verdict, Verdict]]) -> Mapping[str, Tensor]:
        """Let the augmentation hear what the critic said in an update, and get its figures."""
        augment = self.experiment.augment
        return {} if augment is None else augment.heard(heard, self.experiment.objective, self.world.total)

    def move_average(self, step: int) -> None:
        """The EMA's update at the end of step `step`."""
        if self.average is not None:
            self.average.update(batch_size=self.train.batch_size, samples=self.samples(step + 1))
