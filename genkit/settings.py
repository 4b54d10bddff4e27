"""The settings every recipe has, under the same names. Plain frozen dataclasses, free of torch; core validates them.

A recipe's config subclasses `RecipeConfig`, narrows its defaults and adds fields of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from genkit.bounds import ABOVE_0, AT_LEAST_0, AT_LEAST_1, AT_LEAST_2, BELOW_1, check_bounds
from genkit.schedules import Ramp, Scheduled

__all__ = [
    "AugmentPart",
    "CriticPart",
    "DatasetPart",
    "Ema",
    "GeneratorPart",
    "MetricPart",
    "Model",
    "ObjectivePart",
    "Optim",
    "Optimizer",
    "Part",
    "PenaltyParts",
    "Ramp",
    "RecipeConfig",
    "Role",
    "Scheduled",
    "Train",
]  # fmt: skip


class Part(Mapping[str, Any]):
    """A part a plugin offers, by its name in the catalog, with its options: ``{name: image.digits, held_out: 0.2}``.

    As a mapping it reads like the YAML it came from. A bare string is a part without options. Core checks the options
    against the config class the part's spec names; options that are left out take that class's defaults.
    """

    __slots__ = ("name", "options")

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.options = options

    def __getitem__(self, key: str) -> Any:
        return self.name if key == "name" else self.options[key]

    def __iter__(self) -> Iterator[str]:
        yield "name"
        yield from self.options

    def __len__(self) -> int:
        return 1 + len(self.options)

    def __repr__(self) -> str:
        return f"Part({', '.join([repr(self.name), *(f'{k}={v!r}' for k, v in self.options.items())])})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and (self.name, self.options) == (other.name, other.options)

    def __hash__(self) -> int:
        return hash((self.name, repr(sorted(self.options.items()))))

    @classmethod
    def of(cls, value: object) -> Part:
        """A part from a string, a mapping with ``name``, or a part. Raises ValueError on anything else."""
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return cls(**{str(key): option for key, option in value.items()})
        raise ValueError("expected the name of a part, or a mapping with `name` and its options")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.of, serialization=core_schema.plain_serializer_function_ser_schema(dict)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        return {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            ]
        }


@dataclass(frozen=True)
class Role:
    """Marks which list of the catalog a part is looked up in."""

    name: Literal["dataset", "generator", "critic", "objective", "penalty", "augment", "metric"]


DatasetPart = Annotated[Part, Role("dataset")]
GeneratorPart = Annotated[Part, Role("generator")]
CriticPart = Annotated[Part, Role("critic")]
ObjectivePart = Annotated[Part, Role("objective")]
MetricPart = Annotated[Part, Role("metric")]
AugmentPart = Annotated[Part, Role("augment")]
PenaltyParts = Annotated[Mapping[str, Mapping[str, Any]], Role("penalty")]
"""Penalties by name, each with its options: ``{r1: {weight: 0.5, every: 4}}``. A null value takes one out again."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """How long, how large and how the loop runs. What is counted is counted in steps: one is one generator update."""

    batch_size: int = 64
    """Samples in one update, over all devices together."""
    steps: int | None = None
    """Stop after this many steps."""
    minutes: float | None = None
    """Stop after this many minutes of training, counted over all resumptions."""
    critic_steps: int = 1
    """Critic updates before each generator update."""
    adversarial_start: int = 0
    """Until this step the generator learns from its terms alone and the critic rests."""
    critic_start: int | None = None
    """The step from which the critic learns, where that is before `adversarial_start`; null: they start together."""
    micro_batches: int = 1
    """Parts a batch is cut into to save memory; gradients are those of the whole batch."""
    samples_per_condition: int = 1
    """Draws for each condition in the generator turn, for group-relative advantages."""
    reuse_fakes: bool = False
    """Let one generator forward serve both turns (the generator then learns on latents the critic has just seen)."""
    joint_critic_pass: bool = False
    """Judge real and fake in one critic forward; refused for batch-coupled critics."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast where the hardware is fast at it (CUDA capability 8.0, AMX or AVX512-BF16), else fp32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """auto: torch.compile on CUDA where Triton and a C compiler are there, eager elsewhere."""
    deterministic: bool = False
    """Bit-equal kernels at the cost of speed: no TF32, deterministic algorithms."""
    clip_generator: float | None = None
    """Clip the generator's gradient norm to this."""
    clip_critic: float | None = None
    """Clip the critic's gradient norm to this."""
    resident: Literal["auto", "on", "off"] = "auto"
    """Keep the whole dataset on the device; auto: where it can be held, on CUDA when it takes less than a third of the
    device's free memory."""
    workers: int = 2
    """Loader processes for a dataset that is not resident; 0 reads in this process."""
    log_every: int = 50
    """Steps between log lines; the only regular moment the device is waited for."""
    preview_every: int = 500
    """Steps between previews from the run's fixed latents."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; one is always written at the end."""
    eval_every: int = 0
    """Steps between evaluations; 0 evaluates at the end only."""
    eval_samples: int = 2000
    """Generated samples in an evaluation."""
    keep: int = 3
    """Newest checkpoints kept."""
    keep_best: str | None = None
    """A metric whose best checkpoint is kept besides. A plugin's own figure counts as better when lower."""

    def __post_init__(self) -> None:
        check_bounds(
            self,
            (AT_LEAST_1, "batch_size steps critic_steps micro_batches samples_per_condition log_every keep"),
            (AT_LEAST_0, "adversarial_start critic_start workers preview_every checkpoint_every eval_every"),
            (ABOVE_0, "minutes clip_generator clip_critic"),
            (AT_LEAST_2, "eval_samples"),
        )


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Adam for one network."""

    name: Literal["adam", "adamw"] = "adam"
    """adam (Kingma and Ba 2015) or adamw (Loshchilov and Hutter 2019)."""
    lr: Scheduled = 2e-4
    """Learning rate: a number or a ramp."""
    betas: tuple[Scheduled, Scheduled] = (0.0, 0.99)
    """Decay of the first and second moment; the second is often a ramp."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    weight_decay: float = 0.0
    """L2 (adam) or decoupled (adamw) weight decay."""

    def __post_init__(self) -> None:
        check_bounds(self, (AT_LEAST_0, "lr eps weight_decay"), (BELOW_1, "betas"))


@dataclass(frozen=True, kw_only=True)
class Optim:
    """One optimiser for each of the two networks."""

    generator: Optimizer = field(default_factory=Optimizer)
    """The generator's optimiser."""
    critic: Optimizer = field(default_factory=Optimizer)
    """The critic's optimiser."""


@dataclass(frozen=True, kw_only=True)
class Ema:
    """The exponential moving average of the generator's weights, which is what samples are drawn from."""

    half_life: Scheduled | None = 10_000.0
    """Samples after which a weight's share in the average has halved; null keeps no average."""
    rampup: float | None = 0.05
    """Early on, the half-life is at most this share of the samples seen (Karras et al. 2020); null: no limit."""

    def __post_init__(self) -> None:
        # A ramp may begin at 0, where the average is the network itself.
        check_bounds(
            self, (AT_LEAST_0 if isinstance(self.half_life, Ramp) else ABOVE_0, "half_life"), (ABOVE_0, "rampup")
        )


@dataclass(frozen=True, kw_only=True)
class Model:
    """The two players."""

    generator: GeneratorPart
    """The network that makes samples."""
    critic: CriticPart
    """The network that tells them from real ones."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A dataset by itself, as ``genkit data`` is told it."""

    data: DatasetPart
    """What is looked at or laid out."""


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """What every recipe's config holds."""

    preset: str | None = None
    """Named values of the recipe that are laid over its defaults before the config file and ``--set``."""
    data: DatasetPart
    """What to learn from."""
    model: Model
    """The two players."""
    objective: ObjectivePart = Part("rpgan")
    """The adversarial loss."""
    penalties: PenaltyParts = field(default_factory=dict)
    """Gradient and other penalties of the critic, by name."""
    augment: AugmentPart | None = None
    """Augmentation of what the critic sees, real and generated alike."""
    train: Train = field(default_factory=Train)
    """How long, how large and how the loop runs."""
    optim: Optim = field(default_factory=Optim)
    """One optimiser for each network."""
    ema: Ema = field(default_factory=Ema)
    """The average of the generator's weights."""
    metrics: tuple[MetricPart, ...] = ()
    """What an evaluation measures."""
    preview: int = 64
    """Samples in a preview."""

    def __post_init__(self) -> None:
        check_bounds(self, (AT_LEAST_1, "preview"))
