"""How far what a peer found is from what ours found."""

from __future__ import annotations

import numpy as np


def difference(found: np.ndarray, reference: np.ndarray) -> float:
    """The largest |a − b|, as a share of the largest |b| of the same image."""
    rows = (len(reference), -1)
    a, b = (np.asarray(array, np.float64).reshape(rows) for array in (found, reference))
    scale = np.abs(b).max(1)
    return float((np.abs(a - b).max(1) / np.where(scale > 0, scale, 1)).max())


def absolute(found: np.ndarray, reference: np.ndarray) -> float:
    """The largest |a − b|, for drops of a probability, which peers compute to its rounding and ours beyond it."""
    return float(np.abs(np.asarray(found, np.float64) - reference).max())


def correlation(found: np.ndarray, reference: np.ndarray) -> float:
    """One minus the smallest correlation of two maps of an image, for methods that draw at random."""
    pairs = zip(found.reshape(len(found), -1), reference.reshape(len(reference), -1), strict=True)
    return float(1 - min(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1] for a, b in pairs))


KINDS = {"difference": difference, "absolute": absolute, "correlation": correlation}
