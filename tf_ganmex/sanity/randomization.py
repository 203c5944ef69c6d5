"""Classifiers with randomized layers: cascading from the output to the input, or one layer at a time."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from tf_ganmex.attributions.problem import check_count
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import OptionError
from tf_ganmex.sanity.initial import Initializers, is_statistic
from tf_ganmex.sanity.layers import Layer, layers_of

MODES = ("norm", "reinitialize")
Stage = tuple[str, Classifier]


def cascading_randomization(
    clf: Classifier, *, mode: str = "norm", layers: Sequence[str] | None = None, seed: int = 0
) -> Iterator[Stage]:
    """Classifiers whose layers are randomized one after another, from the output to the input, and stay randomized.

    ``"norm"`` is the form published for GANMEX: every weight tensor, biases included, becomes Gaussian noise scaled to
    the L2 norm of the tensor that it replaces. The moving mean and variance of a batch normalization stay as they are:
    they are statistics of data and not learnt, and a Gaussian variance would be negative.

    ``"reinitialize"`` is the form of Adebayo et al.: every variable, moving statistics included, starts anew from its
    layer's initializer. The initializers are those of the Keras model. Where there is none (a SavedModel, a callable),
    matrices and kernels get Keras's default, Glorot's uniform draw from the fan-in and fan-out of the tensor; vectors
    become 1 where they scale and 0 where they shift.

    Args:
        clf: the classifier.
        mode: ``"norm"`` or ``"reinitialize"``.
        layers: the stages, in this order: names of layers (see :func:`layers_of`), or patterns such as ``"block5*"``
            for several at once; None for every layer by itself, from the output to the input.
        seed: of the draws: a weight's new value depends on it and the weight alone.

    Yields:
        (name of the stage, classifier), on the compiled graph of ``clf``. Weights of other layers are bitwise its own.

    Raises:
        OptionError: for an unknown mode or layer.
        ModelError: if the weights of the classifier are not known.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, section 4 and Figure 3.G; Adebayo et al., "Sanity Checks for Saliency
        Maps", arXiv:1810.03292, section 3.1.
    """
    return _randomized(clf, mode, layers, seed, cumulative=True)


def independent_randomization(
    clf: Classifier, *, mode: str = "norm", layers: Sequence[str] | None = None, seed: int = 0
) -> Iterator[Stage]:
    """Classifiers with one randomized layer each, all others as they were.

    Args:
        clf: the classifier.
        mode: as for :func:`cascading_randomization`, with the same values for the same seed.
        layers: as there.
        seed: as there.

    Yields:
        (name of the stage, classifier).

    Raises:
        OptionError, ModelError: as there.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", arXiv:1810.03292, section 3.2.
    """
    return _randomized(clf, mode, layers, seed, cumulative=False)


def _randomized(
    clf: Classifier, mode: str, layers: Sequence[str] | None, seed: int, *, cumulative: bool
) -> Iterator[Stage]:
    if mode not in MODES:
        raise OptionError(f"Expected mode to be one of {MODES}. Received: mode={mode!r}. Choose one of them.")
    seed = check_count(seed, "seed", 0)
    stages = _stages(layers_of(clf), layers)

    def classifiers() -> Iterator[Stage]:
        values: dict[str, np.ndarray] = {}
        draw = _Draws(clf, mode, seed)
        for name, weights in stages:
            values = (values if cumulative else {}) | draw.of(weights)
            yield name, clf.with_weights(values)

    return classifiers()


def _stages(known: list[Layer], wanted: Sequence[str] | None) -> list[tuple[str, list[str]]]:
    if wanted is None:
        return [(layer.name, list(layer.weights)) for layer in known]
    if isinstance(wanted, str):
        wanted = [wanted]
    stages = []
    for pattern in wanted:
        exact = [layer for layer in known if layer.name == pattern]
        meant = exact or [layer for layer in known if fnmatch.fnmatchcase(layer.name, pattern)]
        if not meant:
            names = ", ".join(layer.name for layer in known)
            raise OptionError(f"Expected layers among {names}. Received: {pattern!r}. See gx.sanity.layers_of(clf).")
        stages.append((pattern, [weight for layer in meant for weight in layer.weights]))
    return stages


class _Draws:
    """New values of weights."""

    def __init__(self, clf: Classifier, mode: str, seed: int):
        self.weights = clf.weights
        self.facts = {weight.name: weight for weight in clf.graph.weights}
        self.graph = clf.graph
        self.index = {name: index for index, name in enumerate(self.weights)}
        self.seed = seed
        self.initializers = Initializers(clf) if mode == "reinitialize" else None

    def of(self, names: list[str]) -> dict[str, np.ndarray]:
        """New values of some weights."""
        return {name: self._draw(name) for name in names}

    def _draw(self, name: str) -> np.ndarray:
        value = self.weights[name]
        key = hashlib.blake2b(f"randomized weight {self.index[name]}:{self.seed}".encode(), digest_size=16).digest()
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
        if self.initializers is not None:
            return self.initializers.draw(name, int(generator.integers(2**31))).astype(value.dtype)
        if is_statistic(self.graph, self.facts[name]):
            return value
        noise = generator.standard_normal(value.shape)
        length = np.linalg.norm(np.ravel(noise))
        return (noise * (np.linalg.norm(np.ravel(value).astype(np.float64)) / length)).astype(value.dtype)
