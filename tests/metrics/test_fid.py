"""The Fréchet distance: closed forms, and the features of a classifier's last layer."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, ModelError, OptionError
from tf_ganmex.metrics import fid, penultimate_features


def flat(images):
    return images.reshape(len(images), -1)


def test_it_is_the_frechet_distance_of_two_gaussians():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(400, 2, 2, 1)).astype(np.float32)
    two = (0.5 + rng.normal(size=(300, 2, 2, 1)) @ rng.normal(size=(1, 1))).astype(np.float32)
    a, b = flat(one).astype(float), flat(two).astype(float)
    covariances = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    assert fid(one, two, flat) == pytest.approx(expected, rel=1e-2)
    assert fid(one, two, flat) == pytest.approx(fid(two, one, flat), rel=1e-6)
    assert fid(one, two, flat, batch_size=37) == pytest.approx(fid(one, two, flat), rel=1e-9)


def test_equal_sets_are_at_no_distance_and_a_shift_counts_by_its_square():
    x = np.random.default_rng(1).normal(size=(200, 3, 1, 1)).astype(np.float32)
    assert fid(x, x[::-1], flat) == pytest.approx(0, abs=1e-6)
    assert fid(x, x + 2, flat) == pytest.approx(3 * 4, rel=1e-4)


def test_the_scale_of_features_is_its_square():
    rng = np.random.default_rng(2)
    one, two = rng.normal(size=(2, 300, 4, 1, 1))
    whole = fid(one, two, flat)
    for scale in (1e-5, 1e-3, 1e3):
        assert fid(scale * one, scale * two, flat) == pytest.approx(scale**2 * whole, rel=1e-6)
        assert fid(scale * one, scale * one, flat) <= 1e-9 * scale**2


def test_features_that_are_no_finite_vectors_are_refused():
    x = np.random.default_rng(3).normal(size=(8, 2, 2, 1))
    with pytest.raises(ModelError, match="NaN or infinity in those of fake"):
        fid(x, np.where(x == x[0, 0, 0], np.nan, x), flat)
    with pytest.raises(ModelError, match=r"Expected features \(n, d\)"):
        fid(x, x, lambda images: images)
    with pytest.raises(ModelError, match="Received: 4 and 3"):
        fid(x, x[:4], lambda images: flat(images)[:, : 4 if len(images) == 8 else 3])
    with pytest.raises(OptionError, match="batch_size"):
        fid(x, x, flat, batch_size=0)


def test_single_images_have_no_covariance():
    x = np.zeros((1, 2, 2, 1))
    with pytest.raises(ImageError, match="real of shape"):
        fid(x, x, flat)


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("last", ["dense", "convolution"])
def test_features_are_what_the_last_layer_sees(softmax, last):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
    if last == "dense":
        seen = layers.Dense(6, "tanh")(layers.Flatten()(x))
        outputs = layers.Dense(3)(seen)
    else:
        seen = layers.GlobalAveragePooling2D(keepdims=True)(x)
        outputs = layers.Flatten()(layers.Conv2D(3, 1)(seen))
    model = keras.Model(inputs, layers.Softmax()(outputs) if softmax else outputs)
    clf = gx.load_classifier(model, output="probabilities" if softmax else "logits")
    images = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    expected = keras.ops.convert_to_numpy(keras.Model(inputs, seen)(images)).reshape(5, -1)
    np.testing.assert_allclose(penultimate_features(clf)(images), expected, atol=1e-6)


def test_a_classifier_without_a_last_layer_has_no_features():
    clf = gx.load_classifier(lambda x: x[:, 0, :3, 0] * 2.0, input_shape=(4, 4, 1), output="logits")
    with pytest.raises(ModelError, match="features of your own"):
        penultimate_features(clf)
