"""3×3 convolutions of small maps with a quarter of the multiplications: Winograd's F(4×4, 3×3).

Four neighbouring results of a convolution with three taps are coefficients of a product of two polynomials. Of the
values of both at six points the product takes six multiplications, not twelve; along both sides of a map 36, not 144.
Values and coefficients are products with fixed matrices.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308, equation 8. The points
here round less than theirs.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

TAPS = 3  # along a side of a kernel
LARGEST = 8  # side of a map: products with the matrices of larger ones take too long
CHANNELS = 64  # at least, for as much is to be done for each channel as for each product of two
_TILE = 4  # results along a side that are made together
_POINTS = (0, 5 / 8, -5 / 8, 11 / 8, -11 / 8)  # and infinity
_VALUES = len(_POINTS) + 1
_ONE_MATRIX = 16  # elements of a map, up to which both sides are taken by one matrix


def _at_points(count: int) -> np.ndarray:
    """The values at the points of polynomials of ``count`` coefficients, (values, count)."""
    return np.array([[point**power for power in range(count)] for point in _POINTS] + [[0] * (count - 1) + [1]], float)


def _scales() -> np.ndarray:
    """By which values of kernels are divided, so that the other matrix has coefficients that are easier to round."""
    return np.array([np.prod([a - b for b in _POINTS if b != a]) for a in _POINTS] + [1.0])


def _matrices(length: int, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one side, with ``before`` zeros around it, one or none.

    Returns:
        From what is read to values (values · tiles, length), and from their products to results (results, values ·
        tiles).
    """
    results = length + 2 * before - TAPS + 1
    tiles, span = -(-results // _TILE), _TILE + TAPS - 1
    values = np.linalg.inv(_at_points(span)).T * _scales()[:, None]
    read, made = np.zeros((_VALUES, tiles, length)), np.zeros((results, _VALUES, tiles))
    for tile in range(tiles):
        first = tile * _TILE
        seen = [position for position in range(span) if 0 <= first + position - before < length]
        read[:, tile, [first + position - before for position in seen]] = values[:, seen]
        made[first : first + _TILE, :, tile] = _at_points(_TILE).T[: results - first]
    return read.reshape(-1, length), made.reshape(results, -1)


def values_of_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """From a kernel (3, 3, channels, results) to its values (6, 1, 6, channels, results)."""
    along = _at_points(TAPS) / _scales()[:, None]
    both = tf.constant(np.kron(along, along), kernel.dtype)
    return tf.reshape(both @ tf.reshape(kernel, (TAPS**2, -1)), shape_of_values(kernel.shape))


def shape_of_values(kernel: tf.TensorShape) -> tuple[int, ...]:
    """The shape of the values of a kernel."""
    return _VALUES, 1, _VALUES, *kernel[2:]


def convolve(x: tf.Tensor, values: tf.Tensor, *, padded: bool = True) -> tf.Tensor:
    """The convolution of maps with the batch behind the positions.

    Args:
        x: (h, w, n, channels).
        values: of the kernel, see :func:`values_of_kernel`.
        padded: with zeros around the maps, so that the results have their size; without, they are smaller by two.

    Returns:
        (h', w', n, results).
    """
    height, width, _, channels = x.shape
    (read, made), (read_across, made_across) = _matrices(height, padded), _matrices(width, padded)
    seen = tf.reshape(_on_both_sides(read, read_across, x), (_VALUES, len(read) // _VALUES, _VALUES, -1, channels))
    products = tf.reshape(seen @ values, (len(read), len(read_across), -1, values.shape[-1]))
    return _on_both_sides(made, made_across, products)


def _on_both_sides(down: np.ndarray, across: np.ndarray, x: tf.Tensor) -> tf.Tensor:
    """The products of matrices with the first and the second axis of (h, w, n, channels)."""
    (height, width, _, channels), rows, columns = x.shape, len(down), len(across)
    if min(height * width, rows * columns) <= _ONE_MATRIX:
        found = tf.constant(np.kron(down, across), x.dtype) @ tf.reshape(x, (height * width, -1))
    else:
        found = tf.constant(down, x.dtype) @ tf.reshape(x, (height, -1))
        found = tf.constant(across, x.dtype) @ tf.reshape(found, (rows, width, -1))
    return tf.reshape(found, (rows, columns, -1, channels))
