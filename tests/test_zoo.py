"""The classifier architectures."""

from __future__ import annotations

import numpy as np
import pytest

from tf_ganmex import zoo
from tf_ganmex._backend import keras
from tf_ganmex.datasets import load_dataset
from tf_ganmex.errors import ImageError, OptionError


def test_mnist_classifier_is_the_papers():
    model = zoo.mnist_classifier()
    convolutions = (6 * 6 * 1 * 32 + 32) + (6 * 6 * 32 * 64 + 64)
    dense = (4 * 4 * 64 * 256 + 256) + (256 * 10 + 10)
    assert model.count_params() == convolutions + dense == 339_946
    assert model.get_layer("conv1").output.shape == (None, 12, 12, 32)
    assert model.get_layer("conv2").output.shape == (None, 4, 4, 64)
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.5]


def conv(size, before, after):
    return size * size * before * after + after


def norm(channels):
    return 4 * channels


def test_svhn_classifier_is_the_published_codes():
    model = zoo.svhn_classifier()
    # 32 → 15 → 6 → 2 pixels a side.
    expected = conv(4, 3, 32) + conv(5, 32, 64) + conv(4, 64, 128) + (2 * 2 * 128 * 256 + 256) + (256 * 10 + 10)
    assert model.count_params() == expected == 317_930
    assert (
        zoo.mnist_classifier((32, 32, 3)).count_params()
        == conv(6, 3, 32) + conv(6, 32, 64) + 5 * 5 * 64 * 256 + 256 + 2570
    )


def test_cifar10_classifier_is_the_papers():
    model = zoo.cifar10_classifier()
    expected, before = 0, 3
    for channels in (32, 64, 128, 256):
        expected += conv(3, before, channels) + conv(3, channels, channels) + 2 * norm(channels)
        before = channels
    expected += (2 * 2 * 256 * 128 + 128) + norm(128) + (128 * 10 + 10)
    assert model.count_params() == expected == 1_309_098
    pools = [layer for layer in model.layers if isinstance(layer, keras.layers.AveragePooling2D)]
    assert [layer.output.shape[1] for layer in pools] == [16, 8, 4, 2]
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)


def test_mnist_pooling_cnn_leaves_1024_features():
    model = zoo.mnist_pooling_cnn()
    assert model.count_params() == conv(5, 1, 32) + conv(5, 32, 64) + 1024 * 10 + 10 == 62_346


@pytest.mark.parametrize(("shape", "classes"), [((256, 256, 3), 2), ((128, 128, 3), 4)])
def test_mobilenet_classifier_has_the_papers_head_on_a_frozen_base(shape, classes):
    model = zoo.mobilenet_classifier(shape, classes)
    base = keras.applications.MobileNet(shape, include_top=False, weights=None)
    head = (1024 * 1024 + 1024) + (1024 * classes + classes)
    assert model.count_params() == base.count_params() + head == 3_228_864 + head
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == head
    tuned = zoo.mobilenet_classifier(shape, classes, frozen=False, alpha=0.25)
    assert len(tuned.trainable_weights) > len(model.trainable_weights)
    flat = zoo.mobilenet_classifier(shape, classes, alpha=0.25, pooling="flatten")
    side = shape[0] // 64
    assert flat.get_layer("fc").kernel.shape[0] == side * side * 256


def test_mobilenet_weights_come_from_a_file_at_any_size(tmp_path):
    base = keras.applications.MobileNet((64, 64, 3), alpha=0.25, include_top=False, weights=None)
    base.save_weights(tmp_path / "base.weights.h5")
    model = zoo.mobilenet_classifier((96, 64, 3), 3, alpha=0.25, weights=tmp_path / "base.weights.h5")
    (inner,) = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    for one, two in zip(inner.get_weights(), base.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    x = np.random.default_rng(0).random((2, 96, 64, 3), np.float32)
    features = keras.ops.convert_to_numpy(inner(2 * x - 1)).mean((1, 2))
    pooled = keras.Model(model.input, model.get_layer("pool").output)(x)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(pooled), features, atol=1e-5)
    with pytest.raises(OptionError, match=r"alpha=0\.5.*base\.weights\.h5"):
        zoo.mobilenet_classifier((96, 64, 3), 3, alpha=0.5, weights=tmp_path / "base.weights.h5")


def test_mobilenet_weights_that_cannot_be_had_are_explained(monkeypatch):
    def offline(*_, **__):
        raise OSError("URL fetch failure on https://storage.example/mobilenet.h5: no route to host")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", offline)
    with pytest.raises(OptionError, match=r"Without a network.*weights='FILE'"):
        zoo.mobilenet_classifier(weights="imagenet")
    with pytest.raises(OptionError, match="no such file"):
        zoo.mobilenet_classifier(weights="nowhere.h5")
    with pytest.raises(ImageError, match="three channels"):
        zoo.mobilenet_classifier((64, 64, 1))
    with pytest.raises(OptionError, match="pooling='max'"):
        zoo.mobilenet_classifier((64, 64, 3), pooling="max")
    with pytest.raises(OptionError, match=r"option of mnist_classifier\. Received: alpha"):
        zoo.build("mnist_classifier", (28, 28, 1), 10, alpha=0.5)


@pytest.mark.parametrize("name", zoo.CLASSIFIERS)
def test_the_last_layer_is_softmax_and_the_one_before_gives_logits(name):
    model = zoo.build(name, (32, 32, 3), 10)
    x = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
    assert isinstance(model.layers[-1], keras.layers.Softmax)
    logits = keras.ops.convert_to_numpy(keras.Model(model.input, model.layers[-2].output)(x))
    probabilities = keras.ops.convert_to_numpy(model(x))
    assert logits.min() < 0
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (5, 5, 3), (8, 8, 1), (15, 15, 1), (64, 64, 3), (96, 128, 3), (224, 224, 3), (6, 200, 1)]
)
def test_small_cnn_takes_any_size(shape):
    model = zoo.small_cnn(shape, 4)
    assert model.output_shape == (None, 4)
    last = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    assert min(last.output.shape[1:3]) <= 7
    assert min(last.output.shape[1:3]) >= min(4, *shape[:2])
    assert model.count_params() < 3_000_000


def test_auto_takes_the_papers_net_where_it_fits():
    assert zoo.build("auto", (28, 28, 1), 10).name == "mnist_classifier"
    assert zoo.build("auto", (32, 32, 3), 10).name == "mnist_classifier"
    assert zoo.build("auto", (15, 28, 1), 10).name == "small_cnn"
    assert zoo.build("auto", (128, 128, 3), 4).name == "small_cnn"


@pytest.mark.parametrize("name", sorted(zoo.CLASSIFIERS.keys() - {"mobilenet_classifier"}))
def test_weights_depend_on_the_seed_alone(name):
    first, again, other = (zoo.build(name, (28, 28, 1), 3, seed=seed).get_weights() for seed in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.abs(a - c).max() > 0 for a, c in zip(first, other, strict=True) if a.ndim > 1)


def test_no_global_seed_is_set():
    keras.utils.set_random_seed(3)
    expected = np.random.random(), keras.random.uniform((2,))
    keras.utils.set_random_seed(3)
    zoo.mnist_classifier()
    assert np.random.random() == expected[0]
    np.testing.assert_array_equal(keras.random.uniform((2,)), expected[1])


def test_wrong_requests_are_explained():
    with pytest.raises(OptionError, match=r"mnist_classifier, .*small_cnn, or auto\. Received: name='resnet'"):
        zoo.build("resnet", (28, 28, 1), 10)
    with pytest.raises(OptionError, match="num_classes=1"):
        zoo.build("auto", (28, 28, 1), 1)
    with pytest.raises(ImageError, match=r"16 pixels.*\(15, 28, 1\).*small_cnn"):
        zoo.mnist_classifier((15, 28, 1))
    with pytest.raises(ImageError, match=r"input_shape=\(28, 28\)"):
        zoo.build("auto", (28, 28), 10)


@pytest.mark.parametrize(("name", "size", "epochs"), [("mnist_classifier", 28, 2), ("small_cnn", 8, 4)])
def test_learns_the_digits(name, size, epochs):
    data = load_dataset("digits", image_size=size)
    model = zoo.build(name, data.image_shape, data.num_classes)
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data.x_train, data.y_train, batch_size=32, epochs=epochs, verbose=0)
    assert model.evaluate(data.x_test, data.y_test, verbose=0)[1] > 0.85
