"""Which of many candidates is nearest to each query, exactly: by one matrix product, then by measuring near ties."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import BaselineError

_TF32_ERROR = 2**-9  # relative, of a product of two numbers of which a GPU kept 11 digits

_MEASURED = 1024  # pairs of a query and a candidate that are measured at a time

_Matrix = tf.TensorSpec((None, None), tf.float32)


class Candidates:
    """Images made ready for a search, on the device of the moment.

    ``|q − c|² = |q|² − 2 (q·c − |c|²/2)``: the nearest has the largest product of ``(q, 1)`` and ``(c, −|c|²/2)``.
    Pixels that are the same in all candidates, as the border of digits, move all distances alike and are left out.
    """

    def __init__(self, images: np.ndarray, rows: np.ndarray):
        self._images, self._rows = images, rows
        flat = images[rows].reshape(len(rows), -1)
        self._varying = np.flatnonzero(flat.min(0) != flat.max(0))
        factors = np.empty((len(rows), len(self._varying) + 1), np.float32)
        factors[:, :-1] = flat.take(self._varying, 1)
        half_norms = np.einsum("ij,ij->i", factors[:, :-1], factors[:, :-1]) / 2
        factors[:, -1] = -half_norms
        self._longest = np.sqrt(2 * half_norms.max())
        self._factors = tf.constant(factors)
        self.nbytes = factors.nbytes  # held beside the images

    def nearest(self, queries: np.ndarray) -> np.ndarray:
        """For each of ``queries`` (n, ...) the row of the nearest candidate, the first of several that are."""
        factors = np.ones((len(queries), len(self._varying) + 1), np.float32)
        factors[:, :-1] = queries.reshape(len(queries), -1).take(self._varying, 1)
        lengths = self._longest * (np.linalg.norm(factors[:, :-1], axis=1) + self._longest)
        slack = 2 * rounding(factors.shape[1]) * lengths
        query, listed = _listed(tf.constant(factors), self._factors, tf.constant(slack, tf.float32)).numpy().T
        counts = np.bincount(query, minlength=len(queries))
        if not counts.all():  # nothing compares with NaN
            raise BaselineError("Expected finite values in x. Received: NaN, infinity or values too large for float32.")
        return closest(self._images, queries, self._rows[listed], counts)


def closest(images: np.ndarray, queries: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each query the nearest, and first, of its ``counts`` next ``rows`` of ``images``, measured in float64."""
    found = rows[np.cumsum(counts) - counts]
    several = np.repeat(counts > 1, counts)
    query, rows = np.repeat(np.arange(len(queries)), counts)[several], rows[several]
    distances = np.empty(len(rows))
    for start in range(0, len(rows), _MEASURED):
        part = slice(start, start + _MEASURED)
        differences = (images[rows[part]].astype(np.float64) - queries[query[part]]).reshape(len(rows[part]), -1)
        distances[part] = np.einsum("ij,ij->i", differences, differences)
    order = np.lexsort((distances, query))
    which, first = np.unique(query[order], return_index=True)
    found[which] = rows[order][first]
    return found


def rounding(terms: int) -> float:
    """How far rounding may move a sum of products, as a share of the product of the lengths."""
    on_gpu = tf.config.experimental.tensor_float_32_execution_enabled() and tf.config.list_logical_devices("GPU")
    return float(terms * np.finfo(np.float32).eps) + (_TF32_ERROR if on_gpu else 0.0)


@tf.function(input_signature=(_Matrix, _Matrix, tf.TensorSpec((None,), tf.float32)), autograph=False)
def _listed(queries: tf.Tensor, candidates: tf.Tensor, slack: tf.Tensor) -> tf.Tensor:
    """(query, candidate) of all that rounding cannot tell from the nearest of the query."""
    closeness = tf.matmul(queries, candidates, transpose_b=True)
    return tf.where(closeness >= (tf.reduce_max(closeness, 1) - slack)[:, None])
