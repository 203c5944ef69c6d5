"""What an evaluation can be told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import check_count
from tf_ganmex.classifier.classifier import check_score

DEFAULT_METHODS = ("integrated_gradients", "expected_gradients", "deeplift", "occlusion")
DEFAULT_BASELINES = ("zero", "nearest")
DEFAULT_METRICS = ("aopc_100", "aopc_all", "gini", "faithfulness", "distance", "assigned")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of :func:`tf_ganmex.evaluate`, which says what they mean."""

    ganmex: Any = None
    methods: Sequence[str] = DEFAULT_METHODS
    baselines: Sequence[str] | Mapping[str, Any] | None = None
    metrics: Sequence[str] = DEFAULT_METRICS
    limit: int | None = None
    targets: str | int = "random"
    keep_misclassified: bool = False
    score: str = "probability"
    steps: int = 200
    method_options: Mapping[str, Mapping[str, Any]] | None = None
    monotonicity_images: int | None = 1000
    monotonicity_draws: int = 100
    relevant: Any = None
    edge_width: int = 5
    features: Callable[[np.ndarray], np.ndarray] | None = None
    seed: int = 0
    folder: str | os.PathLike[str] | None = None
    keep_maps: bool = False
    block_size: int | None = None

    def __post_init__(self) -> None:
        """OptionError for numbers out of range."""
        check_score(self.score)
        check_count(self.seed, "seed", 0)
        for name in ("steps", "monotonicity_draws", "edge_width"):
            check_count(getattr(self, name), name)
        for name in ("limit", "monotonicity_images", "block_size"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
