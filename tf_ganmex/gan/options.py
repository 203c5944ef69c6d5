"""The options of a GANMEX, checked once and written beside its weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from tf_ganmex.errors import OptionError
from tf_ganmex.gan.losses import check_adversarial

DTYPES = ("float32", "mixed_bfloat16")

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
    filters: int = 64
    blocks: int = 6
    discriminator_filters: int = 64
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Turn numbers into Python's own, and raise OptionError for a value that cannot be."""
        check_adversarial(self.adversarial)
        for name in ("classification_weight", "similarity_weight", "reconstruction_weight", "gradient_penalty_weight"):
            object.__setattr__(self, name, _weight(name, getattr(self, name)))
        for name, smallest in (("filters", 1), ("blocks", 0), ("discriminator_filters", 1), ("seed", 0)):
            object.__setattr__(self, name, _integer(name, getattr(self, name), smallest))
        if self.dtype not in DTYPES:
            raise OptionError(
                f"Expected dtype to be one of {', '.join(map(repr, DTYPES))}. Received: dtype={self.dtype!r}. "
                "'mixed_bfloat16' is faster where the processor multiplies bfloat16."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the options as keyword arguments of `GANMEX`."""
        return asdict(self)


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
