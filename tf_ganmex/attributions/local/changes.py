"""Changes of score deltas by changes of single windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.exact import exact_contrast, exact_scores
from tf_ganmex.attributions.graphs.parts import evaluate_between, runs_in_double, weight_feeds
from tf_ganmex.attributions.graphs.rewriting import Weights
from tf_ganmex.attributions.local.blocks import Block, Places, by_block
from tf_ganmex.attributions.local.layers import ImageShape, Layer, Segment, read_segments
from tf_ganmex.attributions.local.network import WindowNetwork, free_axes
from tf_ganmex.attributions.local.plan import CHANGES, Plan, all_plans, best_plan
from tf_ganmex.attributions.problem import Problem, row_slices
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import FrozenGraph

_ELEMENTS = 2**24  # of the layers for unchanged images that are held at a time


def local_changes(problem: Problem, evaluations: int, changes: int, window: int = 1) -> LocalChanges | None:
    """What evaluates ``changes`` changed windows of a problem's images where this is cheaper than whole images.

    Args:
        problem: the images.
        evaluations: whole images that may be evaluated at a time.
        changes: how many there will be, all over the images.
        window: side of the windows in pixels.

    Returns:
        None where the classifier's graph is not known, has none of the known layers, or they save nothing.
    """
    segments, plans = known_plans(problem.clf, problem.x.shape[1:], window)
    elements = evaluations * max((segment.elements for segment in segments), default=0)
    plan = best_plan(segments, plans, changes, elements)
    return None if plan is None else LocalChanges(problem, plan, plan.at_once(elements))


def known_plans(clf: Classifier, shape: ImageShape, window: int) -> tuple[list[Segment], list[Plan]]:
    """What a classifier's graph consists of, and how it may be evaluated; made once for a graph."""
    segments, kept, key = known_segments(clf, shape), kept_with(clf), ("local plans", shape, window)
    if key not in kept:
        kept[key] = all_plans(segments, shape, window)
    return segments, kept[key]


def known_segments(clf: Classifier, shape: ImageShape) -> list[Segment]:
    """What a classifier's graph consists of, nothing where it is not known; made once for a graph."""
    graph, kept = clf.engine, kept_with(clf)
    if not isinstance(graph, FrozenGraph) or graph.batch is not None:
        return []
    if graph.dtype != graph.fed_dtype or len(graph.inputs) != 1:
        return []
    key = "local segments", shape
    if key not in kept:
        kept[key] = read_segments(graph, shape)
    return kept[key]


def kept_with(clf: Classifier) -> dict[Any, Any]:
    """Where what belongs to a graph is kept."""
    return clf.engine.kernels


class LocalChanges:
    """Δ(x with a window changed) − Δ(x) for the images of a problem, in float64.

    Attributes:
        at_once: how many changes a call takes at best.
    """

    at_once = CHANGES

    def __init__(self, problem: Problem, plan: Plan, evaluations: int):
        """With ``evaluations`` changes in the graph at a time."""
        clf, score, kept = problem.clf, problem.score, kept_with(problem.clf)
        key = "local changes", score, clf.head, plan.key
        if key not in kept:
            kept[key] = ChangeNetwork(clf, plan, score)
        self.network: ChangeNetwork = kept[key]
        self.problem = problem
        self.evaluations = evaluations
        self.contrast = exact_contrast(problem)

    def __call__(self, rows: np.ndarray, corners: np.ndarray, differences: np.ndarray) -> np.ndarray:
        """The changes of Δ when windows are added to images.

        Args:
            rows: (k,) the images.
            corners: (k, 2) top and left of the windows.
            differences: (k, w, w, c) what is added; where it is zero nothing changes.

        Returns:
            (k,), exactly zero where the classifier does not see the change.
        """
        deltas = np.zeros(len(rows))
        images, places = np.unique(rows, return_inverse=True)
        for part in row_slices(len(images), max(1, _ELEMENTS // self.network.elements)):
            some = np.flatnonzero((places >= part.start) & (places < part.stop))
            deltas[some] = self._of_images(images[part], places[some] - part.start, corners[some], differences[some])
        return deltas

    def _of_images(
        self, images: np.ndarray, places: np.ndarray, corners: np.ndarray, differences: np.ndarray
    ) -> np.ndarray:
        weights = self.problem.clf.weight_tensors
        unchanged = self.network.unchanged(tf.constant(self.problem.x[images]), weights)
        arrays = tf.constant(self.contrast[images]), *unchanged
        blocks, deltas = self.network.blocks(weights), np.zeros(len(places))
        for place, group in by_block(self.network.plan, corners):
            block = blocks[place]
            if block is None:
                continue
            for part in row_slices(len(group), self.evaluations):
                some = group[part]
                change = tf.constant(block.filled(corners[some], differences[some]))
                rows = tf.constant(places[some].astype(np.int32))
                deltas[some] = self.network.deltas(block, change, rows, arrays, weights).numpy()
        return deltas


class ChangeNetwork(WindowNetwork):
    """Evaluates changes of images whose layers are known as they were.

    Attributes:
        elements: what is held of an unchanged image.
    """

    def __init__(self, clf: Classifier, plan: Plan, score: str):
        pairs = zip(plan.layers, plan.by_matrix, strict=True)
        super().__init__(clf, plan, [layer for layer, by_matrix in pairs if not by_matrix and layer.kind != "add"])
        self.score = score
        # What a tiny change adds to a large sum is lost in float32.
        doubles = plan.layers[-1].ends and runs_in_double(self.graph, self.cut)
        self.rest_dtype = tf.float64 if doubles else self.graph.dtype
        self.taps = list(dict.fromkeys([*(layer.source for layer in plan.layers if not layer.is_linear), self.cut]))
        images = tf.TensorSpec((None, *plan.shape), self.graph.fed_dtype)
        self.unchanged = self.compiled(self._unchanged_graph, images, self.weight_specs)
        read = [shape for shape, layer in zip(plan.shapes, plan.layers, strict=False) if not layer.is_linear]
        self.elements = sum(map(math.prod, [*read, plan.shapes[-1]]))
        self._deltas: Callable | None = None

    def deltas(self, block: Block, change: tf.Tensor, rows: tf.Tensor, images: tuple, weights: Weights) -> tf.Tensor:
        """Δ(x + change) − Δ(x) for m changes, in float64.

        Args:
            block: where they are.
            change: (m, h, w, c) of the block's size.
            rows: (m,) which image each is of.
            images: the contrasts (n, classes), and what :attr:`unchanged` returns for the images and weights.
            weights: all of the classifier's.
        """
        by_weights = self.called_constants(weights), block.matrices, block.places, self.rest_weights(weights)
        arguments = change, rows, *images, *by_weights
        if self._deltas is None:
            free = (3, 1, 1, 1, 1, 0, 2, 0, 0)
            self._deltas = self.compiled(self._deltas_graph, *map(free_axes, arguments, free))
        return self._deltas(*arguments)

    def _unchanged_graph(self, x: tf.Tensor, weights: Weights) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """The scores of images, and the tensors that changes of them need."""
        feeds = {self.graph.inputs[0]: x} | weight_feeds(self.graph, weights)
        taps = evaluate_between(self.graph, feeds, self.taps)
        return self._scores(taps[-1], self.rest.weights(weights)), taps

    def _scores(self, cut: tf.Tensor, rest: Weights) -> tf.Tensor:
        return exact_scores(self.head, self.raw(tf.cast(cut, self.rest_dtype), rest), self.score)

    def _deltas_graph(
        self,
        change: tf.Tensor,
        rows: tf.Tensor,
        contrast: tf.Tensor,
        scores: tf.Tensor,
        taps: tuple[tf.Tensor, ...],
        constants: tuple[tf.Tensor, ...],
        matrices: tuple[tf.Tensor, ...],
        places: tuple[Places, ...],
        rest: Weights,
    ) -> tf.Tensor:
        whole = dict(zip(self.taps, taps, strict=True))

        def before(layer: Layer, first: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
            return tf.gather(tf.slice(whole[layer.source], first, sizes), rows)

        change = self.change_at_cut(change, before, self.known(constants), matrices, places)
        differs = tf.reduce_any(change != 0, list(range(1, change.shape.rank)))
        parts = tf.gather(taps[-1], rows), self.whole_change(change, places)
        after = tf.add_n([tf.cast(part, self.rest_dtype) for part in parts])
        differences = self._scores(after, rest) - tf.gather(scores, rows)
        deltas = tf.reduce_sum(differences * tf.gather(contrast, rows), -1)
        return tf.where(differs, deltas, 0)  # not the rounding of a change that the layers do not see
