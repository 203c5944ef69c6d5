"""How similar attribution maps are to other maps of the same images."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex.errors import ImageError
from tf_ganmex.metrics.faithfulness import pearson
from tf_ganmex.metrics.monotonicity import spearman

MEASURES = ("spearman", "spearman_absolute", "ssim", "hog")

_WINDOW = 5  # pixels, of SSIM
_CELL = 16  # pixels, of the histograms; scikit-image's example, for images of 224
_CELLS_A_SIDE = 4  # at least, in smaller images: 7 pixels at a side of 28
_NEAR_CONSTANT = 1e-6  # of the largest value: below it, what varies is rounding


def similarity(maps: Any, others: Any) -> dict[str, np.ndarray]:
    """How similar maps are to others: Spearman of values and of absolute values, SSIM, Pearson of gradient histograms.

    As in the paper, SSIM and histograms of oriented gradients (HOG) are of signed maps scaled to [−1, 1]; each map is
    divided by its largest absolute value, which keeps zero where it is. SSIM has a window of 5 pixels and a data range
    of 2; HOG has cells of 16 pixels, smaller where an image has fewer than 4 of them a side. These sizes are ours.

    Two maps of one image share its strokes, so 0 is not what unrelated maps reach: compare with the other columns. A
    map that is zero outside the strokes, as with a black baseline on a black background, is so whatever the
    classifier, and absolute values see that most. SSIM of a map and its negative can be positive, for its luminance
    and its structure then both change sign.

    Args:
        maps: (n, h, w, c), finite.
        others: as many and as large.

    Returns:
        By the names in ``MEASURES``, (n,) values in [−1, 1]; NaN where a map is constant (for ``"ssim"``, where both
        are) or, for ``"hog"``, where a histogram is; ``"ssim"`` of images below 3 pixels too.

    Raises:
        ImageError: for maps of other or unequal shapes, or that are not finite.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", arXiv:1810.03292, section 3 and appendix.
    """
    first, second = _check(maps, "maps"), _check(others, "others")
    if first.shape != second.shape:
        raise ImageError(f"Expected others of the shape of maps, {first.shape}. Received: {second.shape}.")
    first, second = (_flattened_noise(array) for array in (first, second))
    scaled = _scaled(first), _scaled(second)
    return {
        "spearman": spearman(first, second),
        "spearman_absolute": spearman(np.abs(first), np.abs(second)),
        "ssim": _ssim(*scaled),
        "hog": pearson(_histograms(scaled[0]), _histograms(scaled[1])),
    }


def _check(maps: Any, name: str) -> np.ndarray:
    array = np.asarray(maps)
    if array.ndim != 4 or not array.size or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ImageError(
            f"Expected {name} as finite (n, h, w, c). Received: shape={array.shape}, dtype={array.dtype}. Look for NaN "
            "where they were computed."
        )
    return array.astype(np.float64)


def _flattened_noise(maps: np.ndarray) -> np.ndarray:
    """``maps``, where those that are constant but for rounding are constant."""
    size = np.abs(maps).max((1, 2, 3), keepdims=True)
    constant = np.ptp(maps, axis=(1, 2, 3), keepdims=True) <= _NEAR_CONSTANT * size
    return np.where(constant, maps[:, :1, :1, :1], maps)


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Each map divided by its largest absolute value; a map of zeros as it is."""
    size = np.abs(maps).max((1, 2, 3), keepdims=True)
    return maps / np.where(size > 0, size, 1)


def _ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from skimage.metrics import structural_similarity

    side = min(first.shape[1:3])
    window = min(_WINDOW, side - 1 + side % 2)
    values = np.full(len(first), np.nan)
    if window < 3:
        return values
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        if np.ptp(one) > 0 or np.ptp(other) > 0:
            values[index] = structural_similarity(one, other, win_size=window, data_range=2.0, channel_axis=-1)
    return values


def _histograms(maps: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients (n, numbers)."""
    from skimage.feature import hog

    height, width = maps.shape[1:3]
    cell = max(1, min(_CELL, min(height, width) // _CELLS_A_SIDE))
    blocks = (min(3, height // cell), min(3, width // cell))
    return np.stack([hog(m, pixels_per_cell=(cell, cell), cells_per_block=blocks, channel_axis=-1) for m in maps])
