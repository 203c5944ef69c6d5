"""The columns of an evaluation: a method with a baseline, and how its maps are made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_ganmex import attributions
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import OptionError
from tf_ganmex.evaluation.options import Options
from tf_ganmex.evaluation.questions import Questions
from tf_ganmex.evaluation.sources import Source, TrainingImages, digest

METHODS = tuple(attributions.__all__)
WITHOUT_BASELINE, SAMPLES = "none", "samples"
_NO_BASELINE, _SAMPLED = ("gradient",), ("expected_gradients",)
_OF_THE_EVALUATION = ("score", "seed", "batch_size")


@dataclass(frozen=True, eq=False)
class Column:
    """A method, with the baseline that it is given, or none.

    Attributes:
        method: its name in the table.
        function: its name in ``gx.attributions``.
        baseline: the name in the table: of ``source``, or ``"samples"`` (of training images) or ``"none"``.
        source: the baseline; None where the method takes none.
        options: of the method.
    """

    method: str
    function: str
    baseline: str
    source: Source | None
    options: dict[str, Any]

    def maps(self, clf: Classifier, part: Questions, images: np.ndarray | None, training: TrainingImages) -> np.ndarray:
        """Attributions (n, h, w, c) of the rows of ``part``, whose baselines are ``images``."""
        explain = getattr(attributions, self.function)
        if self.function in _SAMPLED:
            given: tuple[Any, ...] = (training.samples,)
        else:
            given = () if images is None else (images,)
        return explain(clf, part.x, part.origin, part.target, *given, **self.options)

    def fingerprint(self, against: str | None, training: TrainingImages) -> str:
        """What tells its maps, with baselines of the fingerprint ``against``, from others of the same questions."""
        if self.function in _SAMPLED:
            against = training.fingerprint
        return digest(self.function, sorted(self.options.items()), against)


def find_columns(sources: Sequence[Source], options: Options) -> list[Column]:
    """Every method with every baseline; methods that take no baseline once.

    Raises:
        OptionError: for an unknown method, or an option that it does not take.
    """
    methods, given = options.methods, options.method_options or {}
    common = {"score": options.score, "steps": options.steps, "seed": options.seed}
    functions = {name: given.get(name, {}).get("method", name) for name in (*methods, *given)}
    unknown = [name for name, function in functions.items() if function not in METHODS]
    if unknown or not methods:
        raise OptionError(
            f"Expected methods among {', '.join(METHODS)}. Received: {unknown or 'none'}. Choose among them, or say "
            "which a name of your own stands for: method_options={name: {'method': ...}}."
        )
    columns = []
    for name in dict.fromkeys(methods):
        function = functions[name]
        mine = _method_options(function, common, given.get(name, {}))
        if function in _NO_BASELINE:
            columns.append(Column(name, function, WITHOUT_BASELINE, None, mine))
        elif function in _SAMPLED:
            columns.append(Column(name, function, SAMPLES, None, mine))
        else:
            if not sources:
                raise OptionError(f"Expected a baseline for {name}. Received: none. Name one, such as zero.")
            columns += [Column(name, function, source.name, source, mine) for source in sources]
    return columns


def _method_options(method: str, common: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in given.items() if name != "method"}
    parameters = inspect.signature(getattr(attributions, method)).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    known = [name for name in names if name not in _OF_THE_EVALUATION]
    unknown = sorted(own.keys() - set(known))
    if unknown:
        raise OptionError(f"Expected options of {method} among {known}. Received: {unknown}. Leave them out.")
    return {name: value for name, value in common.items() if name in names} | own
