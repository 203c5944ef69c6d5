"""Path sums from one baseline, where the leading part of the network need not be evaluated at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.affine import AffinePart, Weights
from tf_ganmex.attributions.exact import delta_with_exact_gradient, known
from tf_ganmex.attributions.problem import Problem
from tf_ganmex.attributions.switches import Ends, SwitchingLayer
from tf_ganmex.classifier.head import Head

_SWITCHING_STEPS = 40  # for fewer, the gradients through the layer take no longer
_SWITCHING_ELEMENTS = 2**25  # of the partial sums, and of what is gathered where half of the units switch


def straight_path_attributions(
    problem: Problem, baselines: np.ndarray, alphas: np.ndarray, quadrature: np.ndarray, chunk: int
) -> np.ndarray | None:
    """Σ_k w_k (x − x̃) ⊙ ∇Δ(x̃ + α_k (x − x̃)); None where no part of the classifier is known to be affine.

    Args:
        problem: m images, all evaluated in one call.
        baselines: (m, h, w, c).
        alphas: (steps,), where on the path, ascending.
        quadrature: (steps,), the weights w.
        chunk: how many steps to evaluate at a time.

    Returns:
        (m, h, w, c).
    """
    clf, shape = problem.clf, problem.x.shape[1:]
    part = AffinePart.of(clf, shape)
    if part is None:
        return None
    missing = -len(alphas) % chunk
    padded = np.pad(alphas, (0, missing), "edge"), np.pad(quadrature, (0, missing))  # a padded step weighs nothing
    switching = part.switching if _is_worth_it(part.switching, len(problem), padded[0].size) else None

    def build() -> Callable:
        path = _Path(part, switching, clf.head, problem.score)
        return lambda *arrays: path.attributions(*arrays)

    kernel = clf.kernel(("straight path", problem.score, shape, switching is None), build)
    arrays = [tf.constant(array) for array in (problem.x, baselines, problem.contrast)]
    return kernel(*arrays, *(tf.constant(array.reshape(-1, chunk)) for array in padded), clf.weight_tensors).numpy()


def _is_worth_it(switching: SwitchingLayer | None, rows: int, steps: int) -> bool:
    if switching is None or steps < _SWITCHING_STEPS:
        return False
    sums = steps * math.prod(switching.layer.shape)
    return rows * max(sums, switching.gathered // 2) <= _SWITCHING_ELEMENTS


class _Path(NamedTuple):
    part: AffinePart
    switching: SwitchingLayer | None
    head: Head
    score: str

    def attributions(
        self,
        x: tf.Tensor,
        baselines: tf.Tensor,
        contrast: tf.Tensor,
        alphas: tf.Tensor,
        quadrature: tf.Tensor,
        weights: Weights,
    ) -> tf.Tensor:
        """The maps for alphas and quadrature (chunks, chunk)."""
        weights = self.part.weights(weights)
        ends = list(zip(self.part.values(baselines, weights), self.part.values(x, weights), strict=True))
        chunks = _Chunks(self, contrast, alphas, quadrature, weights)
        sums = chunks.sums(ends) if self.switching is None else [chunks.sum_by_switches(self.switching, *ends)]
        (gradient,) = tf.gradients([last for _, last in ends], x, grad_ys=sums)
        return known(gradient) * (x - baselines)


class _Chunks(NamedTuple):
    """The steps on the paths, one chunk at a time, for memory; two side by side took no less of the processors."""

    path: _Path
    contrast: tf.Tensor
    alphas: tf.Tensor
    quadrature: tf.Tensor
    weights: Weights

    def sums(self, ends: list[Ends]) -> list[tf.Tensor]:
        """The sums over the paths of the gradients at the end of the affine part, which has these ``ends``."""

        def add_chunk(index: tf.Tensor, *sums: tf.Tensor) -> list[tf.Tensor]:
            points = [on_line(pair, self.alphas[index]) for pair in ends]
            gradients = self._gradients(self.path.part.frontier, points)
            return [s + weighted_sum(self.quadrature[index], g) for s, g in zip(sums, gradients, strict=True)]

        return self._each(add_chunk, [tf.zeros_like(last) for _, last in ends])

    def sum_by_switches(self, switching: SwitchingLayer, ends: Ends) -> tf.Tensor:
        """The same sum by way of the layer behind."""
        part, result = self.path.part, switching.layer.result
        rows, chunk = self.contrast.shape[0], self.alphas.shape[1]
        shape = switching.layer.shape

        def add_chunk(index: tf.Tensor, total: tf.Tensor, kept: tf.TensorArray) -> list[Any]:
            points = on_line(ends, self.alphas[index])
            gradients = self._gradients([result], part.evaluate(part.frontier, [points], [result], self.weights))
            so_far = tf.linalg.band_part(tf.broadcast_to(self.quadrature[index], (rows, chunk, chunk)), -1, 0)
            sums = total[:, None] + so_far @ tf.reshape(gradients[0], (rows, chunk, -1))
            return [sums[:, -1], kept.write(index, sums)]

        size, dtype = math.prod(shape), ends[0].dtype
        kept = tf.TensorArray(dtype, self.alphas.shape[0], element_shape=(rows, chunk, size))
        _, kept = self._each(add_chunk, [tf.zeros((rows, size), dtype), kept])
        sums = tf.reshape(tf.transpose(kept.stack(), (1, 0, 2, 3)), (rows, -1, *shape))
        return switching.pull_back(ends, tf.reshape(self.alphas, [-1]), sums, self.weights)

    def _each(self, add_chunk: Callable, start: list[Any]) -> list[Any]:
        def body(index: tf.Tensor, *state: Any) -> tuple:
            return index + 1, *add_chunk(index, *state)

        chunks = self.alphas.shape[0]
        return tf.while_loop(lambda index, *_: index < chunks, body, (0, *start), parallel_iterations=1)[1:]

    def _gradients(self, names: Sequence[str], values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Of the deltas, (m, chunk, ...), at tensors of the graph with ``values`` (m * chunk, ...)."""
        rows, chunk = self.contrast.shape[0], self.alphas.shape[1]
        raw = self.path.part.raw_outputs(names, values, self.weights)
        each = tf.repeat(self.contrast, chunk, axis=0)
        found = tf.gradients(delta_with_exact_gradient(self.path.head, raw, each, self.path.score), values)
        known(next((gradient for gradient in found if gradient is not None), None))
        gradients = (tf.zeros_like(v) if g is None else g for v, g in zip(values, found, strict=True))
        return [tf.reshape(gradient, (rows, chunk, *gradient.shape[1:])) for gradient in gradients]


def on_line(ends: Ends, alphas: tf.Tensor) -> tf.Tensor:
    """The points (m * steps, ...) at alphas (steps,) between two ends (m, ...), as a product of matrices."""
    (rows, *shape), steps = ends[0].shape, alphas.shape[0]
    factors = tf.broadcast_to(tf.stack([1 - alphas, alphas], -1), (rows, steps, 2))
    return tf.reshape(factors @ tf.reshape(tf.stack(ends, 1), (rows, 2, -1)), (rows * steps, *shape))


def weighted_sum(quadrature: tf.Tensor, terms: tf.Tensor) -> tf.Tensor:
    """Σ_k w_k terms_k, of (m, steps, ...); as a product of matrices, for multiplying and adding take twice as long."""
    rows, steps, *shape = terms.shape
    factors = tf.broadcast_to(quadrature, (rows, 1, steps))
    return tf.reshape(factors @ tf.reshape(terms, (rows, steps, -1)), (rows, *shape))
