"""The options of a GANMEX, checked once and written beside its weights; and those of the published runs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from tf_ganmex.errors import OptionError
from tf_ganmex.gan.losses import check_adversarial
from tf_ganmex.gan.networks import DiscriminatorSizes, GeneratorSizes

DTYPES = ("float32", "mixed_bfloat16")
CLASS_DISCRIMINATORS = ("classifier", "joint")
# One step of each network on the same batch, from one pass of the generator.
JOINT = "joint"
Schedule = str | tuple[int, int]

# The run that the published evaluation scripts name for MNIST and apple2orange: cw100_sw20_rw10.
PUBLISHED_CLASSIFICATION_WEIGHT = 100.0
PUBLISHED_SIMILARITY_WEIGHT = 20.0
PUBLISHED_RECONSTRUCTION_WEIGHT = 10.0
PUBLISHED_GRADIENT_PENALTY_WEIGHT = 10.0


@dataclass(frozen=True, kw_only=True)
class GANMEXOptions:
    """Everything but the classifier that decides how a GANMEX is built and trained; see `GANMEX`."""

    classification_weight: float = PUBLISHED_CLASSIFICATION_WEIGHT
    similarity_weight: float = PUBLISHED_SIMILARITY_WEIGHT
    reconstruction_weight: float = PUBLISHED_RECONSTRUCTION_WEIGHT
    gradient_penalty_weight: float = PUBLISHED_GRADIENT_PENALTY_WEIGHT
    adversarial: str = "wasserstein"
    class_discriminator: str = "classifier"
    schedule: Schedule = JOINT
    filters: int = 64
    blocks: int = 6
    down_sampling: bool = True
    up_sampling: str = "transposed"
    last_down_norm: bool = False
    discriminator_filters: int = 64
    discriminator_smallest_side: int = 3
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Turn numbers into Python's own, and raise OptionError for a value that cannot be."""
        check_adversarial(self.adversarial)
        for name in ("classification_weight", "similarity_weight", "reconstruction_weight", "gradient_penalty_weight"):
            object.__setattr__(self, name, _weight(name, getattr(self, name)))
        smallest = {"filters": 1, "blocks": 0, "discriminator_filters": 1, "discriminator_smallest_side": 2, "seed": 0}
        for name, least in smallest.items():
            object.__setattr__(self, name, _integer(name, getattr(self, name), least))
        object.__setattr__(self, "schedule", _schedule(self.schedule))
        for name, choices in (("class_discriminator", CLASS_DISCRIMINATORS), ("dtype", DTYPES)):
            if getattr(self, name) not in choices:
                raise OptionError(
                    f"Expected {name} to be one of {', '.join(map(repr, choices))}. "
                    f"Received: {name}={getattr(self, name)!r}. {_HINTS[name]}"
                )
        _ = self.generator_sizes  # checks the variants against each other

    @property
    def generator_sizes(self) -> GeneratorSizes:
        """What `build_generator` is to build."""
        return GeneratorSizes(
            filters=self.filters,
            blocks=self.blocks,
            down_sampling=bool(self.down_sampling),
            up_sampling=self.up_sampling,
            last_down_norm=bool(self.last_down_norm),
        )

    def discriminator_sizes(self, num_classes: int) -> DiscriminatorSizes:
        """What `build_discriminator` is to build."""
        return DiscriminatorSizes(
            filters=self.discriminator_filters,
            smallest_side=self.discriminator_smallest_side,
            classes=num_classes if self.is_stand_alone else 0,
        )

    @property
    def is_stand_alone(self) -> bool:
        """Whether the class discriminator is trained jointly, and the classifier plays no part."""
        return self.class_discriminator == "joint"

    @property
    def updates(self) -> tuple[int, int]:
        """Updates of generator and discriminator in one step."""
        return (1, 1) if isinstance(self.schedule, str) else self.schedule

    @property
    def batches_per_step(self) -> int:
        """How many batches one step takes: one for both networks, or one for each update."""
        return 1 if self.schedule == JOINT else sum(self.updates)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as keyword arguments of `GANMEX`, in a form that JSON can hold."""
        return asdict(self) | {"schedule": self.schedule if isinstance(self.schedule, str) else list(self.schedule)}


_HINTS = {
    "class_discriminator": "'joint' is the stand-alone GAN of the ablation.",
    "dtype": "'mixed_bfloat16' is faster where the processor multiplies bfloat16.",
}


def _schedule(value: Any) -> Schedule:
    if isinstance(value, str) and value == JOINT:
        return value
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) == 2 and all(isinstance(n, (int, Integral)) and not isinstance(n, bool) and int(n) >= 1 for n in pair):
        return int(pair[0]), int(pair[1])
    raise OptionError(
        f"Expected schedule to be 'joint' or (generator updates, discriminator updates), each >= 1. "
        f"Received: schedule={value!r}. (1, 1) is the published one."
    )


def _weight(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise OptionError(
            f"Expected {name} to be a finite number >= 0. Received: {name}={value!r}. Use 0 to leave it out."
        )
    return float(value)


def _integer(name: str, value: Any, smallest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not smallest <= int(value) < 2**63:
        raise OptionError(
            f"Expected {name} to be an integer >= {smallest}. Received: {name}={value!r}. "
            "StarGAN has filters=64 and blocks=6; 32 and 3 are enough for MNIST."
        )
    return int(value)
