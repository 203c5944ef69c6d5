"""Score deltas as the features of an image are flipped one after another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.local.blocks import Block, Blocks, Places, by_block, fitted, window
from tf_ganmex.attributions.local.changes import kept_with, known_plans
from tf_ganmex.attributions.local.layers import ELEMENT_COST, Layer
from tf_ganmex.attributions.local.network import Weights, WindowNetwork, free_axes
from tf_ganmex.attributions.local.parts import evaluate_between, weight_feeds
from tf_ganmex.attributions.local.plan import NOTHING, Plan, Range, Reach, best_plan, hull, inside, read_range, size
from tf_ganmex.attributions.problem import Problem, row_slices
from tf_ganmex.classifier import Classifier

_ELEMENTS = 2**25  # of the tensor at the cut, for all images and steps at a time
_CUT_PASSES = 20  # over the tensor at the cut, to put changes where they belong, add them up and go on


def local_flips(problem: Problem, flips: int, evaluations: int) -> LocalFlips | None:
    """What evaluates a problem's images as features are flipped, where this is cheaper than whole images.

    Two images of which one has one flip more differ in a window. What the windows change in a tensor behind the first
    layers is added up flip by flip; the rest of the network is evaluated whole.

    Args:
        problem: the images.
        flips: how many there will be in each.
        evaluations: whole images that may be evaluated at a time.

    Returns:
        None as :func:`~tf_ganmex.attributions.local.changes.local_changes`.
    """
    shape, kept = problem.x.shape[1:], kept_with(problem.clf)
    segments, plans = known_plans(problem.clf, shape, 1)
    key = "local flip plans", shape
    if key not in kept:
        kept[key] = [_for_flips(plan) for plan in plans]
    elements = evaluations * max((segment.elements for segment in segments), default=0)
    plan = best_plan(segments, kept[key], len(problem) * flips, elements)
    return None if plan is None else LocalFlips(problem, plan, plan.at_once(elements))


def _for_flips(plan: Plan) -> Plan:
    """A plan with the cost of what flips need beside: windows of the layers before each flip, and sums of changes."""
    cost = float(_CUT_PASSES * ELEMENT_COST * math.prod(plan.shapes[-1]))
    down, across = ([needed_ranges(plan, reach, axis) for reach in plan.reaches[axis]] for axis in (0, 1))
    for index, layer in enumerate(plan.layers):
        made = math.prod(sum(size(ranges[index + 1]) for ranges in axis) for axis in (down, across))
        each = math.prod(layer.size) * plan.shapes[index][-1] if layer.kind == "conv" else 2 * ELEMENT_COST
        cost += made * layer.shape[-1] * each / len(plan.rows) / len(plan.columns)
    together = max(1, _ELEMENTS // math.prod(plan.shapes[-1]))
    return replace(plan, cost=plan.cost + cost, rest_weights=0, together=together)


def needed_ranges(plan: Plan, reach: Reach, axis: int) -> list[Range]:
    """What has to be known of the image and each result before a change, along one axis of a block.

    All that is needed is what layers that are not linear read to make what the change reaches.
    """
    needed = [NOTHING] * (len(plan.layers) + 1)
    for index in reversed(range(len(plan.layers))):
        layer = plan.layers[index]
        made = needed[index + 1] if layer.is_linear else hull(needed[index + 1], reach.ranges[index + 1])
        if size(made):
            needed[index] = inside(read_range(layer, axis, made), plan.shapes[index][axis])
    return needed


class LocalFlips:
    """The score deltas of a problem's images as their features are flipped."""

    def __init__(self, problem: Problem, plan: Plan, evaluations: int):
        """With ``evaluations`` flips in a graph at a time."""
        clf, score, kept = problem.clf, problem.score, kept_with(problem.clf)
        key = "local flips", score, clf.head, clf.value_range, plan.key
        if key not in kept:
            kept[key] = FlipNetwork(clf, plan, score)
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
        clf, shape = self.problem.clf, self.network.plan.shapes[-1]
        steps = min(flips, self.network.plan.together)
        curve = np.empty((len(self.problem), flips + 1), clf.dtype)
        for rows in row_slices(len(self.problem), self.network.plan.together // steps):
            part = self.problem[rows]
            last = self.network.unchanged(tf.constant(part.x), clf.weight_tensors).numpy()
            for counts in row_slices(flips, steps):
                states = np.zeros((counts.stop - counts.start + 1, len(part), *shape), last.dtype)
                states[0] = last
                self._add_changes(states, part, ranks[rows], counts.start)
                for before, after in itertools.pairwise(states):
                    after += before
                curve[rows, counts.start : counts.stop + 1] = self._deltas(states, part.contrast)
                last = states[-1].copy()
        return curve

    def _add_changes(self, states: np.ndarray, part: Problem, ranks: np.ndarray, start: int) -> None:
        """Adds to the states after flips what each flip changes."""
        image, *place, channel = np.nonzero((ranks >= start) & (ranks < start + len(states) - 1))
        corners, rank = np.stack(place, 1), ranks[image, *place, channel]
        own = part.x[image, *place, channel]
        differences = np.zeros((len(image), 1, 1, part.x.shape[-1]), own.dtype)
        differences[np.arange(len(image)), 0, 0, channel] = (sum(part.clf.value_range) - own) - own
        weights, blocks = part.clf.weight_tensors, self.network.blocks(part.clf.weight_tensors)
        arrays = tf.constant(part.x), tf.constant(ranks)
        for where, group in by_block(self.network.plan, corners):
            block = blocks[where]
            if block is None:
                continue
            for rows in row_slices(len(group), self.evaluations):
                some = group[rows]
                change = block.filled(corners[some], differences[some])
                images, after = (tf.constant(array[some].astype(np.int32)) for array in (image, rank))
                changes = self.network.changes(block, tf.constant(change), images, after, arrays, weights)
                states[rank[some] - start + 1, image[some]] = changes.numpy()

    def _deltas(self, states: np.ndarray, contrast: np.ndarray) -> np.ndarray:
        """(n, steps) of states (steps, n, ...) of the tensor at the cut."""
        flat = states.reshape(-1, *states.shape[2:])
        rest = self.network.rest_weights(self.problem.clf.weight_tensors)
        parts = row_slices(len(flat), self.evaluations)
        scores = np.concatenate([self.network.scores(tf.constant(flat[part]), rest).numpy() for part in parts])
        return np.einsum("knc,nc->nk", scores.reshape(*states.shape[:2], -1), contrast)


class FlipBlocks(Blocks):
    """Blocks whose layers take what was before a flip from windows of their own."""

    def made(self, place: tuple[int, int]) -> Block | None:
        """The block in a row and a column; None where no layer sees its windows."""
        block, plan = super().made(place), self.plan
        if block is None:
            return None
        reach = plan.rows[place[0]], plan.columns[place[1]]
        needed = list(zip(*(needed_ranges(plan, axis, number) for number, axis in enumerate(reach)), strict=True))
        places, steps = list(block.places), []
        for index, layer in enumerate(plan.layers):
            depth, window_after = plan.shapes[index][-1], needed[index + 1]
            if not layer.is_linear:
                read = [read_range(layer, axis, reach[axis].ranges[index + 1]) for axis in (0, 1)]
                seen = [inside(axis, length) for axis, length in zip(read, plan.shapes[index], strict=False)]
                places[index] = *window(seen, depth, needed[index]), *places[index][2:]
            if size(window_after[0]):
                read = [read_range(layer, axis, window_after[axis]) for axis in (0, 1)]
                steps.append(fitted(needed[index], read, depth))
        return replace(block, places=tuple(places), patch=window(needed[0], plan.shape[-1]), steps=tuple(steps))


class FlipNetwork(WindowNetwork):
    """Evaluates what one more flip changes at the cut, and the scores of what is there."""

    def __init__(self, clf: Classifier, plan: Plan, score: str):
        super().__init__(clf, plan, [layer for layer in plan.layers if layer.kind != "dense"])
        self.score, self.ends = score, sum(clf.value_range)
        images = tf.TensorSpec((None, *plan.shape), self.graph.fed_dtype)
        cut = tf.TensorSpec((None, *plan.shapes[-1]), self.graph.fed_dtype)
        rest = tuple(self.graph.weights[number].spec for number in self.rest)
        self.unchanged = self.compiled(self._unchanged_graph, images, self.weight_specs)
        self.scores = self.compiled(lambda cut, rest: self.head.scores(self.raw(cut, rest), score), cut, rest)
        self._changes: Callable | None = None

    def make_blocks(self, constants: Mapping[str, tf.Tensor]) -> Blocks:
        """The blocks for these constants."""
        return FlipBlocks(self.plan, constants)

    def changes(
        self, block: Block, change: tf.Tensor, rows: tf.Tensor, ranks: tf.Tensor, images: tuple, weights: Weights
    ) -> tf.Tensor:
        """What m flips change in the tensor at the cut, each after all of lower rank in its image.

        Args:
            block: where they are.
            change: (m, h, w, c) of the block's size, what they add to the image.
            rows: (m,) which image each is of.
            ranks: (m,) their ranks.
            images: the images (n, h, w, c), and the ranks of all features.
            weights: all of the classifier's.
        """
        by_weights = self.called_constants(weights), block.matrices, block.places
        arguments = change, rows, ranks, *images, *by_weights, block.patch, block.steps
        if self._changes is None:
            free = (3, 1, 1, 1, 1, 0, 2, 0, 0, 0)
            self._changes = self.compiled(self._changes_graph, *map(free_axes, arguments, free))
        return self._changes(*arguments)

    def _unchanged_graph(self, x: tf.Tensor, weights: Weights) -> tf.Tensor:
        feeds = {self.graph.inputs[0]: x} | weight_feeds(self.graph, weights)
        return evaluate_between(self.graph, feeds, [self.cut])[0]

    def _changes_graph(
        self,
        change: tf.Tensor,
        rows: tf.Tensor,
        ranks: tf.Tensor,
        x: tf.Tensor,
        all_ranks: tf.Tensor,
        constants: tuple[tf.Tensor, ...],
        matrices: tuple[tf.Tensor, ...],
        places: tuple[Places, ...],
        patch: Places,
        steps: tuple[Places, ...],
    ) -> tf.Tensor:
        known = self.known(constants)
        value, of_patch = (tf.gather(tf.slice(array, *patch), rows) for array in (x, all_ranks))
        value = tf.where(of_patch < tf.reshape(ranks, (-1, 1, 1, 1)), self.ends - value, value)
        values = {self.plan.layers[0].source: value}
        for layer, (first, sizes, beyond) in zip(self.plan.layers, steps, strict=False):
            value = self.result(layer, tf.slice(value, first, sizes), known, beyond)
            values[layer.result] = value

        def before(layer: Layer, first: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
            return tf.slice(values[layer.source], first, sizes)

        return self.whole_change(self.change_at_cut(change, before, known, matrices, places), places)
