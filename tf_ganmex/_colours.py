"""The colours of attribution maps and images: numbers in, RGB out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex.errors import ImageError, OptionError

# Dark red, red, white, blue, dark blue. The dark ends tell the strongest features from merely strong ones.
_POINTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_COLOURS = np.array([(0.50, 0.0, 0.06), (0.93, 0.27, 0.22), (1.0, 1.0, 1.0), (0.22, 0.42, 0.93), (0.03, 0.08, 0.46)])

# The percentile of a map with few features is almost nothing, and its rounding errors would show in full colour.
_LEAST_LIMIT = 1 / 50


def attribution_limit(*attributions: np.ndarray, percentile: float = 99.5) -> float:
    """Return the size of attribution that gets the darkest colour, one for all the maps given.

    Args:
        *attributions: maps, each (h, w) or (h, w, c); channels are summed.
        percentile: of the absolute values, in (0, 100]; 100 is the maximum.

    Returns:
        The limit, at least a fiftieth of the maximum; 0 where every map is zero.

    Raises:
        OptionError: no map, or the percentile is out of range.
        ImageError: a map is not finite or has another number of axes.
    """
    if not 0 < percentile <= 100:
        raise OptionError(f"Expected a percentile in (0, 100]. Received: percentile={percentile}. The default is 99.5.")
    if not attributions:
        raise OptionError("Expected at least one attribution map. Received: none. Pass the maps one by one.")
    sizes = np.concatenate([np.abs(_one_image("attribution", a).sum(axis=-1)).ravel() for a in attributions])
    return float(max(np.percentile(sizes, percentile), sizes.max() * _LEAST_LIMIT))


def attribution_image(attribution: np.ndarray, *, limit: float | None = None, percentile: float = 99.5) -> np.ndarray:
    """Return an attribution map in colours: blue positive, red negative, white zero.

    Args:
        attribution: (h, w) or (h, w, c); channels are summed.
        limit: the size that gets the darkest colour of either sign; None takes `attribution_limit` of this map.
        percentile: what `attribution_limit` is given.

    Returns:
        (h, w, 3) RGB in [0, 1].

    Raises:
        OptionError: the limit is negative, or the percentile out of range.
        ImageError: the map is not finite or has another number of axes.

    Reference:
        The colours: GANMEX paper, appendix A.3.
    """
    values = _one_image("attribution", attribution).sum(axis=-1)
    if limit is None:
        limit = attribution_limit(values, percentile=percentile)
    if not limit >= 0:
        raise OptionError(f"Expected a limit of 0 or more. Received: limit={limit}. None takes the map's own.")
    scaled = np.clip(values / limit, -1, 1) if limit > 0 else np.sign(values)
    return np.stack([np.interp(scaled, _POINTS, channel) for channel in _COLOURS.T], axis=-1)


def image_rgb(image: np.ndarray, *, value_range: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """Return an image as RGB in [0, 1].

    Args:
        image: (h, w) or (h, w, c); three channels are RGB, any other number is averaged to gray.
        value_range: the values of black and white.

    Returns:
        (h, w, 3), clipped to [0, 1].

    Raises:
        OptionError: the value range is empty.
        ImageError: the image is not finite or has another number of axes.
    """
    low, high = value_range
    if not low < high:
        raise OptionError(f"Expected value_range=(low, high), low < high. Received: value_range={value_range}.")
    scaled = np.clip((_one_image("image", image) - low) / (high - low), 0, 1)
    return scaled if scaled.shape[-1] == 3 else np.repeat(scaled.mean(axis=-1, keepdims=True), 3, axis=-1)


def _one_image(name: str, value: Any) -> np.ndarray:
    """Return a finite (h, w, c) array."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ImageError(f"Expected {name} as an array of numbers. Received: {type(value).__name__}.") from error
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.size == 0:
        raise ImageError(f"Expected {name} as (h, w) or (h, w, c). Received: shape={array.shape}. Pass one at a time.")
    if not np.isfinite(array).all():
        raise ImageError(
            f"Expected a finite {name}. Received: {np.count_nonzero(~np.isfinite(array))} values of {array.size} NaN "
            "or infinite. Look for them where it was computed."
        )
    return array
