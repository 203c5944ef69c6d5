"""Baselines: callables (x, target) -> images shaped like x.

``x`` are images (n, h, w, c), ``target`` the classes (n,) that the baselines should belong to, or None for one-vs-all.
Black is the low end of the value range. GANMEX is the same kind of callable: ``gan.generate``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from tf_ganmex._nearest import Candidates, closest
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
    if sigma is not None and not (isinstance(sigma, int | float | np.number) and 0 < sigma < np.inf):
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
        if labels.dtype.kind not in "iu":
            raise BaselineError(f"Expected integer labels in y_train. Received: y_train.dtype={labels.dtype}.")
        if self.images.dtype.kind == "f" and not np.isfinite(self.images.sum(dtype=np.float64)):
            raise BaselineError("Expected finite values in x_train. Received: NaN or infinity.")
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
        targets = np.asarray(target)
        if targets.shape not in {(), (len(x),)}:
            raise BaselineError(f"Expected a target, or one for each of {len(x)} images. Received: target={target!r}.")
        targets = np.broadcast_to(targets, len(x))
        missing = sorted(set(targets.tolist()) - self.rows.keys())
        if missing:
            raise BaselineError(
                f"Expected targets among the training labels {sorted(self.rows)}. Received: target={missing}."
            )
        return [(int(label), np.flatnonzero(targets == label)) for label in np.unique(targets)]


class NearestSample(_TrainingImages):
    """See :func:`nearest`. The search is exact: by matrix products, then those too close to call measured directly."""

    _QUERIES = 2048
    _PRODUCTS = 2**24  # queries times candidates at a time
    _VALUES = 2**23  # of candidates at a time
    _READY = 2**28  # bytes of candidates that stay ready for the next call

    def __init__(self, x_train: Any, y_train: Any):
        super().__init__(x_train, y_train)
        self._ready: dict[int, Candidates] = {}  # by the row of the first

    def __getstate__(self) -> dict[str, Any]:
        """What a process that this is sent to needs."""
        return vars(self) | {"_ready": {}}

    def __call__(self, x: Any, target: Any) -> np.ndarray:
        """The nearest training image of each target class, (n, h, w, c)."""
        x = np.asarray(x)
        return self.images[self.indices(x, target)].astype(x.dtype, copy=False)

    def indices(self, x: np.ndarray, target: Any) -> np.ndarray:
        """Which training images are nearest, (n,); the first of several that are."""
        found = np.empty(len(x), np.int64)
        most = max(1, self._VALUES // self.images[0].size)
        for label, wanting in self.rows_of(x, target):
            rows = self.rows[label]
            blocks = [rows[start : start + most] for start in range(0, len(rows), most)]
            of_each = np.stack([self._nearest(block, x, wanting) for block in blocks], 1)
            found[wanting] = closest(self.images, x[wanting], of_each.ravel(), np.full(len(wanting), len(blocks)))
        return found

    def _nearest(self, rows: np.ndarray, x: np.ndarray, wanting: np.ndarray) -> np.ndarray:
        candidates = self._candidates(rows)
        step = min(self._QUERIES, max(1, self._PRODUCTS // len(rows)))
        parts = (x[wanting[start : start + step]] for start in range(0, len(wanting), step))
        return np.concatenate([candidates.nearest(part) for part in parts])

    def _candidates(self, rows: np.ndarray) -> Candidates:
        ready = self._ready.get(int(rows[0]))
        if ready is None:
            ready = Candidates(self.images, rows)
            if ready.nbytes + sum(each.nbytes for each in self._ready.values()) <= self._READY:
                self._ready[int(rows[0])] = ready
        return ready


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
