"""Why the wrong class and not the right one: the images that a classifier gets wrong, explained and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tf_ganmex.attributions.problem import check_count
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.checks import check_labels
from tf_ganmex.errors import ImageError, LabelError, OptionError
from tf_ganmex.explanation import Explanation, explain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Misclassified", "explain_misclassified", "misclassified", "plot_misclassified"]

FIGURE_METHODS = ("integrated_gradients", "deeplift", "occlusion")  # of the paper's Figure 2.B
_SHORT = {
    "integrated_gradients": "IG", "expected_gradients": "EG", "deeplift": "DeepLIFT", "deepshap": "DeepSHAP",
    "occlusion": "Occlusion", "gradient": "gradient",
}  # fmt: skip


class Misclassified(NamedTuple):
    """The images that a classifier gets wrong.

    Attributes:
        indices: which of the images (m,), in their order.
        predicted: the class that the classifier gives each (m,).
    """

    indices: np.ndarray
    predicted: np.ndarray


def misclassified(clf: Classifier, x: Any, y: Any) -> Misclassified:
    """The images whose predicted class is not their label.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        y: their right classes (n,).

    Returns:
        Which they are, and what they are taken for.

    Raises:
        ImageError, LabelError: for arguments that do not fit.
    """
    x = clf.check_images(x)
    y = check_labels(y, len(x), clf.num_classes, name="y")
    predicted = clf.predict(x)
    indices = np.flatnonzero(predicted != y)
    return Misclassified(indices, predicted[indices])


def explain_misclassified(
    clf: Classifier,
    x: Any,
    y: Any,
    *,
    baseline: Any,
    methods: Sequence[str] = FIGURE_METHODS,
    limit: int | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    score: str = "probability",
) -> dict[str, Explanation]:
    """Explains mis-classified images: why the predicted class c_m and not the right one c_o.

    The map is A_{c_m → c_o}(x, B_{c_o}(x)): the baseline is what a typical image of the right class near x would be.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range, of which the mis-classified ones are explained.
        y: their right classes (n,).
        baseline: as for :func:`tf_ganmex.explain`; ``gan.generate`` in the paper.
        methods: names of functions of ``gx.attributions``.
        limit: of the mis-classified images, the first so many; None: all.
        options: options of methods, by method.
        score: ``"probability"`` or ``"logit"``.

    Returns:
        By method, an :class:`Explanation` whose origin is the predicted and whose target is the right class.

    Raises:
        ImageError: if no image is mis-classified, or images do not fit.
        LabelError, BaselineError, OptionError: for other arguments that do not fit.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, section 4.1 (mis-classification analysis).
    """
    if isinstance(methods, str) or not methods:
        raise OptionError(f"Expected methods as a list of one or more names. Received: methods={methods!r}.")
    limit = None if limit is None else check_count(limit, "limit")
    unknown = sorted((options or {}).keys() - set(methods))
    if unknown:
        raise OptionError(f"Expected options of {list(methods)}. Received: options of {unknown[0]!r}.")
    x, y = clf.check_images(x), np.asarray(y)
    indices, predicted = misclassified(clf, x, y)
    if not len(indices):
        raise ImageError(f"Expected mis-classified images. Received: {len(x)} that are classified right. Pass others.")
    indices, predicted = indices[:limit], predicted[:limit]
    return {
        method: explain(
            clf,
            x[indices],
            origin=predicted,
            target=y[indices],
            baseline=baseline,
            method=method,
            score=score,
            **(options or {}).get(method, {}),
        )
        for method in methods
    }


def plot_misclassified(
    explanations: Explanation | Mapping[str, Explanation],
    *,
    rows: Sequence[int] | None = None,
    title: str | None = None,
    percentile: float = 99.5,
) -> Figure:
    """Draws mis-classified images: image, baseline of the right class, and a map for each method.

    Above an image stands what it is and what it is taken for, above a baseline the class that it is made for; both with
    the classifier's scores of the two classes. Blue speaks for the wrong class, red for the right one.

    Args:
        explanations: what :func:`explain_misclassified` returned, or one Explanation whose origin is the predicted and
            whose target the right class.
        rows: which images; None: all of them.
        title: a line above the figure.
        percentile: the percentile of each map's absolute values that gets the darkest colour.

    Returns:
        The figure, a row an image.

    Raises:
        OptionError: for no explanations, or rows that there are not.
        LabelError: for explanations of other questions, or without a target for each image.

    Reference:
        GANMEX paper, Figure 2.B.
    """
    from tf_ganmex._colours import attribution_image, image_rgb
    from tf_ganmex._panels import Legend, draw_panels

    named = {explanations.method: explanations} if isinstance(explanations, Explanation) else dict(explanations)
    _check_same_question(named)
    first = next(iter(named.values()))
    chosen = range(len(first)) if rows is None else rows
    if not len(chosen) or any(not 0 <= index < len(first) for index in chosen):
        raise OptionError(f"Expected rows below {len(first)}, at least one. Received: rows={list(chosen)!r:.60}.")
    baseline = next((each for each in named.values() if each.baseline is not None), None)
    pictures, captions = [], []
    for i in chosen:
        cells = [image_rgb(first.x[i], value_range=first.value_range)]
        words = [_image_caption(first, i)]
        if baseline is not None and baseline.baseline is not None:
            cells.append(image_rgb(baseline.baseline[i], value_range=first.value_range))
            words.append(_baseline_caption(baseline, i))
        cells += [attribution_image(each.attributions[i], percentile=percentile) for each in named.values()]
        words += [_SHORT.get(name, name) for name in named]
        pictures.append(cells)
        captions.append(words)
    scale = attribution_image(np.linspace(-1, 1, 101)[np.newaxis], limit=1.0)
    legend = Legend("for the right class", "for the wrong class", scale)
    return draw_panels(pictures, captions, title=title, legend=legend, cell=1.7)


def _check_same_question(named: Mapping[str, Explanation]) -> None:
    if not named:
        raise OptionError("Expected at least one explanation. Received: none. See explain_misclassified.")
    first = next(iter(named.values()))
    for name, each in named.items():
        if not isinstance(each.target, np.ndarray):
            raise LabelError(
                f"Expected explanations with the right class of each image as target. Received: {name!r} with "
                f"target={each.target!r}. See explain_misclassified."
            )
        same = all(np.array_equal(getattr(each, field), getattr(first, field)) for field in ("x", "origin", "target"))
        if not same:
            raise LabelError(f"Expected explanations of the same images and classes. Received: {name!r} of others.")


def _image_caption(explanation: Explanation, index: int) -> str:
    wrong, right = explanation.origin[index], _targets(explanation)[index]
    scores = explanation.scores_before[index]
    names = explanation.class_names
    return f"{names[right]} ({scores[right]:.2f}) taken for {names[wrong]} ({scores[wrong]:.2f})"


def _baseline_caption(explanation: Explanation, index: int) -> str:
    wrong, right = explanation.origin[index], _targets(explanation)[index]
    names = explanation.class_names
    if explanation.scores_after is None:
        return f"→ {names[right]}"
    scores = explanation.scores_after[index]
    return f"→ {names[right]} ({scores[right]:.2f}), {names[wrong]} ({scores[wrong]:.2f})"


def _targets(explanation: Explanation) -> np.ndarray:
    return np.asarray(explanation.target)
