"""Baselines: callables (x, target) -> images shaped like x.

``x`` are images (n, h, w, c), ``target`` the classes (n,) that the baselines should belong to, or None for one-vs-all.
Black is the low end of the value range. GANMEX is the same kind of callable: ``gan.generate``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from tf_ganmex.draws import image_generator, without_replacement
from tf_ganmex.errors import BaselineError, OptionError

BaselineFunction = Callable[[np.ndarray, Any], np.ndarray]

BLUR_PER_SIDE = 10 / 256  # the paper's blur is not published; 10 pixels at 256 × 256, scaled with the image


def zero() -> ConstantImage:
    """The black image: the low end of the value range everywhere (GANMEX, section 2.2)."""
    return ConstantImage(0)


def maximum() -> ConstantImage:
    """The white image: the high end of the value range everywhere (GANMEX, Figure 4)."""
    return ConstantImage(1)


def blurred(sigma: float | None = None) -> BaselineFunction:
    """The image itself under a Gaussian blur (Fong & Vedaldi 2017; GANMEX, Figure 4).

    Args:
        sigma: standard deviation in pixels; None is 10 pixels at a side of 256, scaled with the shorter side.

    Raises:
        OptionError: if ``sigma`` is not positive.
    """
    if sigma is not None and not sigma > 0:
        raise OptionError(f"Expected sigma above 0 pixels. Received: sigma={sigma!r}.")

    def blur(x: np.ndarray, target: Any = None) -> np.ndarray:
        x = np.asarray(x)
        width = sigma or BLUR_PER_SIDE * min(x.shape[1:3])
        return ndimage.gaussian_filter(x, (0, width, width, 0), mode="nearest").astype(x.dtype, copy=False)

    return blur


def nearest(x_train: Any, y_train: Any) -> NearestSample:
    """MDTS: the training image of the target class that is nearest in L2 (GANMEX, section 4).

    Args:
        x_train: training images (m, h, w, c).
        y_train: their classes (m,).
    """
    return NearestSample(x_train, y_train)


def random_sample(x_train: Any, y_train: Any, *, seed: int = 0) -> RandomSample:
    """A random training image of the target class (GANMEX, appendix B); with expected gradients, as many as it draws.

    Args:
        x_train: training images (m, h, w, c).
        y_train: their classes (m,).
        seed: of the draw, which depends on it and the image alone.
    """
    return RandomSample(x_train, y_train, seed=seed)


class ConstantImage:
    """One end of the value range everywhere: of the classifier's range in a method, of [0, 1] when called alone."""

    def __init__(self, end: int, value_range: tuple[float, float] = (0.0, 1.0)):
        self.end = end
        self.value_range = value_range

    def __call__(self, x: Any, target: Any = None) -> np.ndarray:
        """The constant, shaped like ``x``."""
        return np.full_like(np.asarray(x, np.result_type(np.asarray(x), np.float32)), self.value_range[self.end])

    def in_value_range(self, value_range: tuple[float, float]) -> ConstantImage:
        """The same end of another range."""
        return ConstantImage(self.end, value_range)


class _TrainingImages:
    """Training images by class."""

    def __init__(self, x_train: Any, y_train: Any):
        self.images, labels = np.asarray(x_train), np.asarray(y_train)
        if self.images.ndim != 4 or labels.shape != (len(self.images),):
            raise BaselineError(
                "Expected training images (m, h, w, c) and one label for each. Received: "
                f"x_train.shape={self.images.shape}, y_train.shape={labels.shape}."
            )
        self.rows = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}

    def rows_of(self, x: np.ndarray, target: Any) -> list[tuple[int, np.ndarray]]:
        """For each class asked for: the class, and which of ``x`` ask for it."""
        if target is None:
            raise BaselineError(
                "Expected a target class for a baseline from the training images. Received: target=None. "
                "Give a target, or use a baseline without class such as zero()."
            )
        if x.shape[1:] != self.images.shape[1:]:
            raise BaselineError(
                f"Expected images of the training images' shape {self.images.shape[1:]}. Received: {x.shape[1:]}."
            )
        targets = np.broadcast_to(np.asarray(target), len(x))
        missing = sorted(set(targets.tolist()) - self.rows.keys())
        if missing:
            raise BaselineError(
                f"Expected targets among the training labels {sorted(self.rows)}. Received: target={missing}."
            )
        return [(int(label), np.flatnonzero(targets == label)) for label in np.unique(targets)]


class NearestSample(_TrainingImages):
    """See :func:`nearest`. The search is exact: the nearest by matrix products, then the best few measured directly."""

    _CANDIDATES = 8  # whose distances by matrix product are too close to call in float32 are never more than a few
    _QUERIES = 2048

    def __call__(self, x: Any, target: Any) -> np.ndarray:
        """The nearest training image of each target class, (n, h, w, c)."""
        x = np.asarray(x)
        return self.images[self.indices(x, target)].astype(x.dtype, copy=False)

    def indices(self, x: np.ndarray, target: Any) -> np.ndarray:
        """Which training images are nearest, (n,)."""
        found = np.empty(len(x), np.int64)
        for label, wanting in self.rows_of(x, target):
            rows = self.rows[label]
            candidates = self.images[rows].reshape(len(rows), -1).astype(np.float32, copy=False)
            half_norms = np.einsum("ij,ij->i", candidates, candidates) / 2
            for start in range(0, len(wanting), self._QUERIES):
                part = wanting[start : start + self._QUERIES]
                queries = x[part].reshape(len(part), -1).astype(np.float32, copy=False)
                found[part] = rows[_nearest_rows(queries, candidates, half_norms, self._CANDIDATES)]
        return found


def _nearest_rows(queries: np.ndarray, candidates: np.ndarray, half_norms: np.ndarray, few: int) -> np.ndarray:
    closeness = queries @ candidates.T
    closeness -= half_norms  # |q − c|² = |q|² − 2 (q·c − |c|²/2)
    few = min(few, len(candidates))
    best = np.argpartition(closeness, -few, axis=1)[:, -few:]
    best.sort(axis=1)  # the first in the data wins a tie
    differences = candidates[best].astype(np.float64) - queries[:, None]
    choice = np.einsum("ijk,ijk->ij", differences, differences).argmin(1)
    return best[np.arange(len(queries)), choice]


class RandomSample(_TrainingImages):
    """See :func:`random_sample`."""

    def __init__(self, x_train: Any, y_train: Any, *, seed: int = 0):
        super().__init__(x_train, y_train)
        self.seed = seed

    def __call__(self, x: Any, target: Any) -> np.ndarray:
        """One training image of each target class, (n, h, w, c)."""
        return self.draw(x, target, count=1, seed=self.seed)[:, 0]

    def draw(self, x: Any, target: Any, *, count: int, seed: int) -> np.ndarray:
        """``count`` training images of each target class, (n, count, h, w, c), without replacement while they last."""
        x = np.asarray(x)
        drawn = np.empty((len(x), count, *x.shape[1:]), x.dtype)
        for label, wanting in self.rows_of(x, target):
            rows = self.rows[label]
            for index in wanting:
                generator = image_generator(x[index], seed, f"sample of class {label}")
                drawn[index] = self.images[rows[without_replacement(len(rows), count, generator)]]
        return drawn
