"""Which elements of each layer the windows of a block of neighbours reach, and what it costs to evaluate no others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tf_ganmex.attributions.local.layers import ELEMENT_COST, ImageShape, Layer, Segment, Shape

Range = tuple[int, int]  # first and last; the last is before the first where there is none

CHANGES = 2**18  # that are put into blocks together
SIDES = (1, 2, 4, 8, 16)  # of the blocks that are tried,
_BLOCKS = 64  # where there are no more than these along an axis
_START_COST = 1e10  # multiplications that take as long as compiling it,
_CALL_COST = 2e7  # as calling it for a block,
_READ_COST = 100  # and as reading one element of its matrices and kernels
_GAIN = 1.25  # how much cheaper than the whole network it has to be
_MATRIX_ELEMENTS = 2**25  # of all blocks together
_PASSES = {"scale": 1, "pointwise": 5, "average": 2, "mean": 1, "maximum": 5}  # over the elements that are read


@dataclass(frozen=True)
class Reach:
    """One axis of a block: the elements that its windows cover in the image, and those they reach in each layer.

    Attributes:
        first: the corner of its first window.
        ranges: of the image, and of the result of each layer.
    """

    first: int
    ranges: tuple[Range, ...]

    @property
    def unseen(self) -> bool:
        """Whether nothing that the layers return depends on the windows."""
        return any(size(reached) == 0 for reached in self.ranges)

    def until(self, layer: int) -> Reach:
        """The same without what is behind a layer."""
        return Reach(self.first, self.ranges[: layer + 2])


@dataclass(frozen=True)
class Plan:
    """How the changes of square windows are evaluated.

    Attributes:
        shape: of an image.
        window: side of a window in pixels.
        side: of a block, in windows.
        rows: the blocks down the image.
        columns: the blocks across.
        layers: those that are evaluated on windows, from the image on; the rest of the network follows.
        by_matrix: for each, whether it is done by the matrix from its input to its output on the windows of a block.
        cost: multiplications for a change.
        weights: elements of the matrices and kernels that the layers read for a block,
        rest_weights: and that the rest of the network reads.
        elements: of the largest results that are held for a change.
    """

    shape: ImageShape
    window: int
    side: int
    rows: tuple[Reach, ...]
    columns: tuple[Reach, ...]
    layers: tuple[Layer, ...]
    by_matrix: tuple[bool, ...]
    cost: float
    weights: float
    rest_weights: float
    elements: float

    @property
    def key(self) -> tuple:
        """Tells the plans for a network apart."""
        return self.shape, self.window, self.side, len(self.layers)

    @property
    def reaches(self) -> tuple[tuple[Reach, ...], tuple[Reach, ...]]:
        """The blocks along both axes."""
        return self.rows, self.columns

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of the image and the result of each layer."""
        return self.shape, *(layer.shape for layer in self.layers)

    def at_once(self, elements: int) -> int:
        """How many changes may be evaluated at a time where ``elements`` of a result may be held."""
        return max(1, int(elements / self.elements))

    def total_cost(self, changes: int, elements: int) -> float:
        """Multiplications for ``changes`` all over the image."""
        together = min(changes, CHANGES)
        blocks = min(len(self.rows) * len(self.columns), together)
        calls = changes / together * blocks * math.ceil(together / blocks / self.at_once(elements))
        return (
            _START_COST + calls * (_CALL_COST + _READ_COST * (self.weights + self.rest_weights)) + changes * self.cost
        )


def size(reached: Range) -> int:
    """How many elements a range has."""
    return max(reached[1] - reached[0] + 1, 0)


def best_plan(segments: Sequence[Segment], plans: Sequence[Plan], changes: int, elements: int) -> Plan | None:
    """The cheapest plan; None where evaluating the whole network is cheaper or nearly so."""
    best = min(plans, key=lambda plan: plan.total_cost(changes, elements), default=None)
    whole = changes * sum(segment.cost for segment in segments)
    return best if best and best.total_cost(changes, elements) * _GAIN < whole else None


def all_plans(segments: Sequence[Segment], shape: ImageShape, window: int) -> list[Plan]:
    """The plans for windows in images of ``shape``: any blocks, as many of the leading layers as there are."""
    longest = max(shape[:2])
    sides = [side for side in SIDES if longest <= _BLOCKS * side < 2 * _BLOCKS * longest]
    return [plan for side in sides for plan in plans_of_side(segments, shape, window, side)]


def plans_of_side(segments: Sequence[Segment], shape: ImageShape, window: int, side: int) -> list[Plan]:
    """One plan for every layer after which the rest of the network can take over, the shortest first."""
    layers = _leading(segments)
    rows, columns = (reaches(layers, axis, shape[axis], window, side) for axis in (0, 1))
    blocks = len(rows) * len(columns)
    plans, by_matrix, depth = [], [], shape[-1]
    cost = elements = matrices = weights = 0.0
    for index, layer in enumerate(layers):
        work = _Work(layer, index, rows, columns, depth)
        by_matrix.append(work.by_matrix)
        matrices += work.matrices if work.by_matrix else 0
        if matrices > _MATRIX_ELEMENTS:
            break
        cost += work.cost / blocks
        weights += work.cost / blocks if work.by_matrix else segments[index].weights
        elements = max(elements, work.elements)
        depth = layer.shape[-1]
        if layer.kind in {"add", "scale", "pointwise", "pad"}:
            continue
        rest = segments[index + 1 :]
        whole = 0 if layer.ends else 3 * ELEMENT_COST * segments[index].elements
        following = sum(segment.cost for segment in rest) + whole
        kernels = sum(segment.weights for segment in rest)
        held = max(elements, *(segment.elements for segment in rest), 0 if layer.ends else segments[index].elements)
        down, across = (tuple(reach.until(index) for reach in axis) for axis in (rows, columns))
        chosen, matrix = tuple(layers[: index + 1]), tuple(by_matrix)
        plans.append(Plan(shape, window, side, down, across, chosen, matrix, cost + following, weights, kernels, held))
    return plans


def _leading(segments: Sequence[Segment]) -> list[Layer]:
    """The layers before the first segment that is none, or to the first that ends what is local."""
    layers: list[Layer] = []
    for segment in segments:
        if segment.layer is None or (layers and layers[-1].ends):
            break
        layers.append(segment.layer)
    return layers


def reaches(layers: Sequence[Layer], axis: int, length: int, window: int, side: int) -> tuple[Reach, ...]:
    """The blocks of ``side`` windows along an axis of ``length`` pixels."""
    found, corners = [], length - window + 1
    for first in range(0, corners, side):
        ranges = [(first, min(first + side, corners) + window - 2)]
        for layer in layers:
            ranges.append(_reached(layer, axis, ranges[-1]))
        found.append(Reach(first, tuple(ranges)))
    return tuple(found)


def _reached(layer: Layer, axis: int, changed: Range) -> Range:
    first, last = (index + layer.before[axis] for index in changed)
    if not layer.slides:
        return first, last
    extent = (layer.size[axis] - 1) * layer.dilation[axis]
    low, high = -((extent - first) // layer.stride[axis]), last // layer.stride[axis]
    return max(low, 0), min(high, layer.shape[axis] - 1)


def read_range(layer: Layer, axis: int, made: Range) -> Range:
    """What a layer reads for a range of its result, beyond the borders too."""
    first, last = (index * layer.stride[axis] - layer.before[axis] for index in made)
    return first, last + (layer.size[axis] - 1) * layer.dilation[axis] * layer.slides


def inside(reached: Range, length: int) -> Range:
    """The part of a range that is within ``length`` elements."""
    return max(reached[0], 0), min(reached[1], length - 1)


def matrix_key(layer: Layer, axis: int, before: Range, after: Range) -> tuple[int, ...]:
    """What the matrix of a layer for a block depends on, along an axis."""
    if layer.kind == "dense":
        return before
    offset = before[0] + layer.before[axis] - after[0] * layer.stride[axis]
    return size(before), size(after), offset


class _Work:
    """What a layer has to do for one change in every block.

    Attributes:
        cost: multiplications.
        elements: held for a change, at most.
        by_matrix: whether it is cheapest, or only possible, by matrices.
        matrices: elements of these.
    """

    def __init__(self, layer: Layer, index: int, rows: Sequence[Reach], columns: Sequence[Reach], depth: int):
        ranges = [[reach.ranges[index : index + 2] for reach in axis] for axis in (rows, columns)]
        sizes = [[(size(before), size(after)) for before, after in axis] for axis in ranges]
        channels = layer.shape[-1]
        read, made = (math.prod(sum(pair[end] for pair in axis) for axis in sizes) for end in (0, 1))
        most = [math.prod(max(pair[end] for pair in axis) for axis in sizes) for end in (0, 1)]
        self.elements = max(most[0] * depth, channels if layer.ends else most[1] * channels)
        self.cost = _PASSES.get(layer.kind, 0) * ELEMENT_COST * read * depth
        self.by_matrix, self.matrices = False, 0.0
        if layer.kind == "depthwise":
            self.cost = made * channels * (math.prod(layer.size) + ELEMENT_COST)
        if layer.kind in {"conv", "dense"}:
            direct = made * math.prod(layer.size) * depth * channels
            products = (sum(before * (1 if layer.ends else after) for before, after in axis) for axis in sizes)
            matrix = math.prod(products) * depth * channels
            self.by_matrix = layer.ends or matrix <= direct
            self.cost = matrix if self.by_matrix else direct
            self.matrices = self._matrices(layer, ranges) * depth * channels

    def _matrices(self, layer: Layer, ranges: list) -> int:
        """The elements of all different matrices, for one channel to one."""
        total = 1
        for axis, blocks in enumerate(ranges):
            different = {matrix_key(layer, axis, *pair): pair for pair in map(tuple, blocks)}
            total *= sum(size(before) * (1 if layer.ends else size(after)) for before, after in different.values())
        return total
