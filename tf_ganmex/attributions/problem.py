"""What every attribution method is asked: images, score deltas, baselines; checked once, then served in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.checks import check_images, check_labels
from tf_ganmex.classifier.classifier import check_score
from tf_ganmex.errors import BaselineError, LabelError, OptionError

Baseline = Any  # (h, w, c), (n, h, w, c), (n or 1, k, h, w, c), or a callable (x, target) -> images like x

AVERAGE = "average"
MAKERS = {"zero", "maximum", "blurred", "nearest", "random_sample"}  # functions that make a baseline
_FEATURES_PER_BATCH = 3 * 2**20  # input features in flight: with the activations behind them, some hundred MB
_BASELINE_FEATURES = 2**23  # features of the baselines made at a time: a search reads its candidates once for all
_MAX_BATCH = 512


@dataclass(frozen=True)
class Problem:
    """Images (n, h, w, c) with the score delta of each, as the contrast (n, classes) with which scores are summed."""

    clf: Classifier
    x: np.ndarray
    origin: np.ndarray
    target: np.ndarray | None
    contrast: np.ndarray
    score: str

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | np.ndarray) -> Problem:
        target = None if self.target is None else self.target[rows]
        return Problem(self.clf, self.x[rows], self.origin[rows], target, self.contrast[rows], self.score)


def pose(clf: Classifier, x: Any, origin: Any, target: Any, score: str) -> Problem:
    """Checks the arguments that all methods share.

    Raises:
        ImageError: if ``x`` does not fit the classifier.
        LabelError: if ``origin`` or ``target`` are no classes of it, or equal.
        OptionError: for an unknown score.
    """
    check_score(score)
    x = clf.check_images(x)
    origin = check_labels(origin, len(x), clf.num_classes, name="origin")
    if isinstance(target, str):
        if target != AVERAGE:
            raise LabelError(f"Expected target to be classes, None or 'average'. Received: target={target!r}.")
        return Problem(clf, x, origin, None, _average_contrast(clf, origin), score)
    contrast = clf.contrast(origin, target, len(x))
    if target is not None:
        target = check_labels(target, len(x), clf.num_classes, name="target")
    return Problem(clf, x, origin, target, contrast, score)


def _average_contrast(clf: Classifier, origin: np.ndarray) -> np.ndarray:
    """The mean over all other classes of the one-vs-one contrasts."""
    others = 1 - np.eye(clf.num_classes, dtype=clf.dtype)[origin]
    return (1 - others) - others / (clf.num_classes - 1)


def every_target(problem: Problem) -> Iterator[Problem]:
    """The one-vs-one problems whose mean is the average: the origin against its 1st, 2nd, ... other class."""
    classes = problem.clf.num_classes
    for offset in range(1, classes):
        target = (problem.origin + offset) % classes
        contrast = problem.clf.contrast(problem.origin, target, len(problem))
        yield Problem(problem.clf, problem.x, problem.origin, target, contrast, problem.score)


def mean_over_targets(problem: Problem, explain: Callable[[Problem], np.ndarray]) -> np.ndarray:
    """The mean of the one-vs-one maps, added up one at a time."""
    total = np.zeros_like(problem.x)
    for part in every_target(problem):
        total += explain(part)
    return total / problem.clf.dtype.type(problem.clf.num_classes - 1)


def check_baseline(problem: Problem, baseline: Baseline) -> Baseline:
    """``baseline`` as a callable, or as an array (n or 1, k, h, w, c) in the classifier's type.

    Raises:
        BaselineError: if its shape or values do not fit the images.
    """
    if getattr(baseline, "__qualname__", "") in MAKERS and baseline.__module__ == "tf_ganmex.baselines":
        name = baseline.__name__
        raise BaselineError(f"Expected a baseline. Received: the function gx.baselines.{name}. Call it: {name}().")
    baseline = getattr(baseline, "generate", baseline)  # a GANMEX model
    if hasattr(baseline, "in_value_range"):  # the same image whatever the target: no need to ask for each
        baseline = baseline.in_value_range(problem.clf.value_range)(problem.x[0])
    if callable(baseline):
        return baseline
    array = np.asarray(baseline)
    if array.ndim == 3:
        array = array[None, None]
    elif array.ndim == 4:
        array = array[:, None]
    return check_baseline_array(problem, array, shared=True)


def baseline_images(problem: Problem, baseline: Baseline, rows: slice) -> np.ndarray:
    """The baselines (rows, k, h, w, c) of some rows of a problem, made by the callable or taken from the array."""
    if not callable(baseline):
        return np.broadcast_to(baseline, (len(problem), *baseline.shape[1:]))[rows]
    part = problem[rows]
    made = np.asarray(baseline(part.x, part.target))
    if made.ndim == part.x.ndim:
        made = made[:, None]
    return check_baseline_array(part, made, shared=False)


def check_baseline_array(problem: Problem, array: np.ndarray, *, shared: bool) -> np.ndarray:
    """Baselines (n, k, h, w, c), or (1, k, h, w, c) where they may be ``shared``; BaselineError otherwise."""
    shape = problem.x.shape[1:]
    counts = (1, len(problem)) if shared else (len(problem),)
    if array.ndim != 5 or array.shape[2:] != shape or len(array) not in counts or array.shape[1] == 0:
        raise BaselineError(
            f"Expected a baseline of shape {shape} (one for all), {problem.x.shape} (one per image), "
            f"(n or 1, k, {', '.join(map(str, shape))}) (several), or a callable (x, target) -> images shaped like x. "
            f"Received: shape={array.shape}."
        )
    clf = problem.clf
    flat = array.reshape(-1, *shape)
    checked = check_images(flat, shape, clf.value_range, clf.dtype, name="baseline", error=BaselineError)
    return checked.reshape(array.shape)


def explain_in_batches(
    problem: Problem, baseline: Baseline, method: Callable[[Problem, np.ndarray], np.ndarray], batch: int
) -> np.ndarray:
    """The mean over each image's baselines of ``method(problem, baselines)``, ``batch`` image-baseline pairs at a time.

    A callable baseline sees each target on its own, so that with the average over all targets every one-vs-one map
    has the baseline of its own target.

    Args:
        problem: the question.
        baseline: as :func:`check_baseline` returns it.
        method: from a problem of m rows and baselines (m, h, w, c) to maps (m, h, w, c).
        batch: how many rows ``method`` is given; the last call is padded to it.

    Returns:
        Maps (n, h, w, c).
    """
    if asks_every_target(problem, baseline):
        return mean_over_targets(problem, lambda part: explain_in_batches(part, baseline, method, batch))
    maps = np.empty_like(problem.x)
    for block in row_slices(len(problem), max(batch, _BASELINE_FEATURES // problem.x[0].size)):
        baselines = baseline_images(problem, baseline, block)
        maps[block] = _explain_block(problem[block], baselines, method, batch)
    return maps


def _explain_block(
    problem: Problem, baselines: np.ndarray, method: Callable[[Problem, np.ndarray], np.ndarray], batch: int
) -> np.ndarray:
    maps, count = np.zeros_like(problem.x), baselines.shape[1]
    for pairs in row_slices(len(problem) * count, batch):
        rows, which = np.divmod(np.arange(pairs.start, pairs.stop), count)
        found = method(pad(problem[rows], batch), pad_rows(baselines[rows, which], batch))
        for row, one in zip(rows, found, strict=False):
            maps[row] += one
    return maps / problem.clf.dtype.type(count)


def pair_count(problem: Problem, baseline: Baseline) -> int:
    """How many pairs of an image and a baseline there are, of :func:`check_baseline`'s; a callable returns one each."""
    return len(problem) * (1 if callable(baseline) else baseline.shape[1])


def row_slices(count: int, size: int) -> Iterator[slice]:
    """Slices of ``size`` rows that cover ``count`` rows."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def asks_every_target(problem: Problem, baseline: Baseline) -> bool:
    """Whether the average has to be taken target by target: only where the baseline depends on the target."""
    return callable(baseline) and problem.target is None and bool((problem.contrast < 0).any())


def pad(problem: Problem, rows: int) -> Problem:
    """``problem`` brought to ``rows`` images by repeating its last one, so that one compiled shape serves all."""
    target = None if problem.target is None else pad_rows(problem.target, rows)
    return Problem(
        problem.clf,
        pad_rows(problem.x, rows),
        pad_rows(problem.origin, rows),
        target,
        pad_rows(problem.contrast, rows),
        problem.score,
    )


def pad_rows(array: np.ndarray, rows: int) -> np.ndarray:
    """``array`` with its last row repeated until it has ``rows``."""
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, 0)]) if missing > 0 else array


def evaluations_at_once(problem: Problem, batch_size: int | None, *, held: int = 1) -> int:
    """How many images go through the classifier at a time: ``batch_size``, or by default what their size allows.

    Args:
        problem: the images.
        batch_size: given by the user.
        held: passes through the classifier that are in memory for each of them.

    Raises:
        OptionError: if ``batch_size`` is less than one.
    """
    if batch_size is not None:
        return check_count(batch_size, "batch_size")
    return min(_MAX_BATCH, max(1, _FEATURES_PER_BATCH // (held * problem.x[0].size)))


def even_batches(count: int, most: int) -> int:
    """The size of the batches, ``most`` at most, that ``count`` divides into with the least padding of the last."""
    return -(-count // -(-count // most))


def power_of_two(least: int) -> int:
    """The smallest power of two that is at least ``least``: few batch sizes, so few compilations."""
    return 1 << (least - 1).bit_length()


def check_count(value: Any, name: str, least: int = 1) -> int:
    """``value`` as an int of at least ``least``; OptionError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise OptionError(f"Expected {name} to be an integer of at least {least}. Received: {name}={value!r}.")
    return int(value)
