"""Confidence intervals over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from tf_ganmex.attributions.problem import check_count
from tf_ganmex.errors import OptionError

_NUMBERS = 2**21  # numbers resampled at a time
_ROUNDING = 1e-12  # values that differ by less, relative to the largest, are equal but for rounding


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: of the values that are defined; NaN where none is.
        low: lower end of the interval; NaN below two values.
        high: upper end.
        count: how many values are defined.
        undefined: how many are NaN, and are left out.
    """

    mean: float
    low: float
    high: float
    count: int
    undefined: int

    def __str__(self) -> str:
        """The mean and the interval to three digits, and how many values were left out, if any."""
        left_out = f", {self.undefined} undefined" if self.undefined else ""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]{left_out}"


def bootstrap_interval(values: Any, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean of a metric over images, with its bootstrap confidence interval.

    The interval is bias-corrected and accelerated, over resamples of the values that are defined. Of booleans the mean
    is a share, with Wilson's interval: resamples of values that are all true would say that nothing else was possible.

    Args:
        values: (n,), one value an image; NaN is undefined, as the correlation with a constant map.
        level: probability that the interval is made to cover, between 0 and 1.
        resamples: of the images.
        seed: of the resampling.

    Returns:
        The mean, the interval, and how many values are defined and undefined.

    Raises:
        OptionError: for values that are not (n,) numbers, infinite ones, or other options out of range.

    Reference:
        Efron, "Better Bootstrap Confidence Intervals", Journal of the American Statistical Association 82 (1987);
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", the same journal 22 (1927).
    """
    numbers = np.asarray(values)
    if numbers.ndim != 1 or numbers.dtype.kind not in "fiub":
        raise OptionError(
            f"Expected values (n,), one number an image. Received: shape={numbers.shape}, dtype={numbers.dtype}."
        )
    if isinstance(level, bool) or not isinstance(level, int | float | np.number) or not 0 < level < 1:
        raise OptionError(f"Expected level between 0 and 1. Received: level={level!r}.")
    resamples, seed = check_count(resamples, "resamples", 2), check_count(seed, "seed", 0)
    is_share, numbers = numbers.dtype == bool, numbers.astype(np.float64)
    if np.isinf(numbers).any():
        raise OptionError(f"Expected finite values, or NaN. Received: {np.isinf(numbers).sum()} infinite ones.")
    defined = numbers[~np.isnan(numbers)]
    low, high = _wilson(defined, level) if is_share else _interval(defined, level, resamples, seed)
    mean = float(defined.mean()) if len(defined) else np.nan
    return Interval(mean, low, high, len(defined), len(numbers) - len(defined))


def _wilson(values: np.ndarray, level: float) -> tuple[float, float]:
    if len(values) < 2:
        return np.nan, np.nan
    interval = stats.binomtest(int(values.sum()), len(values)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def _interval(values: np.ndarray, level: float, resamples: int, seed: int) -> tuple[float, float]:
    if len(values) < 2:
        return np.nan, np.nan
    if np.ptp(values) <= _ROUNDING * np.abs(values).max():  # the acceleration would be 0 / 0
        return float(values.min()), float(values.max())
    result = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        batch=max(1, _NUMBERS // len(values)),
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
