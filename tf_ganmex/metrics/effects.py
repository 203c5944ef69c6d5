"""What changing a single feature does to the score delta; it depends on no map, so that all maps can share it."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from tf_ganmex.attributions.problem import (
    Baseline,
    Problem,
    check_baseline,
    check_count,
    evaluations_at_once,
    even_batches,
    explain_in_batches,
    pose,
    row_slices,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.draws import image_generator
from tf_ganmex.files import replaced
from tf_ganmex.metrics.single_changes import SingleChanges

_FEATURES = 2**18  # features of the images whose effects are held at a time
_SECONDS = 15  # between two files: what an interruption loses


def flip_drops(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    score: str = "probability",
    *,
    replacement: Baseline | None = None,
    batch_size: int | None = None,
) -> np.ndarray:
    """How much the score delta drops when one feature alone is flipped: Δ(x) − Δ(x with x_i → low + high − x_i).

    The same as occlusion with the flipped image for a baseline, but to the precision of the logits also where
    probabilities are 1 but for rounding: in float32 nearly all drops of an image with a probability above 1 − 6e-8
    are zero.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,).
        target: class or classes (n,), None for S_origin alone, or ``"average"``.
        score: ``"probability"`` or ``"logit"``.
        replacement: a baseline whose values are put in place of the flipped ones.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        Drops (n, h, w, c), exactly 0 for a feature that keeps its value.

    Raises:
        ImageError, LabelError, BaselineError, OptionError: for arguments that do not fit.

    Reference:
        Alvarez-Melis & Jaakkola, arXiv:1806.07538; GANMEX, C.4.
    """
    problem = pose(clf, x, origin, target, score)
    return drops_of(problem, evaluations_at_once(problem, batch_size), replacement)


def drops_of(problem: Problem, evaluations: int, replacement: Baseline | None = None) -> np.ndarray:
    """:func:`flip_drops` of a problem."""
    low, high = problem.clf.value_range
    baseline = low + high - problem.x if replacement is None else replacement

    def method(part: Problem, baselines: np.ndarray) -> np.ndarray:
        return _drops(part, baselines, evaluations)

    rows = even_batches(len(problem), max(1, _FEATURES // problem.x[0].size))
    return explain_in_batches(problem, check_baseline(problem, baseline), method, rows)


def draw_effects(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    draws: int = 100,
    seed: int = 0,
    score: str = "probability",
    *,
    stratified: bool = False,
    batch_size: int | None = None,
) -> np.ndarray:
    """The mean squared change of the score delta when one feature alone is drawn at random: E[(Δ(x_{i←u}) − Δ(x))²].

    u is uniform over the value range, drawn anew for each feature. It costs ``draws`` evaluations a feature; with
    ``stratified`` each of as many equal parts of the range gives one draw, which is still uniform over the range, and
    ten draws tell the effects better than a hundred independent ones.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,).
        target: class or classes (n,), None for S_origin alone, or ``"average"``.
        draws: values of u for each feature.
        seed: of the draws, which depend on it and the image alone.
        score: ``"probability"`` or ``"logit"``.
        stratified: whether to draw from equal parts of the range in place of independently.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        Effects (n, h, w, c) in float64: squares of small drops.

    Raises:
        ImageError, LabelError, OptionError: for arguments that do not fit.

    Reference:
        Nguyen & Martínez, arXiv:2007.07584; GANMEX, C.4.
    """
    problem = pose(clf, x, origin, target, score)
    return effects_of(problem, evaluations_at_once(problem, batch_size), draws, seed, stratified)


def effects_of(problem: Problem, evaluations: int, draws: int, seed: int, stratified: bool) -> np.ndarray:
    """:func:`draw_effects` of a problem."""
    draws = check_count(draws, "draws")
    effects = np.empty(problem.x.shape, np.float64)
    for rows in row_slices(len(problem), max(1, _FEATURES // problem.x[0].size)):
        effects[rows] = _mean_squares(problem[rows], evaluations, draws, seed, stratified)
    return effects


def draw_generator(image: np.ndarray, seed: int) -> np.random.Generator:
    """Gives the draws of an image as fractions of the range: all features of the first, of the second, ..."""
    return image_generator(image, seed, "draws of one feature")


def _drops(problem: Problem, replacements: np.ndarray, evaluations: int) -> np.ndarray:
    values = replacements.reshape(len(problem), -1)
    rows, features = np.nonzero(problem.x.reshape(values.shape) != values)
    drops = np.zeros(values.shape, np.float64)
    if len(rows):
        changes = SingleChanges(problem, evaluations, len(rows))
        for part in row_slices(len(rows), changes.at_once):
            row, feature = rows[part], features[part]
            drops[row, feature] = -changes(row, feature, values[row, feature])
    return drops.reshape(problem.x.shape)


def _mean_squares(problem: Problem, evaluations: int, draws: int, seed: int, stratified: bool) -> np.ndarray:
    features = problem.x[0].size
    low, high = problem.clf.value_range
    generators = [draw_generator(image, seed) for image in problem.x]
    sums = np.zeros(len(problem) * features)
    changes = SingleChanges(problem, evaluations, len(problem) * draws * features)
    for part in row_slices(len(problem) * draws * features, changes.at_once):
        # Evaluations in a row: of an image all draws, of a draw all features. They are never held all at once.
        row, place = np.divmod(np.arange(part.start, part.stop), draws * features)
        draw, feature = np.divmod(place, features)
        counts = np.bincount(row - row[0])
        u = np.concatenate([generators[row[0] + image].random(count) for image, count in enumerate(counts)])
        if stratified:
            u = (draw + u) / draws
        np.add.at(sums, row * features + feature, changes(row, feature, low + (high - low) * u) ** 2)
    return sums.reshape(problem.x.shape) / draws


# --- kept on disk -----------------------------------------------------------------------------------------------------


class StoredEffects:
    """:func:`flip_drops` and :func:`draw_effects` that keep what they have computed in a folder.

    Every image is found again by its pixels, its question and the classifier's fingerprint, whatever other images are
    asked for with it and in whatever order. An interrupted call loses the work of some seconds; the next one goes on.
    Several processes may share a folder. Nothing is kept for a callable that cannot be traced: it has no fingerprint.

    Args:
        folder: where to keep them; made when there is something to keep.
        progress: whether to show a progress bar while something is computed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, progress: bool = True):
        self.folder = Path(folder)
        self.progress = progress
        self._counts: dict[Path, int] = {}  # of images that take some seconds

    def flip_drops(
        self,
        clf: Classifier,
        x: Any,
        origin: Any,
        target: Any,
        score: str = "probability",
        *,
        replacement: Baseline | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """As :func:`flip_drops`; with a replacement, which columns do not share, nothing is kept."""
        if replacement is not None:
            return flip_drops(clf, x, origin, target, score, replacement=replacement, batch_size=batch_size)
        problem = pose(clf, x, origin, target, score)
        evaluations = evaluations_at_once(problem, batch_size)
        return self._kept(problem, "flips", lambda part: drops_of(part, evaluations))

    def draw_effects(
        self,
        clf: Classifier,
        x: Any,
        origin: Any,
        target: Any,
        draws: int = 100,
        seed: int = 0,
        score: str = "probability",
        *,
        stratified: bool = False,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """As :func:`draw_effects`."""
        problem = pose(clf, x, origin, target, score)
        evaluations = evaluations_at_once(problem, batch_size)
        name = f"{check_count(draws, 'draws')}-{'stratified-' if stratified else ''}draws-seed-{seed}"
        return self._kept(problem, name, lambda part: effects_of(part, evaluations, draws, seed, stratified))

    def _kept(self, problem: Problem, name: str, compute: Callable[[Problem], np.ndarray]) -> np.ndarray:
        fingerprint = problem.clf.fingerprint
        if not fingerprint:
            return compute(problem)
        folder = self.folder / f"{fingerprint}-{problem.score}-{name}"
        keys, checks = _keys(problem), _logit_deltas(problem)
        found = _read(folder, dict(zip(keys, checks, strict=True)))
        missing = [row for key, row in {key: row for row, key in enumerate(keys)}.items() if key not in found]
        with Progress(transient=True, disable=not (self.progress and missing)) as progress:
            bar = progress.add_task(name, total=len(keys), completed=len(keys) - len(missing))
            while missing:
                count = self._counts.get(folder, 1)
                rows, missing = missing[:count], missing[count:]
                started = time.monotonic()
                values = compute(_chosen(problem, rows))
                _write(folder, [keys[row] for row in rows], checks[rows], values)
                found |= {keys[row]: value for row, value in zip(rows, values, strict=True)}
                fitting = int(len(rows) * _SECONDS / (time.monotonic() - started + 1e-9))
                self._counts[folder] = max(1, min(2 * count, fitting))
                progress.advance(bar, len(rows))
        return np.stack([found[key] for key in keys])


def _chosen(problem: Problem, rows: Sequence[int]) -> Problem:
    target = None if problem.target is None else problem.target[rows]
    x, origin, contrast = problem.x[rows], problem.origin[rows], problem.contrast[rows]
    return replace(problem, x=x, origin=origin, target=target, contrast=contrast)


def _keys(problem: Problem) -> list[str]:
    """One key an image: the image, its question, and what of the classifier is not in its fingerprint."""
    common = f"{problem.clf.head} {problem.clf.value_range} {problem.x.shape[1:]} {problem.x.dtype}".encode()
    rows = zip(problem.x, problem.contrast, strict=True)
    parts = (common + contrast.tobytes() + image.tobytes() for image, contrast in rows)
    return [hashlib.blake2b(part, digest_size=16).hexdigest() for part in parts]


def _logit_deltas(problem: Problem) -> np.ndarray:
    """Tells classifiers apart that have the same weights but compute other things with them."""
    return (problem.clf.logits(problem.x) * problem.contrast).sum(-1)


def _write(folder: Path, keys: list[str], checks: np.ndarray, values: np.ndarray) -> None:
    name = hashlib.blake2b("".join(keys).encode(), digest_size=16).hexdigest()
    with replaced(folder / f"{name}.npz") as temporary:
        np.savez(temporary, keys=np.array(keys), checks=checks, values=values)


def _read(folder: Path, wanted: dict[str, float]) -> dict[str, np.ndarray]:
    """What the files of a folder hold of the keys that are wanted, for the same classifier."""
    found = {}
    for path in sorted(folder.glob("[!.]*.npz")):
        try:
            with np.load(path) as stored:
                keys = stored["keys"].tolist()
                if wanted.keys().isdisjoint(keys):
                    continue
                checks, values = stored["checks"], stored["values"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue  # not one of ours, or damaged: computed again
        for key, check, value in zip(keys, checks, values, strict=True):
            if key in wanted and np.isclose(check, wanted[key], rtol=1e-3, atol=1e-3):
                found[key] = value
    return found
