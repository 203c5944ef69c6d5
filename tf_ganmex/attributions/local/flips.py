"""Score deltas as the features of an image are flipped one after another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.graphs.parts import evaluate_between, weight_feeds
from tf_ganmex.attributions.graphs.rewriting import Weights
from tf_ganmex.attributions.local.changes import kept_with, known_segments
from tf_ganmex.attributions.local.fields import Product
from tf_ganmex.attributions.local.flip_plan import FlipPlan, Stage, best_flip_plan, flip_plans
from tf_ganmex.attributions.local.layers import Layer
from tf_ganmex.attributions.local.network import CutNetwork
from tf_ganmex.attributions.problem import Problem, even_batches, row_slices
from tf_ganmex.classifier import Classifier

_ELEMENTS = 2**22  # that a layer multiplies at a time, where one image has no more
_BLOCK = 64  # changes that are added up by one matrix product, at most

Order = tuple[tf.Tensor, tf.Tensor]


def local_flips(problem: Problem, flips: int, evaluations: int) -> LocalFlips | None:
    """What evaluates a problem's images as features are flipped, where this is cheaper than whole images.

    An element of the first layers' results depends on a few features, and so takes few values: one before any of them
    is flipped, and one after each. These are evaluated once, layer by layer; what the rest of the network reads after
    a flip is put together of them.

    Args:
        problem: the images.
        flips: how many there will be in each.
        evaluations: whole images that may be evaluated at a time.

    Returns:
        None where the classifier's graph is not known, has none of the known layers, or they save nothing.
    """
    shape, kept = problem.x.shape[1:], kept_with(problem.clf)
    segments, key = known_segments(problem.clf, shape), ("local flip plans", shape)
    if key not in kept:
        kept[key] = flip_plans(segments, shape)
    plan = best_flip_plan(segments, kept[key], flips)
    return None if plan is None else LocalFlips(problem, plan, evaluations)


class LocalFlips:
    """The score deltas of a problem's images as their features are flipped."""

    def __init__(self, problem: Problem, plan: FlipPlan, evaluations: int):
        """With as much held at a time as ``evaluations`` images need in the whole network."""
        clf, score, kept = problem.clf, problem.score, kept_with(problem.clf)
        key = "local flips", score, clf.head, clf.value_range, problem.x.shape[1:], len(plan.stages)
        if key not in kept:
            kept[key] = FlipNetwork(clf, plan, problem.x.shape[1:], score)
        self.network: FlipNetwork = kept[key]
        self.problem = problem
        self.evaluations = evaluations

    def curve(self, ranks: np.ndarray, flips: int) -> np.ndarray:
        """The score deltas after 0, 1, ..., ``flips`` flips.

        Args:
            ranks: (n, h, w, c), for each feature how many are flipped before it.
            flips: how many to flip.

        Returns:
            (n, flips + 1).
        """
        clf, network = self.problem.clf, self.network
        rest = network.rest_weights(clf.weight_tensors)
        curve = np.empty((len(self.problem), flips + 1), clf.dtype)
        together = max(1, min(self.evaluations, _ELEMENTS // network.plan.elements))
        for rows in row_slices(len(self.problem), even_batches(len(self.problem), together)):
            part, some = self.problem[rows], ranks[rows].reshape(rows.stop - rows.start, -1)
            orders = tuple(_order(stage, some) for stage in network.ordered)
            states = network.states(tf.constant(part.x), orders, clf.weight_tensors)
            values = network.values_after(some, flips)
            parts = row_slices(len(values), int(self.evaluations * network.plan.lighter))
            scores = np.concatenate([network.scores(states, tf.constant(values[at]), rest).numpy() for at in parts])
            curve[rows] = np.einsum("nkc,nc->nk", scores.reshape(len(part), flips + 1, -1), part.contrast)
        return curve


def _order(stage: Stage, ranks: np.ndarray) -> Order:
    """The places of each field as their features are flipped, and of each place the moment before; (n, p, places)."""
    last = np.full((len(ranks), 1), ranks.shape[1], ranks.dtype)
    ranks = np.concatenate([ranks, last], 1).astype(np.min_scalar_type(-ranks.shape[1] - 1))
    order = ranks[:, stage.fields.features].argsort(-1, kind="stable").astype(np.int32)
    before = np.empty_like(order)
    np.put_along_axis(before, order, _moments(order.shape[-1])[None, None, :-1], -1)
    return tf.constant(order), tf.constant(before)


def _moments(changes: int) -> np.ndarray:
    """Where the states after 0, 1, ... changes are: of each block of changes that before them, and after each."""
    block = _block(changes)
    moments = np.arange(changes + 1)
    moments += moments // block
    moments[-1] -= 1
    return moments.astype(np.int32)


def _block(changes: int) -> int:
    """How many changes are in a block: all of them if they are few, about the square root of them otherwise."""
    fitting = [size for size in range(1, _BLOCK + 1) if changes % size == 0]
    return changes if changes <= _BLOCK else min(fitting, key=lambda size: abs(size - math.sqrt(changes)))


class FlipNetwork(CutNetwork):
    """Evaluates the values that elements of the first layers take as features are flipped, and the scores of them.

    Attributes:
        plan: the plan.
        ordered: its stages that evaluate functions, and the last.
        sees: (features, positions), which positions at the cut see a feature.
        scores: of all states, (m, positions) which of them are at the cut, and the rest's weights; (m, classes).
    """

    def __init__(self, clf: Classifier, plan: FlipPlan, shape: tuple[int, ...], score: str):
        super().__init__(clf, plan.layers)
        self.plan, self.score, self.ends = plan, score, sum(clf.value_range)
        self.ordered = [stage for stage in plan.stages if stage.functions or stage is plan.stages[-1]]
        self.sees = plan.stages[-1].fields.sees
        dtype, last = self.graph.fed_dtype, plan.stages[-1]
        self._cut_shape = plan.layers[-1].shape
        x = tf.TensorSpec((None, *shape), dtype)
        orders = tuple((_integers(stage.fields.features.shape),) * 2 for stage in self.ordered)
        self._made: tuple[Weights, tuple] | None = None
        self._make_kernels = self.compiled(self._kernels_graph, self.weight_specs)
        kernels = tf.nest.map_structure(tf.TensorSpec.from_tensor, self._make_kernels.structured_outputs)
        self._states = self.compiled(self._states_graph, x, orders, self.weight_specs, kernels)
        states, values = tf.TensorSpec((None, last.depth), dtype), _integers(self.sees.shape[1:])
        self.scores = self.compiled(self._scores_graph, states, values, self.rest_specs)

    def states(self, x: tf.Tensor, orders: tuple[Order, ...], weights: Weights) -> tf.Tensor:
        """All values at the cut (n · positions · moments, channels) of images, with the orders of the stages."""
        made = self._made
        if made is None or made[0] is not weights:
            self._made = made = weights, self._make_kernels(weights)
        return self._states(x, orders, weights, made[1])

    def values_after(self, ranks: np.ndarray, flips: int) -> np.ndarray:
        """(n · (flips + 1), positions): which of the states are at the cut after 0, 1, ... flips; of ranks (n, f)."""
        count, positions = len(ranks), self.sees.shape[1]
        order = ranks.argsort(1, kind="stable")[:, :flips]
        moments = np.zeros((count, flips + 1, positions), np.int32)
        np.cumsum(self.sees[order], 1, out=moments[:, 1:])
        first = np.arange(count * positions, dtype=np.int32).reshape(count, 1, positions)
        places = _moments(self.plan.stages[-1].fields.features.shape[1])
        return (first * (places[-1] + 1) + places[moments]).reshape(-1, positions)

    # --- inside of graphs

    def _kernels_graph(self, weights: Weights) -> list[list[tf.Tensor]]:
        known = dict(zip(self.constants, self.constants_of(weights), strict=True))
        return [_taps(stage, known) for stage in self.plan.stages]

    def _states_graph(
        self, x: tf.Tensor, orders: tuple[Order, ...], weights: Weights, kernels: list[list[tf.Tensor]]
    ) -> tf.Tensor:
        feeds = {self.graph.inputs[0]: x} | weight_feeds(self.graph, weights)
        known = dict(zip(self.constants, self.constants_of(weights), strict=True))
        sources = [stage.layer.result if stage.layer else self.graph.inputs[0] for stage in self.ordered]
        unchanged = evaluate_between(self.graph, feeds, sources)
        left = list(zip(orders, unchanged, strict=True))
        pixels = tf.reshape(x, (-1, *self.plan.stages[0].fields.features.shape))
        change, states = tf.linalg.diag(self.ends - pixels - pixels), x
        for stage, own in zip(self.plan.stages, kernels, strict=True):
            if stage.layer and stage.product:
                change = _product(stage.layer, stage.product, change, own)
            if stage in self.ordered:
                (order, before), base = left.pop(0)
                states = _added_up(stage, change, base, order)
                for layer in stage.functions:
                    states = self.elementwise(layer, states, known)
                after, before = (tf.gather(states, moment, axis=2, batch_dims=2) for moment in (before + 1, before))
                change = after - before
        return tf.reshape(states, (-1, states.shape[-1]))

    def _scores_graph(self, states: tf.Tensor, values: tf.Tensor, rest: Weights) -> tf.Tensor:
        cut = tf.reshape(tf.gather(states, values), (-1, *self._cut_shape))
        return self.head.scores(self.raw(cut, rest), self.score)


def _taps(stage: Stage, known: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
    """For each group of cells the taps of a kernel that reach them: (cells, taps · channels, units) for a matrix."""
    layer, product = stage.layer, stage.product
    if layer is None or product is None or layer.kind == "average":
        return []
    units, size = layer.shape[-1], math.prod(layer.size)
    kernel = tf.reshape(known[layer.constants[0]], (size, -1, 1 if layer.kind == "depthwise" else units))
    return [tf.reshape(tf.gather(kernel, taps), (len(taps), -1, kernel.shape[-1])) for _, taps in product.groups]


def _product(layer: Layer, product: Product, change: tf.Tensor, kernels: Sequence[tf.Tensor]) -> tf.Tensor:
    """What a linear layer makes of the changes by every feature (n, positions, places, channels)."""
    count, channels, units = tf.shape(change)[0], change.shape[-1], layer.shape[-1]
    change = tf.reshape(change, (count, product.read, channels))
    if product.needs_zeros:
        change = tf.concat([change, tf.zeros((count, 1, channels), change.dtype)], 1)
    first = tf.range(count)[:, None, None] * (product.read + product.needs_zeros)
    change, parts = tf.reshape(change, (-1, channels)), []
    for number, (rows, taps) in enumerate(product.groups):
        read = tf.gather(change, first + rows[:, None])  # (cells, n, positions · places of a cell, taps, channels)
        if layer.kind == "average":
            made = tf.reduce_sum(read, 3) / math.prod(layer.size)
        elif layer.kind == "depthwise":
            made = tf.reduce_sum(read * tf.reshape(kernels[number], (len(taps), 1, 1, -1, channels)), 3)
        else:
            made = tf.reshape(read, (len(taps), -1, taps.shape[1] * channels)) @ kernels[number]
        parts.append(tf.reshape(made, (len(taps), count, -1, product.places * units)))
    made = tf.transpose(tf.concat(parts, 0), (1, 2, 0, 3))
    return tf.reshape(made, (count, product.positions, -1, units))


def _added_up(stage: Stage, change: tf.Tensor, base: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """(n, positions, moments, channels): what there is before and after each of the changes, in their order."""
    (positions, places), channels = stage.fields.features.shape, stage.depth
    block = _block(places)
    change = tf.gather(change, order, axis=2, batch_dims=2)
    change = tf.reshape(change, (-1, positions, places // block, block, channels))
    sums = tf.constant(np.tri(block + 1, block, -1), change.dtype) @ change
    start = tf.reshape(base, (-1, positions, 1, channels))
    if block < places:
        start += tf.constant(np.tri(places // block, k=-1), change.dtype) @ sums[:, :, :, -1]
    return tf.reshape(sums + start[:, :, :, None], (-1, positions, places // block * (block + 1), channels))


def _integers(shape: tuple[int, ...]) -> tf.TensorSpec:
    return tf.TensorSpec((None, *shape), tf.int32)
