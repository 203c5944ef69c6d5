"""How few features a map points at: Gini indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import row_slices
from tf_ganmex.errors import ImageError
from tf_ganmex.metrics.perturbation import check_maps

_FEATURES = 2**22  # features sorted at a time, in float64


def gini(attributions: Any) -> np.ndarray:
    """The Gini index of the absolute attributions: 0 where all are equal, 1 − 1/features where one is alone.

    With a_1 ≤ … ≤ a_m the absolute attributions of a map in ascending order, Σ_i (2i − m − 1) a_i / (m Σ_i a_i). It
    does not change when a map is multiplied by a number.

    Args:
        attributions: maps (n, h, w, c).

    Returns:
        (n,) in [0, 1), the higher the sparser; NaN for a map of zeros.

    Raises:
        ImageError: if the maps are not finite numbers of this shape.

    Reference:
        Hurley & Rickard, "Comparing Measures of Sparsity", arXiv:0811.4706; Chalasani et al., "Concise Explanations of
        Neural Networks using Adversarial Training", arXiv:1810.06583; GANMEX, C.3.
    """
    return _in_blocks(attributions, np.abs)


def gini_shifted(attributions: Any) -> np.ndarray:
    """The Gini index of the signed attributions above the smallest of their map.

    As :func:`gini`, of A − min A in place of |A|; dividing by max A − min A, as for a picture, would not change it. A
    map with extremes of like size on both sides of its most frequent value gets an index near 0 however sparse it is.
    It is here because values as low as the published ones of DeepLIFT and Occlusion (GANMEX, Table 3) come of it and
    cannot come of absolute attributions; the paper does not say how it computed them.

    Args:
        attributions: maps (n, h, w, c).

    Returns:
        (n,) in [0, 1); NaN for a constant map.

    Raises:
        ImageError: if the maps are not finite numbers of this shape.
    """
    return _in_blocks(attributions, lambda maps: maps - maps.min(1, keepdims=True))


def _in_blocks(attributions: Any, amounts: Any) -> np.ndarray:
    shape = np.shape(attributions)
    if len(shape) != 4 or 0 in shape:
        raise ImageError(f"Expected attributions of shape (n, h, w, c). Received: shape={shape}.")
    maps = check_maps(attributions, shape).reshape(shape[0], -1)
    blocks = row_slices(len(maps), max(1, _FEATURES // maps.shape[1]))
    return np.concatenate([_gini(amounts(maps[rows].astype(np.float64))) for rows in blocks])


def _gini(amounts: np.ndarray) -> np.ndarray:
    """The index of amounts (n, m) that are not negative."""
    largest = amounts.max(1, keepdims=True)
    shares = np.sort(np.divide(amounts, largest, out=np.full_like(amounts, np.nan), where=largest > 0), 1)
    count = shares.shape[1]
    weights = 2 * np.arange(1, count + 1) - count - 1
    return (shares * weights).sum(1) / (count * shares.sum(1))
