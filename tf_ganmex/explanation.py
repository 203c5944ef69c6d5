"""``explain``: one call from an image and a target to an object that holds everything the picture needs."""

from __future__ import annotations

import inspect
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_ganmex import attributions as methods
from tf_ganmex import baselines
from tf_ganmex.attributions.expected_gradients import check_samples
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
from tf_ganmex.errors import ImageError, ModelError, OptionError
from tf_ganmex.files import replaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = tuple(methods.__all__)
_WITHOUT_BASELINE = {"gradient"}
_COMPLETE = {"integrated_gradients", "expected_gradients", "deeplift", "deepshap"}
_SHOWN_SAMPLES = 20  # of the reference images of expected gradients that their picture is the mean of
_NAMED_BASELINES: dict[str, Callable[[], Any]] = {
    "zero": baselines.zero,
    "maximum": baselines.maximum,
    "blurred": baselines.blurred,
}
_FORMAT = 1
_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
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
        path = Path(path)
        path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        arrays: dict[str, Any] = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        rest = {name: value for name, value in vars(self).items() if name not in arrays}
        about = json.dumps({"format": _FORMAT, **rest}, default=_plain)
        with replaced(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, about=np.array(about), **arrays)
        return path


def _plain(value: Any) -> Any:
    """A NumPy number or array as JSON knows them; the name of anything else."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


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
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, *_BAD_ARCHIVE) as error:
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
            One class may be given by its name.
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
    if not isinstance(clf, Classifier):
        raise ModelError(
            f"Expected a classifier from load_classifier. Received: clf of type {type(clf).__name__}. "
            "Pass gx.load_classifier(model)."
        )
    target, origin = _class_number(clf, target), _class_number(clf, origin)
    if method not in METHODS:
        raise OptionError(f"Expected method to be one of {METHODS}. Received: method={method!r}.")
    _check_options(method, options)
    x = np.asarray(x)
    x = x[None] if x.ndim == 3 else x
    if origin is None:
        origin = clf.predict(x)
    problem = pose(clf, x, origin, target, score)
    chosen = None if method in _WITHOUT_BASELINE else _baseline_for(problem, baseline, method)
    arguments = () if chosen is None else (chosen,)
    maps = getattr(methods, method)(clf, problem.x, problem.origin, target, *arguments, score=score, **options)
    before = _scores(clf, problem.x, score)
    image, after, drop = (None, None, None) if chosen is None else _comparison(problem, chosen, before)
    drawn = method == "expected_gradients" and callable(chosen)
    return Explanation(
        x=problem.x,
        attributions=maps,
        baseline=image,
        origin=problem.origin,
        target=AVERAGE if isinstance(target, str) else problem.target,
        method=method,
        options=options,
        score=score,
        scores_before=before,
        scores_after=after,
        completeness_gap=_gap(maps, drop if method in _COMPLETE and not drawn else None),
        class_names=tuple(clf.class_names),
        value_range=clf.value_range,
    )


def _check_options(method: str, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(getattr(methods, method)).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise OptionError(f"Expected options of {method}, which are {known}. Received: {unknown}.")


def _baseline_for(problem: Problem, baseline: Any, method: str) -> Any:
    """The baseline as images, made once for the map and the picture; a callable where each target needs its own."""
    if baseline is None:
        raise OptionError(
            f"Expected a baseline for {method}. Received: baseline=None. Pass gan.generate, a baseline of "
            "gx.baselines, images, or 'zero'."
        )
    if method == "expected_gradients":
        return check_samples(problem, _named(baseline))
    checked = check_baseline(problem, _named(baseline))
    if not callable(checked) or asks_every_target(problem, checked):
        return checked
    return baseline_images(problem, checked, slice(None))


def _class_number(clf: Classifier, label: Any) -> Any:
    """The number of a class given by name; anything else as it is."""
    named = isinstance(label, str) and label != AVERAGE and label in clf.class_names
    return clf.class_names.index(label) if named else label


def _named(baseline: Any) -> Any:
    if not isinstance(baseline, str):
        return baseline
    if baseline not in _NAMED_BASELINES:
        raise OptionError(
            f"Expected a baseline called one of {tuple(_NAMED_BASELINES)}, images, or a callable. "
            f"Received: baseline={baseline!r}."
        )
    return _NAMED_BASELINES[baseline]()


def _comparison(problem: Problem, baseline: Any, before: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over the baselines, and over the targets where each has its own: the image, its scores, Δ(x) − Δ(x̃)."""
    if hasattr(baseline, "draw"):
        draw = baseline.draw
        baseline = lambda x, target: draw(x, target, count=_SHOWN_SAMPLES, seed=0)  # noqa: E731
    parts = list(every_target(problem)) if asks_every_target(problem, baseline) else [problem]
    image, after, drop = np.zeros_like(problem.x), np.zeros_like(before), np.zeros_like(before[:, 0])
    for part in parts:
        images = baseline_images(part, baseline, slice(None)) if callable(baseline) else baseline
        scores = _mean_scores(part.clf, images, part.score)
        image += images.mean(1)
        after += scores
        drop += ((before - scores) * part.contrast).sum(-1)
    count = before.dtype.type(len(parts))
    return image / count, after / count, drop / count


def _scores(clf: Classifier, x: np.ndarray, score: str) -> np.ndarray:
    return clf.probabilities(x) if score == "probability" else clf.logits(x)


def _mean_scores(clf: Classifier, images: np.ndarray, score: str) -> np.ndarray:
    return _scores(clf, images.reshape(-1, *images.shape[2:]), score).reshape(*images.shape[:2], -1).mean(1)


def _gap(maps: np.ndarray, drop: np.ndarray | None) -> np.ndarray:
    """Sum of the map minus what it should be, Δ(x) − Δ(x̃); NaN where nothing is promised."""
    return np.full(len(maps), np.nan, maps.dtype) if drop is None else maps.reshape(len(maps), -1).sum(1) - drop
