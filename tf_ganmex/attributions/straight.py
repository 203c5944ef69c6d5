"""Path sums from one baseline, where the leading part of the network need not be evaluated at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.affine import AffinePart
from tf_ganmex.attributions.exact import delta_with_exact_gradient, known
from tf_ganmex.attributions.graphs.parts import evaluate_between, weight_feeds
from tf_ganmex.attributions.graphs.rewriting import Rewritten, Weights
from tf_ganmex.attributions.local.layers import Layer
from tf_ganmex.attributions.problem import Problem
from tf_ganmex.attributions.switches import Ends, SwitchingLayer
from tf_ganmex.attributions.tiles import TiledLayer
from tf_ganmex.classifier.graph import class_axis_last
from tf_ganmex.classifier.head import Head

_MANY = 100  # gradients; for fewer, the values of the kernels are not worth it
_SWITCHING_STEPS = 40  # for fewer, the gradients through the layer take no longer
_STRETCH = 25  # steps, about: of more, partial sums take longer as one product
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
    behind = part.faster if len(problem) * padded[0].size >= _MANY else part.plain

    def build() -> Callable:
        path = _Path(part, switching, behind, clf.head, problem.score)
        return lambda *arrays: path.attributions(*arrays)

    kernel = clf.kernel(("straight path", problem.score, shape, switching is None, behind is part.plain), build)
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
    behind: Rewritten  # of the part's graph
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
        chunks = _Chunks(self, contrast, alphas, quadrature, self.behind.weights(weights))
        if self.switching is None:
            sums = chunks.sums(ends)
        else:
            tiled = None if self.behind is self.part.plain else TiledLayer.of(self.switching, ends[0], weights)
            so_far = chunks.sums_so_far(self.switching.layer, ends[0], tiled)
            sums = [self.switching.pull_back(ends[0], tf.reshape(alphas, [-1]), so_far, weights)]
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

    def sums_so_far(self, layer: Layer, ends: Ends, tiled: TiledLayer | None) -> tf.Tensor:
        """The sums up to each step of the gradients at the result of a layer, (chunks, m, chunk, ...)."""
        rows, (chunks, chunk), frontier = self.contrast.shape[0], self.alphas.shape, self.path.part.frontier
        size = math.prod(layer.shape)

        def add_chunk(index: tf.Tensor, total: tf.Tensor, kept: tf.TensorArray) -> list[Any]:
            alphas = self.alphas[index]
            if tiled is None:
                (results,) = self._evaluate(frontier, [on_line(ends, alphas)], [layer.result])
            else:
                results = tiled.results(alphas)
            (gradients,) = self._gradients([layer.result], [results])
            sums = _sums_so_far(self.quadrature[index], tf.reshape(gradients, (rows, chunk, size)), total)
            return [sums[:, -1], kept.write(index, sums)]

        kept = tf.TensorArray(ends[0].dtype, chunks, element_shape=(rows, chunk, size))
        _, kept = self._each(add_chunk, [tf.zeros((rows, size), ends[0].dtype), kept])
        return tf.reshape(kept.stack(), (chunks, rows, chunk, *layer.shape))

    def _each(self, add_chunk: Callable, start: list[Any]) -> list[Any]:
        def body(index: tf.Tensor, *state: Any) -> tuple:
            return index + 1, *add_chunk(index, *state)

        chunks = self.alphas.shape[0]
        return tf.while_loop(lambda index, *_: index < chunks, body, (0, *start), parallel_iterations=1)[1:]

    def _gradients(self, names: Sequence[str], values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Of the deltas, (m, chunk, ...), at tensors of the graph with ``values`` (m * chunk, ...)."""
        rows, chunk = self.contrast.shape[0], self.alphas.shape[1]
        graph = self.path.behind.graph
        (output,) = self._evaluate(names, values, [graph.output])
        raw = tf.cast(class_axis_last(output, graph.classes), graph.fed_dtype)
        each = tf.repeat(self.contrast, chunk, axis=0)
        found = tf.gradients(delta_with_exact_gradient(self.path.head, raw, each, self.path.score), values)
        known(next((gradient for gradient in found if gradient is not None), None))
        gradients = (tf.zeros_like(v) if g is None else g for v, g in zip(values, found, strict=True))
        return [tf.reshape(gradient, (rows, chunk, *gradient.shape[1:])) for gradient in gradients]

    def _evaluate(self, names: Sequence[str], values: Sequence[tf.Tensor], wanted: Sequence[str]) -> Sequence:
        """Tensors of the graph, where others of it have ``values``."""
        graph = self.path.behind.graph
        feeds = weight_feeds(graph, self.weights) | dict(zip(names, values, strict=True))
        return evaluate_between(graph, feeds, wanted)


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


def _sums_so_far(quadrature: tf.Tensor, terms: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """``total`` (m, size) and the sums Σ_{j ≤ k} w_j terms_j, of (m, steps, size), for each k."""
    rows, count, size = terms.shape
    stretches = max(number for number in range(1, count // _STRETCH + 2) if count % number == 0)
    steps = count // stretches
    until = tf.linalg.band_part(tf.repeat(tf.reshape(quadrature, (stretches, 1, steps)), steps, 1), -1, 0)
    sums = until @ tf.reshape(terms, (rows, stretches, steps, size))
    before = total[:, None] + tf.cumsum(sums[:, :, -1], 1, exclusive=True)
    return tf.reshape(before[:, :, None] + sums, (rows, count, size))
