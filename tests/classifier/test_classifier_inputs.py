"""Images, labels and scores that a classifier is asked about: what it takes, and what it says of the rest."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, LabelError, OptionError


@pytest.fixture(scope="module")
def clf():
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(4, activation="softmax")
    return gx.load_classifier(keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten(), dense]))


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float64, np.uint8, np.int32, np.int64])
def test_numbers_of_every_type(kind, clf, images):
    x = images.round() if np.issubdtype(kind, np.integer) else images
    x = x.astype(kind)
    scores = clf.probabilities(x)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, clf.probabilities(x.astype(np.float32)))


@pytest.mark.parametrize("make", [tf.constant, np.ndarray.tolist, list, np.asfortranarray])
def test_arrays_of_every_make(make, clf, images):
    np.testing.assert_array_equal(clf.logits(make(images)), clf.logits(images))


WRONG_TYPES = {
    "bool": (np.zeros((1, 8, 8, 2), bool), "x.dtype=bool"),
    "text": (np.full((1, 8, 8, 2), "0"), "x.dtype=<U1"),
    "objects": (np.full((1, 8, 8, 2), None), "x.dtype=object"),
    "complex": (np.zeros((1, 8, 8, 2), complex), "x.dtype=complex128"),
    "one object": (None, "x.dtype=object"),
    "file name": ("image.png", "x.dtype=<U9"),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_wrong_types(name, clf, refuses):
    x, received = WRONG_TYPES[name]
    with refuses(ImageError, "real numbers", received, "astype"):
        clf.logits(x)


def test_ragged_lists_and_symbolic_tensors(clf, refuses):
    with refuses(ImageError, "one array", "list", "np.stack"):
        clf.logits([np.zeros((8, 8, 2)), np.zeros((9, 8, 2))])
    with refuses(ImageError, "one array", "KerasTensor"):
        clf.logits(keras.Input((8, 8, 2)))


WRONG_SHAPES = {(8, 8, 2): "x[None]", (3, 9, 8, 2): "Resize", (3, 8, 8, 3): "(n, 8, 8, 2)", (3, 2, 8, 8): "transpose"}


@pytest.mark.parametrize("shape", WRONG_SHAPES)
def test_wrong_shapes(shape, clf, refuses):
    with refuses(ImageError, "(n, 8, 8, 2)", f"x.shape={shape}", WRONG_SHAPES[shape]):
        clf.logits(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(), (8, 2), (1, 1, 8, 8, 2), (0,)])
def test_shapes_with_another_number_of_axes(shape, clf, refuses):
    with refuses(ImageError, "(n, 8, 8, 2)", f"x.shape={shape}"):
        clf.logits(np.zeros(shape, np.float32))


def test_no_images(clf, refuses):
    with refuses(ImageError, "at least one image", "x.shape=(0, 8, 8, 2)"):
        clf.logits(np.zeros((0, 8, 8, 2), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value, clf, images, refuses):
    images[[1, 3], 2, 0, 1] = value
    with refuses(ImageError, "finite", "in the images [1, 3]"):
        clf.logits(images)


def test_values_outside_the_range(clf, images, refuses):
    with refuses(ImageError, "value range [0, 1]", "from 0 to 255", "Scale the images", "x / 255", "value_range"):
        clf.logits(np.arange(256, dtype=np.uint8).repeat(5).reshape(10, 8, 8, 2))
    with refuses(ImageError, "[0, 1]", "from -1 to", "Scale the images"):
        clf.logits(2 * (images - images.min()) / np.ptp(images) - 1)
    with refuses(ImageError, "to 1.0001"):
        clf.logits(np.full((1, 8, 8, 2), 1.0001))
    clf.logits(np.full((1, 8, 8, 2), 1.000001))  # what arithmetic leaves behind
    clf.logits(np.full((1, 8, 8, 2), -1e-6))


def test_another_range(images, refuses):
    body = [keras.layers.Flatten(), keras.layers.Dense(4)]
    clf = gx.load_classifier(keras.Sequential([keras.Input((8, 8, 2)), *body]), value_range=(-1, 1))
    assert clf.value_range == (-1.0, 1.0)
    clf.logits(2 * images - 1)
    with refuses(ImageError, "[-1, 1]", "to 3"):
        clf.logits(3 * images / images.max())


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [4, -1, [0, 1, 2, 3, 4], [0, 0, -1, 0, 0], np.uint8(255), 2**40])
@pytest.mark.parametrize("name", ["origin", "target"])
def test_labels_out_of_range(name, label, clf, images, refuses):
    labels = {"origin": 0, "target": 1} | {name: label}
    worst = np.ravel(label)[(np.ravel(label) < 0) | (np.ravel(label) > 3)][0]
    with refuses(LabelError, f"{name} from 0 to 3", f"{name}=[{worst}]"):
        clf.score_delta(images, **labels)


@pytest.mark.parametrize("label", [1.0, "1", [True] * 5, None, [None] * 5])
def test_labels_of_another_type(label, clf, images, refuses):
    with refuses(LabelError, "origin to be an integer or 5 integers", f"origin={label!r}"):
        clf.score_delta(images, label)


@pytest.mark.parametrize("label", [[0, 1], np.zeros((5, 4), int), np.zeros((5, 1), int)])
def test_labels_of_another_shape(label, clf, images, refuses):
    with refuses(LabelError, "(5,)", f"origin.shape={np.shape(label)}"):
        clf.score_delta(images, label)
    with refuses(LabelError, "one array"):
        clf.score_delta(images, [[0], [1, 2]])


def test_origin_equal_to_target(clf, images, refuses):
    with refuses(LabelError, "other than the origin", "origin=target=2", "[0, 1, 2, 3, 4]", "target=None"):
        clf.score_delta(images, 2, 2)
    with refuses(LabelError, "origin=target=3", "images [1, 4]"):
        clf.score_delta(images, [0, 3, 1, 2, 3], 3)


def test_labels_of_every_make(clf, images):
    expected = clf.score_delta(images, [0, 1, 2, 3, 0], [1, 2, 3, 0, 2])
    origin, target = np.array([0, 1, 2, 3, 0], np.uint8), tf.constant([1, 2, 3, 0, 2])
    np.testing.assert_array_equal(clf.score_delta(images, origin, target), expected)
    np.testing.assert_array_equal(clf.score_delta(images, 0, 1), clf.score_delta(images, [0] * 5, np.int64(1)))


def test_score_deltas(clf, images):
    p, z = clf.probabilities(images), clf.logits(images)
    np.testing.assert_allclose(clf.score_delta(images, 2, 0), p[:, 2] - p[:, 0], atol=1e-7)
    np.testing.assert_allclose(clf.score_delta(images, 2), p[:, 2], atol=1e-7)
    np.testing.assert_allclose(clf.score_delta(images, 2, 0, score="logit"), z[:, 2] - z[:, 0], atol=1e-6)
    np.testing.assert_allclose(clf.score_delta(images, 2, score="logit"), z[:, 2], atol=1e-6)
    np.testing.assert_array_equal(clf.predict(images), z.argmax(-1))


@pytest.mark.parametrize("score", ["logits", None, 1])
def test_an_unknown_score(score, clf, images, refuses):
    with refuses(OptionError, "'probability'", "'logit'", f"score={score!r}"):
        clf.score_delta(images, 0, 1, score=score)
