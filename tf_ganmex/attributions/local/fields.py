"""Which features of an image each position of a map sees, and where a linear layer finds what one feature changes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tf_ganmex.attributions.local.layers import ELEMENT_COST, ImageShape, Layer


@dataclass(frozen=True)
class Axis:
    """One axis of a map: position p sees ``reach`` rows of the image, from p · ``jump`` − ``before`` on."""

    length: int
    jump: int = 1
    before: int = 0
    reach: int = 1

    @property
    def seen(self) -> np.ndarray:
        """(length, reach): the numbers of the rows, beyond the image too."""
        return np.arange(self.length)[:, None] * self.jump - self.before + np.arange(self.reach)


@dataclass(frozen=True)
class Fields:
    """The features that each position of a map sees, all positions as many.

    Attributes:
        axes: down and across.
        places: (rows, columns, channels) of a field: which place in its row of ``features`` a feature has.
        features: (positions, places): the numbers of the features, one beyond the last where there is none.
        shape: of the image.
    """

    axes: tuple[Axis, Axis]
    places: np.ndarray
    features: np.ndarray
    shape: ImageShape

    @property
    def sees(self) -> np.ndarray:
        """(features, positions): whether a position sees a feature."""
        sees = np.zeros((math.prod(self.shape) + 1, len(self.features)), bool)
        sees[self.features, np.arange(len(self.features))[:, None]] = True
        return sees[:-1]


@dataclass(frozen=True)
class Product:
    """A linear layer between two kinds of fields.

    Attributes:
        groups: pairs (rows, taps). ``rows`` (cells, places, m) are multiplied with ``m`` taps of the kernel: rows of
            positions · places before, or that of zeros after them. ``taps`` (cells, m) are rows of the kernel.
        read: rows of an image before the layer, without that of zeros.
        positions: behind the layer,
        places: and how many of each are in a cell.
        multiplied: elements, for an image,
        elements: and how many of them at a time.
        cost: multiplications for an image.
    """

    groups: tuple[tuple[np.ndarray, np.ndarray], ...]
    read: int
    positions: int
    places: int
    multiplied: int
    elements: int
    cost: float

    @property
    def needs_zeros(self) -> bool:
        """Whether the row of zeros is read at all: beyond the border of a map, or of a field."""
        return any((rows == self.read).any() for rows, _ in self.groups)


def of_pixels(shape: ImageShape) -> Fields:
    """Every pixel sees its own channels."""
    height, width, depth = shape
    features = np.arange(math.prod(shape)).reshape(-1, depth)
    return Fields((Axis(height), Axis(width)), np.arange(depth).reshape(1, 1, -1), features, shape)


def behind(fields: Fields, layer: Layer, channels: int) -> tuple[Fields, Product]:
    """The fields behind a layer with windows that reads ``channels``, and how it is evaluated.

    The rows that two neighbouring taps of the kernel are apart make a cell of a field: what a tap adds to one cell
    behind the layer comes from one cell before it.
    """
    depth = fields.shape[-1]
    steps = tuple(axis.jump * dilation for axis, dilation in zip(fields.axes, layer.dilation, strict=True))
    down, across = (_Taps(axis, layer, number) for number, axis in enumerate(fields.axes))
    count, width, (positions, before) = steps[0] * steps[1] * depth, fields.axes[1].length, fields.features.shape
    groups: list[tuple[np.ndarray, np.ndarray]] = []
    cells: list[tuple[int, int]] = []
    for y, x in itertools.product(down.groups(), across.groups()):
        # Axes: cells, positions, rows in a cell (all down and across), channels, taps (down and across).
        py, ry, ok_y = (part[:, None, :, None, :, None, None, :, None] for part in y.sources)
        px, rx, ok_x = (part[None, :, None, :, None, :, None, None, :] for part in x.sources)
        channel = np.arange(depth).reshape(-1, 1, 1)
        rows = (py * width + px) * before + fields.places[ry, rx, channel]
        rows = np.where(ok_y & ok_x, rows, positions * before)
        taps = y.taps[:, None, :, None] * layer.size[1] + x.taps[None, :, None, :]
        number = len(y.cells) * len(x.cells)
        taps = taps.reshape(number, -1).astype(np.int32)
        groups.append((rows.reshape(number, -1, taps.shape[1]).astype(np.int32), taps))
        cells += itertools.product(y.cells, x.cells)
    made = _fields((down.axis, across.axis), steps, cells, fields.shape)
    multiplied = sum(rows.size for rows, _ in groups) * channels
    cost = float(multiplied * (layer.shape[-1] if layer.kind in {"conv", "dense"} else ELEMENT_COST))
    sizes = count, multiplied, held(fields, layer, channels)
    return made, Product(tuple(groups), fields.features.size, len(made.features), *sizes, cost)


@dataclass(frozen=True)
class _Group:
    """Cells of a field that are reached by as many taps, along one axis.

    Attributes:
        cells: their numbers.
        taps: (cells, m), by which.
        sources: positions before the layer, rows of a field there, and whether there are such; all (cells, positions
            behind it, rows in a cell, m).
    """

    cells: list[int]
    taps: np.ndarray
    sources: tuple[np.ndarray, np.ndarray, np.ndarray]


class _Taps:
    """One axis of a layer: which taps of its kernel reach which cells of a field.

    Attributes:
        axis: that of the fields behind the layer.
    """

    def __init__(self, axis: Axis, layer: Layer, number: int):
        self._read, self._step = axis, axis.jump * layer.dilation[number]
        self._size, self._stride, self._dilation = layer.size[number], layer.stride[number], layer.dilation[number]
        self._padding = layer.before[number]
        self._cells = -(-axis.reach // self._step)  # of a field before the layer
        reach = (self._size - 1 + self._cells) * self._step
        before = self._padding * axis.jump + axis.before
        length = 1 if layer.kind == "dense" else layer.shape[number]
        self.axis = Axis(length, self._stride * axis.jump, before, reach)

    def groups(self) -> Iterator[_Group]:
        """The cells behind the layer, by the number of taps."""
        cells = np.arange(self._size - 1 + self._cells)
        first, last = np.maximum(cells - self._cells + 1, 0), np.minimum(cells, self._size - 1)
        for count in np.unique(last - first + 1):
            some = cells[last - first + 1 == count]
            taps = first[some, None] + np.arange(count)
            yield _Group(some.tolist(), taps, self._sources(some, taps))

    @property
    def multiplied(self) -> list[int]:
        """Rows of the image, taps and positions, all that there are for each group."""
        return [group.taps.size * self._step * self.axis.length for group in self.groups()]

    def _sources(self, cells: np.ndarray, taps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        cells, taps = cells[:, None, None, None], taps[:, None, None, :]
        behind, inner = np.arange(self.axis.length)[:, None, None], np.arange(self._step)[:, None]
        position = behind * self._stride + taps * self._dilation - self._padding
        row = (cells - taps) * self._step + inner
        position, row = np.broadcast_arrays(position, row)
        known = (position >= 0) & (position < self._read.length) & (row < self._read.reach)
        return np.where(known, position, 0), np.where(known, row, 0), known


def held(fields: Fields, layer: Layer, channels: int) -> int:
    """How many elements a layer would multiply at a time, for an image."""
    axes = [_Taps(axis, layer, number) for number, axis in enumerate(fields.axes)]
    return math.prod(max(axis.multiplied) for axis in axes) * fields.shape[-1] * channels


def _fields(axes: tuple[Axis, Axis], steps: tuple[int, ...], cells: list, shape: ImageShape) -> Fields:
    """Fields whose places are cell by cell."""
    height, width, depth = shape
    inner = np.arange(steps[0] * steps[1] * depth).reshape(*steps, depth)
    places = np.empty((axes[0].reach, axes[1].reach, depth), int)
    for number, (y, x) in enumerate(cells):
        own = slice(y * steps[0], (y + 1) * steps[0]), slice(x * steps[1], (x + 1) * steps[1])
        places[own] = number * inner.size + inner
    down, across = axes[0].seen[:, None, :, None], axes[1].seen[None, :, None, :]
    inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    numbers = (down * width + across)[..., None] * depth + np.arange(depth)
    numbers = np.where(inside[..., None], numbers, math.prod(shape)).reshape(-1, places.size)
    features = np.empty_like(numbers)
    features[:, places.ravel()] = numbers
    return Fields(axes, places, features, shape)
