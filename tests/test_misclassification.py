"""Mis-classified images: which they are, what is asked about them, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex.errors import ImageError, LabelError, OptionError
from tf_ganmex.misclassification import explain_misclassified, misclassified, plot_misclassified

SHAPE = (4, 4, 1)
NAMES = ["cat", "dog", "ship"]
WRONG = [1, 4, 5]


@pytest.fixture(scope="module")
def clf():
    weights = tf.constant(np.random.default_rng(0).normal(size=(16, 3)), tf.float32)
    return gx.load_classifier(
        lambda x: tf.reshape(x, (-1, 16)) @ weights, output="logits", input_shape=SHAPE, class_names=NAMES
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).random((8, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def y(clf, x):
    """Right labels of all images but three."""
    labels = clf.predict(x)
    labels[WRONG] = (labels[WRONG] + [1, 2, 1]) % 3
    return labels


def lighter(x, target):
    return x * (0.2 + np.asarray(target).reshape(-1, 1, 1, 1) / 10)


@pytest.fixture(scope="module")
def explained(clf, x, y):
    options = {"integrated_gradients": {"steps": 64}}
    return explain_misclassified(
        clf, x, y, baseline=lighter, methods=["integrated_gradients", "gradient", "occlusion"], options=options
    )


def test_the_images_that_are_wrong_and_what_they_are_taken_for(clf, x, y):
    found = misclassified(clf, x, y)
    np.testing.assert_array_equal(found.indices, WRONG)
    np.testing.assert_array_equal(found.predicted, clf.predict(x[WRONG]))
    assert not len(misclassified(clf, x, clf.predict(x)).indices)


def test_labels_that_do_not_fit(clf, x, y):
    with pytest.raises(LabelError):
        misclassified(clf, x, y[:3])
    with pytest.raises(LabelError):
        misclassified(clf, x, y + 1)


def test_asks_why_the_predicted_class_and_not_the_right_one_with_its_baseline(clf, x, y, explained):
    for method, each in explained.items():
        assert each.method == method
        np.testing.assert_array_equal(each.x, x[WRONG])
        np.testing.assert_array_equal(each.origin, clf.predict(x[WRONG]))
        np.testing.assert_array_equal(each.target, y[WRONG])
    each = explained["integrated_gradients"]
    assert each.options == {"steps": 64}
    np.testing.assert_allclose(each.baseline, lighter(x[WRONG], y[WRONG]), rtol=1e-6)
    drop = clf.score_delta(each.x, each.origin, each.target) - clf.score_delta(each.baseline, each.origin, each.target)
    np.testing.assert_allclose(each.attributions.sum((1, 2, 3)), drop, atol=1e-3)


def test_limit_and_methods(clf, x, y):
    (only,) = explain_misclassified(clf, x, y, baseline="zero", methods=["deeplift"], limit=2).values()
    np.testing.assert_array_equal(only.x, x[WRONG[:2]])
    with pytest.raises(ImageError, match="8 that are classified right"):
        explain_misclassified(clf, x, clf.predict(x), baseline="zero")
    with pytest.raises(OptionError, match="Expected methods as a list"):
        explain_misclassified(clf, x, y, baseline="zero", methods="deeplift")
    with pytest.raises(OptionError, match="options of 'lime'"):
        explain_misclassified(clf, x, y, baseline="zero", methods=["deeplift"], options={"lime": {}})


def texts(figure):
    return [text.get_text().replace("\n", " ") for text in figure.texts]


def test_the_figure_has_image_baseline_and_maps_with_classes_and_scores(clf, x, y, explained):
    figure = plot_misclassified(explained)
    assert len(figure.axes) == 3 * (2 + 3) + 1  # and the colour scale
    found = texts(figure)
    before, predicted = clf.probabilities(x), clf.predict(x)
    after = clf.probabilities(lighter(x[WRONG], y[WRONG]))
    for row, i in enumerate(WRONG):
        right, wrong = y[i], predicted[i]
        said = f"{NAMES[right]} ({before[i, right]:.2f}) taken for {NAMES[wrong]} ({before[i, wrong]:.2f})"
        assert said in found
        assert f"→ {NAMES[right]} ({after[row, right]:.2f}), {NAMES[wrong]} ({after[row, wrong]:.2f})" in found
    assert found.count("IG") == found.count("gradient") == found.count("Occlusion") == 3
    assert {"for the wrong class", "for the right class"} <= set(found)


def test_blue_speaks_for_the_wrong_class(explained):
    each = explained["integrated_gradients"]
    picture = plot_misclassified(each, rows=[0]).axes[2].images[0].get_array()
    strongest = np.unravel_index(each.attributions[0, ..., 0].argmax(), SHAPE[:2])
    weakest = np.unravel_index(each.attributions[0, ..., 0].argmin(), SHAPE[:2])
    assert picture[strongest][2] > picture[strongest][0]
    assert picture[weakest][0] > picture[weakest][2]


def test_rows_and_a_method_without_baseline(explained):
    assert len(plot_misclassified(explained, rows=[2]).axes) == 5 + 1
    alone = plot_misclassified(explained["gradient"])
    assert len(alone.axes) == 3 * 2 + 1
    for rows in ([], [3], [-1]):
        with pytest.raises(OptionError, match="rows below 3"):
            plot_misclassified(explained, rows=rows)


def test_explanations_that_do_not_belong_together(clf, x, y, explained):
    with pytest.raises(OptionError, match="at least one explanation"):
        plot_misclassified({})
    with pytest.raises(LabelError, match="right class of each image"):
        plot_misclassified(gx.explain(clf, x, target=None, baseline="zero"))
    others = explain_misclassified(clf, x, y, baseline="zero", methods=["deeplift"], limit=2)
    with pytest.raises(LabelError, match="'deeplift' of others"):
        plot_misclassified(explained | others)
