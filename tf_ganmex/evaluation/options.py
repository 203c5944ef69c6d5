"""What an evaluation can be told."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import check_count
from tf_ganmex.classifier.classifier import check_score
from tf_ganmex.errors import LabelError, OptionError
from tf_ganmex.files import check_folder

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
        """OptionError for numbers out of range, what are no names, and a folder that cannot be written to."""
        check_names(self.methods, "methods", f"names, such as {list(DEFAULT_METHODS[:2])}")
        check_names(self.metrics, "metrics", f"names, such as {list(DEFAULT_METRICS[:2])}")
        if self.baselines is not None:
            example = f"names, such as {list(DEFAULT_BASELINES)}, or a dict {{name: baseline}}"
            check_names(self.baselines, "baselines", example)
        if isinstance(self.targets, bool) or not isinstance(self.targets, str | int | np.integer):
            raise LabelError(
                f"Expected targets to be 'random', 'all', or one class. Received: targets of type "
                f"{type(self.targets).__name__}. Evaluate once for each class."
            )
        if self.folder is not None:
            check_folder(self.folder, "folder")
        check_score(self.score)
        check_count(self.seed, "seed", 0)
        for name in ("steps", "monotonicity_draws", "edge_width"):
            check_count(getattr(self, name), name)
        for name in ("limit", "monotonicity_images", "block_size"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)


def check_names(value: Any, name: str, expected: str) -> None:
    """OptionError unless ``value`` is a collection of strings."""
    if isinstance(value, str) or not isinstance(value, Collection):
        received = f"{name}={value!r}" if isinstance(value, str) else f"{name} of type {type(value).__name__}"
        raise OptionError(f"Expected {name} to be {expected}. Received: {received}. Pass a list, also of one.")
    others = [each for each in value if not isinstance(each, str)]
    if others:
        kind = type(others[0]).__name__
        raise OptionError(f"Expected {name} to be {expected}. Received: one of type {kind}. Pass its name.")
