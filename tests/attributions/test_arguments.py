"""Arguments that do not fit are refused by every method, with what was expected and what came."""

from __future__ import annotations

import numpy as np
import pytest
from attribution_cases import METHODS, case

import tf_ganmex as gx
from tf_ganmex.errors import BaselineError, GanmexError, ImageError, LabelError, OptionError

METHOD = {method.name: method for method in METHODS if method.name != "deepshap-shap"}
WITH_BASELINE = [name for name, method in METHOD.items() if method.has_baseline]
X = case("softmax").x
NAN = np.where(np.arange(64).reshape(8, 8, 1) == 3, np.nan, X)

# what is wrong: (arguments instead of the right ones, the exception, what the message says)
WRONG = {
    "one image without its axis": ({"x": X[0]}, ImageError, r"x\[None\]"),
    "images of another size": ({"x": X[:, :5]}, ImageError, r"\(5, 5, 8, 1\)"),
    "images of strings": ({"x": np.full(X.shape, "a")}, ImageError, "dtype"),
    "images out of range": ({"x": X * 255}, ImageError, r"value range \[0, 1\]"),
    "NaN in an image": ({"x": NAN}, ImageError, "NaN"),
    "no images": ({"x": X[:0]}, ImageError, "at least one image"),
    "origin out of range": ({"origin": 4}, LabelError, r"origin=\[4\]"),
    "negative origin": ({"origin": -1}, LabelError, r"origin=\[-1\]"),
    "origin of another length": ({"origin": [0, 1]}, LabelError, r"shape=\(2,\)"),
    "origin that is no integer": ({"origin": 1.0}, LabelError, "origin=1.0"),
    "target out of range": ({"target": 17}, LabelError, r"target=\[17\]"),
    "target equal to origin": ({"origin": 1, "target": 1}, LabelError, "origin=target=1"),
    "unknown word for a target": ({"target": "mean"}, LabelError, "target='mean'"),
    "unknown score": ({"score": "softmax"}, OptionError, "score='softmax'"),
    "no images at a time": ({"batch_size": 0}, OptionError, "batch_size=0"),
    "half an image at a time": ({"batch_size": 0.5}, OptionError, "batch_size=0.5"),
}
WRONG_BASELINE = {
    "another size": (np.zeros((5, 8, 9, 1)), r"shape=\(5, 1, 8, 9, 1\)"),
    "another number": (np.zeros((3, 8, 8, 1)), r"shape=\(.*3.*\)"),
    "no axis for channels": (np.zeros((8, 8)), r"shape=\(8, 8\)"),
    "none at all": (np.zeros((5, 0, 8, 8, 1)), r"shape=\(5, 0, 8, 8, 1\)"),
    "None": (None, r"shape=\(\)"),
    "NaN": (np.full((8, 8, 1), np.nan), "NaN"),
    "out of range": (np.full((8, 8, 1), 2.0), "values from 2 to 2"),
    "callable, another size": (lambda x, target: x[:, :4], r"shape=\(5, 1, 4, 8, 1\)"),
    "callable, another number": (lambda x, target: x[:1], r"shape=\(1, 1, 8, 8, 1\)"),
    "callable, NaN": (lambda x, target: x * np.nan, "NaN"),
    "callable, out of range": (lambda x, target: x - 3, "baseline in the classifier's value range"),
    "training images, no target": (gx.baselines.nearest(X, np.zeros(5, int)), "target=None"),
    "training images, not of that class": (gx.baselines.nearest(X, np.zeros(5, int)), r"target=\[3\]"),
}
WRONG_OPTIONS = [
    ("integrated_gradients", {"steps": 0}, "steps=0"),
    ("integrated_gradients", {"steps": -3}, "steps=-3"),
    ("integrated_gradients", {"steps": True}, "steps=True"),
    ("integrated_gradients", {"steps": 10.0}, "steps=10.0"),
    ("integrated_gradients", {"rule": "simpson"}, "rule='simpson'"),
    ("integrated_gradients", {"rule": "trapezoid", "steps": 1}, "steps=1"),
    ("expected_gradients", {"steps": 0}, "steps=0"),
    ("expected_gradients", {"steps": False}, "steps=False"),
    ("deeplift", {"rules": "epsilon"}, "rules='epsilon'"),
    ("deepshap", {"backend": "tree"}, "backend='tree'"),
    ("occlusion", {"window": 0}, "window=0"),
    ("occlusion", {"window": 9}, "window=9"),
    ("occlusion", {"stride": 0}, "stride=0"),
    ("occlusion", {"channels": "all"}, "channels='all'"),
]


def says(text):
    return rf"(?s)Expected.*Received.*{text}|Expected.*{text}.*Received"


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", METHOD)
def test_wrong_argument(name, wrong):
    arguments, error, text = WRONG[wrong]
    with pytest.raises(error, match=says(text)) as caught:
        METHOD[name](case("softmax"), **arguments)
    assert isinstance(caught.value, GanmexError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("wrong", WRONG_BASELINE)
@pytest.mark.parametrize("name", WITH_BASELINE)
def test_wrong_baseline(name, wrong):
    baseline, text = WRONG_BASELINE[wrong]
    if name == "expected_gradients" and wrong in {"another number", "none at all"}:
        pytest.skip("any number of samples will do, or the message counts them otherwise")
    target = {"training images, no target": None, "training images, not of that class": 3}.get(wrong, 1)
    method, question = METHOD[name].function, case("softmax")
    with pytest.raises(BaselineError, match=says(text)):
        method(question.clf, X, 0, target, baseline)


@pytest.mark.parametrize(("name", "options", "text"), WRONG_OPTIONS)
def test_wrong_option(name, options, text):
    question = case("softmax")
    with pytest.raises(OptionError, match=says(text)):
        getattr(gx.attributions, name)(question.clf, X, 0, 1, question.baseline, **options)


def test_options_are_checked_before_the_baseline_is_made():
    def baseline(x, target):
        raise AssertionError("worked before it refused")

    for name, options, _ in WRONG_OPTIONS:
        if name != "expected_gradients":
            with pytest.raises(OptionError):
                getattr(gx.attributions, name)(case("softmax").clf, X, 0, 1, baseline, **options)


def test_classes_and_images_of_any_usual_type():
    question = case("softmax")
    expected = gx.attributions.gradient(question.clf, question.x, 1, 2)
    for kind in (np.uint8, np.int32, np.int64):
        maps = gx.attributions.gradient(question.clf, question.x.tolist(), kind(1), np.full(5, 2, kind))
        assert np.array_equal(maps, expected)
