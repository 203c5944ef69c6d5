"""ROAR, remove and retrain, for one-vs-one maps of pairs of classes, and the area over its curve."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import check_count, row_slices
from tf_ganmex.classifier.checks import check_images
from tf_ganmex.errors import LabelError, OptionError
from tf_ganmex.files import write_text
from tf_ganmex.metrics.perturbation import attribution_ranks, check_maps
from tf_ganmex.metrics.retraining import Removable, Retrainer

__all__ = ["RoarArea", "class_pairs", "one_pair", "remove_top", "roar", "roar_area"]

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
REPEATS = 3
_FORMAT = 1
_FEATURES_AT_ONCE = 2**22

Split = tuple[Any, Any, Any]  # images (n, h, w, c), their classes (n,), their maps (n, h, w, c)


def roar(
    train: Split,
    test: Split,
    *,
    retrainer: Retrainer | None = None,
    fractions: Sequence[float] = FRACTIONS,
    repeats: int = REPEATS,
    seed: int = 0,
    fill: Any = None,
    directory: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The accuracy of classifiers retrained without the features that the maps call most important.

    For each fraction, that part of every image's features with the highest signed attribution is replaced by the
    training images' mean of its channel, in the training and in the test images; a fresh classifier is trained and
    tested on them. For one-vs-one maps the images are those of two classes, each explained against the other:
    :func:`one_pair` chooses them. What was removed shows, and can tell the class by itself: give the maps of random
    numbers, too, as the case to compare with. For the order of magnitude instead, give |A|.

    Args:
        train: images (n, h, w, c), their classes (n,), and their maps (n, h, w, c).
        test: likewise.
        retrainer: what trains the classifiers; one for all calls with images of this shape compiles once. None: one
            with the defaults.
        fractions: of the features, each in (0, 1]; none removed is measured besides.
        repeats: retrainings for each fraction, with seeds ``seed``, ``seed + 1``, ...
        seed: of the first.
        fill: what replaces a feature, (c,) or a number; None: the training images' mean of its channel.
        directory: where every finished retraining is kept, and found again by its images, maps and settings; the
            retrainings without removal are then shared by all maps of the same images. None: nowhere.
        progress: is called after each retraining with how many are done, and how many there are.

    Returns:
        Test accuracies (repeats, 1 + fractions), the first without removal.

    Raises:
        ImageError, LabelError, OptionError: for arguments that do not fit.
        TrainingDivergedError: if a loss was not finite.

    Reference:
        Hooker et al., "A Benchmark for Interpretability Methods in Deep Neural Networks", arXiv:1806.10758; for pairs
        of classes Shih et al., "GANMEX", arXiv:2011.06015, appendix C.2. The pairs, the fractions, the order by signed
        attribution and the number of repeats are choices of ours.
    """
    shape = (None, None, None) if retrainer is None else retrainer.input_shape
    train, test = _check_split(train, "train", shape), _check_split(test, "test", shape)
    if retrainer is None:
        retrainer = Retrainer(train[0].shape[1:], len(np.unique(train[1])))
    splits, key = _prepare(train, test, retrainer, fill)
    counts = [0, *(_feature_count(fraction, splits[0].ranks.shape[1:]) for fraction in fractions)]
    seeds = range(check_count(seed, "seed", 0), seed + check_count(repeats, "repeats"))
    accuracies = np.empty((repeats, len(counts)))
    for done, (row, column) in enumerate(np.ndindex(accuracies.shape), 1):
        task = _Retraining(retrainer, *splits, count=counts[column], seed=seeds[row])
        accuracies[row, column] = task.run() if directory is None else task.run_once(Path(directory), key)
        if progress is not None:
            progress(done, accuracies.size)
    return accuracies


@dataclass(frozen=True)
class RoarArea:
    """The area over ROAR curves, and how much it varies.

    Attributes:
        mean: over pairs and repeats.
        per_pair: (pairs,), the mean over repeats.
        over_pairs: standard deviation of ``per_pair``; NaN of one pair.
        over_repeats: standard deviation over repeats of the mean over pairs; NaN of one repeat.
    """

    mean: float
    per_pair: tuple[float, ...]
    over_pairs: float
    over_repeats: float


def roar_area(accuracies: Any) -> RoarArea:
    """AORoarC: the mean over fractions of the accuracy lost, (1/F) · Σ_f (acc_0 − acc_f); high for good maps.

    Args:
        accuracies: (pairs, repeats, 1 + fractions), what :func:`roar` returned for each pair; or of one pair.

    Returns:
        Its mean and spread.

    Raises:
        OptionError: for another shape.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, appendix C.2 and Table 3; the paper gives no formula.
    """
    array = np.asarray(accuracies, np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in array.shape or array.shape[2] < 2:
        raise OptionError(f"Expected accuracies (pairs, repeats, 1 + fractions). Received: shape={array.shape}.")
    areas = (array[..., :1] - array[..., 1:]).mean(-1)
    return RoarArea(float(areas.mean()), tuple(areas.mean(1).tolist()), _spread(areas.mean(1)), _spread(areas.mean(0)))


def class_pairs(num_classes: int, *, every: bool = False) -> list[tuple[int, int]]:
    """Pairs of classes to retrain on: (0, 1), (2, 3), ..., or all of them.

    Args:
        num_classes: at least 2; of an odd number the last is left out of the disjoint pairs.
        every: all num_classes · (num_classes − 1) / 2 pairs.

    Returns:
        The pairs.
    """
    classes = range(check_count(num_classes, "num_classes", 2))
    return list(itertools.combinations(classes, 2) if every else zip(classes[::2], classes[1::2], strict=False))


def one_pair(x: Any, y: Any, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images of two classes, with the origin and the target to explain each by.

    Args:
        x: images (n, h, w, c).
        y: their classes (n,).
        pair: two classes.

    Returns:
        Images (m, h, w, c), their classes (m,), and the other class of the pair (m,).

    Raises:
        LabelError: if the pair is none, or one of them has no image.
    """
    x, y = np.asarray(x), np.asarray(y)
    missing = [label for label in pair if not (y == label).any()]
    if len(pair) != 2 or pair[0] == pair[1] or missing:
        raise LabelError(f"Expected two classes that have images. Received: pair={pair}; without images: {missing}.")
    rows = np.flatnonzero((y == pair[0]) | (y == pair[1]))
    return x[rows], y[rows], sum(pair) - y[rows]


def remove_top(x: Any, attributions: Any, fraction: float, fill: Any) -> np.ndarray:
    """Images without their most important features, as :func:`roar` trains on them: to look at.

    Args:
        x: images (n, h, w, c).
        attributions: maps (n, h, w, c); the highest first, equal ones in a random order that is the same for
            all.
        fraction: of the h·w·c features, in [0, 1].
        fill: what replaces them, (c,) or a number: the training images' mean of each channel.

    Returns:
        New images (n, h, w, c).

    Raises:
        ImageError, OptionError: for arguments that do not fit.
    """
    x = np.asarray(x)
    ranks = attribution_ranks(check_maps(attributions, x.shape))
    count = _feature_count(fraction, x.shape[1:]) if fraction else 0
    return np.where(ranks < count, np.asarray(fill, x.dtype), x)


@dataclass(frozen=True)
class _Retraining:
    retrainer: Retrainer
    train: Removable
    test: Removable
    count: int
    seed: int

    def run(self) -> float:
        return self.retrainer.accuracy(self.train, self.test, count=self.count, seed=self.seed)

    def run_once(self, directory: Path, key: tuple[str, str]) -> float:
        """The accuracy that is on disk, or else a retraining whose accuracy is written there."""
        images, maps = key
        parts = [_FORMAT, images, maps if self.count else "", self.count, self.retrainer.fingerprint(self.seed)]
        path = directory / f"{hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()}.json"
        found = _read_accuracy(path)
        if found is not None:
            return found
        start = time.perf_counter()
        accuracy = self.run()
        facts = {"accuracy": accuracy, "removed": self.count, "seed": self.seed}
        write_text(path, json.dumps(facts | {"seconds": round(time.perf_counter() - start, 2)}) + "\n")
        return accuracy


def _read_accuracy(path: Path) -> float | None:
    try:
        return float(json.loads(path.read_text())["accuracy"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _prepare(
    train: Split, test: Split, retrainer: Retrainer, fill: Any
) -> tuple[tuple[Removable, Removable], tuple[str, str]]:
    """Both splits as tensors, and hashes of their images and labels, and of their ranks."""
    classes = np.unique(train[1])
    if len(classes) != retrainer.num_classes or not np.isin(test[1], classes).all():
        raise LabelError(
            f"Expected training images of {retrainer.num_classes} classes, and test images of the same. Received: "
            f"{classes.tolist()} and {np.unique(test[1]).tolist()}."
        )
    fill = _check_fill(train[0].mean((0, 1, 2), dtype=np.float64) if fill is None else fill, train[0].shape[-1])
    images, maps = hashlib.blake2b(digest_size=16), hashlib.blake2b(fill.tobytes(), digest_size=16)
    splits = []
    for x, y, attributions in (train, test):
        labels, ranks = np.asarray(np.searchsorted(classes, y)), _ranks(attributions, retrainer.rank_dtype)
        for digest, array in ((images, x), (images, labels), (maps, ranks)):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        splits.append(retrainer.removable(x, labels, ranks, fill))
    return (splits[0], splits[1]), (images.hexdigest(), maps.hexdigest())


def _check_fill(fill: Any, channels: int) -> np.ndarray:
    values = np.asarray(fill)
    if values.shape not in {(), (channels,)} or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise OptionError(
            f"Expected fill as a number, or one for each of {channels} channels. Received: fill={fill!r}."
        )
    return np.broadcast_to(values.astype(np.float32), (channels,))


def _check_split(split: Split, name: str, shape: Sequence[int | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not isinstance(split, Sequence) or len(split) != 3:
        raise OptionError(f"Expected {name} as (images, classes, maps). Received: {type(split).__name__}.")
    x = check_images(split[0], shape, (-np.inf, np.inf), name=f"images of {name}")
    y = np.asarray(split[1])
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise LabelError(
            f"Expected the classes of {name} as {len(x)} integers. Received: shape={y.shape}, dtype={y.dtype}."
        )
    return x, y, check_maps(split[2], x.shape)


def _ranks(maps: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """As :func:`attribution_ranks`, in a small type and with little memory besides."""
    ranks = np.empty(maps.shape, dtype)
    for rows in row_slices(len(maps), max(1, _FEATURES_AT_ONCE // maps[0].size)):
        ranks[rows] = attribution_ranks(maps[rows])
    return ranks


def _feature_count(fraction: float, shape: Sequence[int]) -> int:
    features = int(np.prod(shape))
    count = round(fraction * features) if 0 < fraction <= 1 else 0
    if not count:
        raise OptionError(
            f"Expected fractions in (0, 1], of at least one of {features} features. Received: fraction={fraction!r}."
        )
    return count


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
