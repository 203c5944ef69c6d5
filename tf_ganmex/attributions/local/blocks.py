"""Where the layers read and write for one block of windows, and the matrices that do it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.local.layers import Layer, Shape
from tf_ganmex.attributions.local.plan import Plan, Range, inside, matrix_key, read_range, size

Places = tuple[tf.Tensor, ...]  # integers: slices and paddings


@dataclass(frozen=True)
class Block:
    """What the layers need to know of a block.

    Attributes:
        corner: of its first window.
        size: height and width in the image of all its windows together.
        matrices: of the layers that are done by one.
        places: for each layer, and where the last result lies in the whole one.
    """

    corner: tuple[int, int]
    size: tuple[int, int]
    matrices: tuple[tf.Tensor, ...]
    places: tuple[Places, ...]

    def filled(self, corners: np.ndarray, differences: np.ndarray) -> np.ndarray:
        """(m, h, w, c) of its size: the windows ``differences`` (m, w, w, c) at ``corners`` (m, 2), zero around."""
        count, window = differences.shape[:2]
        filled = np.zeros((count, *self.size, differences.shape[-1]), differences.dtype)
        numbers, (top, left) = np.arange(count), (corners - self.corner).T
        for y, x in np.ndindex(window, window):
            filled[numbers, top + y, left + x] = differences[:, y, x]
        return filled


def by_block(plan: Plan, corners: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """The row and column of each block of a plan that has ``corners`` (k, 2), and which of them."""
    places = corners // plan.side
    order = np.lexsort(places.T)
    for group in np.split(order, np.flatnonzero(np.diff(places[order], axis=0).any(1)) + 1):
        if len(group):
            row, column = places[group[0]]
            yield (int(row), int(column)), group


class Blocks:
    """The blocks of a plan for some weights, made when they are asked for."""

    def __init__(self, plan: Plan, constants: Mapping[str, tf.Tensor]):
        self.plan = plan
        self.constants = constants
        self._blocks: dict[tuple[int, int], Block | None] = {}
        self._matrices: dict[tuple, tf.Tensor] = {}

    def __getitem__(self, place: tuple[int, int]) -> Block | None:
        """The block in a row and a column; None where no layer sees its windows."""
        if place not in self._blocks:
            self._blocks[place] = self.made(place)
        return self._blocks[place]

    def made(self, place: tuple[int, int]) -> Block | None:
        """The block in a row and a column, anew."""
        plan = self.plan
        reach = plan.rows[place[0]], plan.columns[place[1]]
        if any(axis.unseen for axis in reach):
            return None
        matrices, places = [], []
        for index, (layer, by_matrix) in enumerate(zip(plan.layers, plan.by_matrix, strict=True)):
            before, after = ([axis.ranges[index + end] for axis in reach] for end in (0, 1))
            if by_matrix:
                matrices.append(self._matrix(index, layer, before, after, plan.shapes[index][-1]))
            places.append(_places(layer, by_matrix, before, after, plan.shapes[index]))
        if not plan.layers[-1].ends:
            whole = [(0, length - 1) for length in plan.shapes[-1][:2]]
            places.append((paddings([axis.ranges[-1] for axis in reach], whole),))
        first = reach[0].first, reach[1].first
        return Block(first, (size(reach[0].ranges[0]), size(reach[1].ranges[0])), tuple(matrices), tuple(places))

    def _matrix(self, index: int, layer: Layer, before: list[Range], after: list[Range], depth: int) -> tf.Tensor:
        key = index, *(matrix_key(layer, axis, before[axis], after[axis]) for axis in (0, 1))
        if key not in self._matrices:
            kernel = self.constants[layer.constants[0]]
            if layer.kind == "dense":
                self._matrices[key] = _dense_matrix(layer, kernel, before)
            else:
                self._matrices[key] = _convolution_matrix(layer, kernel, before, after, depth)
        return self._matrices[key]


def _dense_matrix(layer: Layer, kernel: tf.Tensor, before: list[Range]) -> tf.Tensor:
    """The rows of a kernel that multiply the elements of a window."""
    (top, bottom), (left, right) = before
    units = layer.shape[-1]
    kernel = tf.reshape(kernel, (*layer.size, -1, units))
    return tf.reshape(kernel[top : bottom + 1, left : right + 1], (-1, units))


def _convolution_matrix(
    layer: Layer, kernel: tf.Tensor, before: list[Range], after: list[Range], depth: int
) -> tf.Tensor:
    """The matrix of a convolution from a window of what it reads to a window of what it returns."""
    down, across = (taps_between(layer, axis, before[axis], after[axis]) for axis in (0, 1))
    down, across = down[:, None, None, :, None], across[None, :, None, None, :]
    taps = (down * layer.size[1] + across) * depth + np.arange(depth)[:, None, None]  # (h, w, depth, h', w')
    taps = np.where((down < 0) | (across < 0), layer.size[0] * layer.size[1] * depth, taps)
    units = layer.shape[-1]
    kernel = tf.concat([tf.reshape(kernel, (-1, units)), tf.zeros((1, units), kernel.dtype)], 0)
    return tf.reshape(tf.gather(kernel, integers(taps)), (int(np.prod(taps.shape[:3])), -1))


def taps_between(layer: Layer, axis: int, before: Range, after: Range) -> np.ndarray:
    """Which row or column of a kernel takes each index of the input to each of the output, −1 for none."""
    entering, leaving = (np.arange(reached[0], reached[1] + 1) for reached in (before, after))
    distance = entering[:, None] + layer.before[axis] - leaving * layer.stride[axis]
    tap, rest = np.divmod(distance, layer.dilation[axis])
    return np.where((rest == 0) & (tap >= 0) & (tap < layer.size[axis]), tap, -1)


# --- slices and paddings ----------------------------------------------------------------------------------------------


def _places(layer: Layer, by_matrix: bool, before: list[Range], after: list[Range], shape: Shape) -> Places:
    if layer.kind == "pointwise":
        return window(before, shape[-1])
    if by_matrix and not layer.ends:
        return (integers([-1, *map(size, after), layer.shape[-1]]),)
    if by_matrix or not layer.slides:
        return ()
    read = [read_range(layer, axis, after[axis]) for axis in (0, 1)]
    if layer.kind != "maximum":
        return fitted(before, read, shape[-1])
    seen = [inside(axis, length) for axis, length in zip(read, shape, strict=False)]
    return *window(seen, shape[-1]), *fitted(before, seen, shape[-1]), paddings(seen, read)


def fitted(have: Sequence[Range], wanted: Sequence[Range], depth: int) -> Places:
    """A slice and then the paddings that make one window of another."""
    kept = [(max(a[0], b[0]), min(a[1], b[1])) for a, b in zip(have, wanted, strict=True)]
    return *window(kept, depth, have), paddings(kept, wanted)


def window(ranges: Sequence[Range], depth: int, origin: Sequence[Range] = ((0, 0), (0, 0))) -> Places:
    """First indices, from those of ``origin``, and sizes."""
    first = [axis[0] - start[0] for axis, start in zip(ranges, origin, strict=True)]
    return integers([0, *first, 0]), integers([-1, *map(size, ranges), depth])


def paddings(have: Sequence[Range], wanted: Sequence[Range]) -> tf.Tensor:
    """What has to be added around a window."""
    edges = [(a[0] - b[0], b[1] - a[1]) for a, b in zip(have, wanted, strict=True)]
    return integers([(0, 0), *edges, (0, 0)])


def integers(values: object) -> tf.Tensor:
    """As indices are given to a graph."""
    return tf.constant(values, tf.int32)
