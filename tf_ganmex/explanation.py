"""``explain``: one call from an image and a target to an object that holds everything the picture needs."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_ganmex import attributions as methods
from tf_ganmex import baselines
from tf_ganmex.attributions.problem import (
    AVERAGE,
    Problem,
    asks_every_target,
    baseline_images,
    check_baseline,
    every_target,
    pose,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import ImageError, OptionError
from tf_ganmex.files import replaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = tuple(methods.__all__)
_WITHOUT_BASELINE = {"gradient"}
_COMPLETE = {"integrated_gradients", "expected_gradients", "deeplift", "deepshap"}
_SHOWN_SAMPLES = 20  # of the reference images of expected gradients that their picture is the mean of
_NAMED_BASELINES = {"zero": baselines.zero, "maximum": baselines.maximum, "blurred": baselines.blurred}
_FORMAT = 1


@dataclass(frozen=True)
class Explanation:
    """Why the classifier said origin and not target, for n images.

    Attributes:
        x: the images (n, h, w, c).
        attributions: the maps (n, h, w, c); positive speaks for origin, negative for target.
        baseline: what each image was compared with (n, h, w, c), the mean where there were several; None for methods
            without a baseline.
        origin: the class explained, (n,).
        target: the class compared with, (n,); None for one-vs-all; ``"average"``.
        method: the name of the method.
        options: the options it was called with.
        score: ``"probability"`` or ``"logit"``.
        scores_before: scores of the images (n, classes).
        scores_after: scores of their baselines (n, classes), or None.
        completeness_gap: sum of the map minus (Δ(x) − Δ(x̃)), (n,); NaN for methods that promise no completeness.
        class_names: a name for each class.
        value_range: lowest and highest value of an image.
    """

    x: np.ndarray
    attributions: np.ndarray
    baseline: np.ndarray | None
    origin: np.ndarray
    target: np.ndarray | str | None
    method: str
    score: str
    scores_before: np.ndarray
    scores_after: np.ndarray | None
    completeness_gap: np.ndarray
    class_names: tuple[str, ...]
    value_range: tuple[float, float]
    options: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def plot(self, **options: Any) -> Figure:
        """A figure of input, baseline and map, one row an image (see :func:`tf_ganmex.plotting.plot_explanation`)."""
        from tf_ganmex import plotting

        return plotting.plot_explanation(
            self.x,
            self.baseline,
            self.attributions,
            origin=self.origin,
            target=self.target,
            class_names=self.class_names,
            value_range=self.value_range,
            **options,
        )

    def save(self, path: str | os.PathLike) -> Path:
        """Writes everything to an ``.npz`` file, which :func:`load_explanation` reads; returns its path."""
        path = Path(path).with_suffix(".npz")
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        rest = {name: value for name, value in vars(self).items() if name not in arrays}
        with replaced(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps({"format": _FORMAT, **rest}, default=str)), **arrays)
        return path


def load_explanation(path: str | os.PathLike) -> Explanation:
    """Reads an explanation that :meth:`Explanation.save` wrote.

    Raises:
        ImageError: if the file is none.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name != "about"}
            about = json.loads(str(archive["about"]))
        if about.pop("format") != _FORMAT:
            raise ValueError("another format")
        about["class_names"], about["value_range"] = tuple(about["class_names"]), tuple(about["value_range"])
        return Explanation(**about, **arrays)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ImageError(f"Expected a file that Explanation.save wrote. Received: {path} ({error}).") from error


def explain(
    clf: Classifier,
    x: Any,
    *,
    target: Any,
    origin: Any = None,
    baseline: Any = None,
    method: str = "integrated_gradients",
    score: str = "probability",
    **options: Any,
) -> Explanation:
    """Explains why the classifier gives images ``origin`` and not ``target``.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range, or one image (h, w, c).
        target: class or classes (n,) to compare with; None for one-vs-all; ``"average"`` for the mean over all others.
        origin: class or classes (n,) to explain; None takes the predicted ones.
        baseline: what to compare the images with: (n, h, w, c), (h, w, c), (n or 1, k, h, w, c), a callable
            (x, target) -> images such as ``gan.generate`` or those of ``gx.baselines``, or ``"zero"``, ``"maximum"``
            or ``"blurred"``. For expected_gradients: its samples. Not needed for gradient.
        method: a function of ``gx.attributions`` by name.
        score: ``"probability"`` or ``"logit"``.
        **options: of the method.

    Returns:
        The :class:`Explanation`.

    Raises:
        OptionError: for an unknown method or option.
        ImageError, LabelError, BaselineError: for arguments that do not fit.
    """
    if method not in METHODS:
        raise OptionError(f"Expected method to be one of {METHODS}. Received: method={method!r}.")
    x = np.asarray(x)
    x = x[None] if x.ndim == len(clf.input_shape) else x
    if origin is None:
        origin = clf.predict(x)
    problem = pose(clf, x, origin, target, score)
    baseline = _named(baseline)
    function = getattr(methods, method)
    arguments = () if method in _WITHOUT_BASELINE else (_required(baseline, method),)
    try:
        maps = function(clf, problem.x, problem.origin, target, *arguments, score=score, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise OptionError(f"Expected options of {method}. Received: {error}.") from error
    compared = [] if method in _WITHOUT_BASELINE else _compared_with(problem, baseline, method)
    images = np.concatenate([images for _, images in compared], 1) if compared else None
    drawn = method == "expected_gradients" and callable(baseline)
    return Explanation(
        x=problem.x,
        attributions=maps,
        baseline=None if images is None else images.mean(1),
        origin=problem.origin,
        target=AVERAGE if isinstance(target, str) else problem.target,
        method=method,
        options=options,
        score=score,
        scores_before=_scores(clf, problem.x, score),
        scores_after=None if images is None else _mean_scores(clf, images, score),
        completeness_gap=_gap(maps, compared if method in _COMPLETE and not drawn else []),
        class_names=tuple(clf.class_names),
        value_range=clf.value_range,
    )


def _named(baseline: Any) -> Any:
    if not isinstance(baseline, str):
        return baseline
    if baseline not in _NAMED_BASELINES:
        raise OptionError(
            f"Expected a baseline called one of {tuple(_NAMED_BASELINES)}, images, or a callable. Received: {baseline!r}."
        )
    return _NAMED_BASELINES[baseline]()


def _required(baseline: Any, method: str) -> Any:
    if baseline is None:
        raise OptionError(
            f"Expected a baseline for {method}. Received: baseline=None. Pass gan.generate, a baseline of gx.baselines, "
            "images, or 'zero'."
        )
    return baseline


def _compared_with(problem: Problem, baseline: Any, method: str) -> list[tuple[Problem, np.ndarray]]:
    """The baselines (n, k, h, w, c) that the maps were made with; for the average, those of each target."""
    if method == "expected_gradients":
        baseline = _as_samples(baseline)
    checked = check_baseline(problem, baseline)
    parts = every_target(problem) if asks_every_target(problem, checked) else [problem]
    return [(part, baseline_images(part, checked, slice(None))) for part in parts]


def _as_samples(samples: Any) -> Any:
    """The samples of expected gradients as a baseline: an array of several, or a callable that draws a few."""
    if hasattr(samples, "draw"):
        return lambda x, target: samples.draw(x, target, count=_SHOWN_SAMPLES, seed=0)
    if callable(samples):
        return samples
    array = np.asarray(samples)
    return array[None] if array.ndim == 4 else array


def _scores(clf: Classifier, x: np.ndarray, score: str) -> np.ndarray:
    return clf.probabilities(x) if score == "probability" else clf.logits(x)


def _mean_scores(clf: Classifier, images: np.ndarray, score: str) -> np.ndarray:
    return _scores(clf, images.reshape(-1, *images.shape[2:]), score).reshape(*images.shape[:2], -1).mean(1)


def _gap(maps: np.ndarray, compared: list[tuple[Problem, np.ndarray]]) -> np.ndarray:
    """Sum of the map minus what it should be, the mean over baselines of Δ(x) − Δ(x̃); NaN where nothing is given."""
    if not compared:
        return np.full(len(maps), np.nan, maps.dtype)
    expected = []
    for part, images in compared:
        before = _scores(part.clf, part.x, part.score)
        after = _mean_scores(part.clf, images, part.score)
        expected.append(((before - after) * part.contrast).sum(-1))
    return maps.reshape(len(maps), -1).sum(1) - np.mean(expected, axis=0)
