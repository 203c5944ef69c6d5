"""The path sum by way of the layer behind the first ReLU: the same as through the whole network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from attribution_cases import assert_close
from test_paths_affine import both_ways, images, in_double, leading

import tf_ganmex as gx
from tf_ganmex.attributions import straight, tiles
from tf_ganmex.attributions.affine import AffinePart
from tf_ganmex.attributions.quadrature import RULES

layers = keras.layers
SHAPE = (8, 8, 2)
STEPS = 45


def first():
    return [layers.Conv2D(3, 3)]


def residual():
    image = keras.Input(SHAPE)
    z = layers.Conv2D(3, 3, padding="same", activation="relu")(image)
    z = layers.Add()([z, layers.Conv2D(3, 3, padding="same")(z)])
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(z)))


TAKEN = {
    "convolution": leading(first, lambda: [layers.Conv2D(5, 3), layers.ReLU()]),
    "convolution with strides": leading(first, lambda: [layers.Conv2D(5, 3, 2), layers.ReLU()]),
    "padded convolution with strides": leading(first, lambda: [layers.Conv2D(5, 4, 3, padding="same"), layers.ReLU()]),
    "convolution of single pixels": leading(first, lambda: [layers.Conv2D(5, 1), layers.ReLU()]),
    "norm between": leading(first, lambda: [layers.BatchNormalization(), layers.Conv2D(5, 3), layers.ReLU()]),
    "norms behind both": leading(
        lambda: [layers.Conv2D(3, 3), layers.BatchNormalization()],
        lambda: [layers.Conv2D(5, 3), layers.BatchNormalization(), layers.ReLU()],
    ),
    "dense layer": leading(first, lambda: [layers.Flatten(), layers.Dense(5), layers.ReLU()]),
    "last layer": leading(first),
}
LEFT = {
    "maximum": leading(first, lambda: [layers.MaxPooling2D(2), layers.Conv2D(5, 2)]),
    "other activation": leading(first, lambda: [layers.Activation("tanh"), layers.Conv2D(5, 3)]),
    "depthwise convolution": leading(first, lambda: [layers.DepthwiseConv2D(3)]),
    "dilated convolution": leading(first, lambda: [layers.Conv2D(5, 3, dilation_rate=2), layers.ReLU()]),
    "residual": residual,
}


def classifier(make):
    return gx.load_classifier(in_double(make), output="logits")


@pytest.mark.parametrize("name", TAKEN)
def test_same_as_through_the_whole_network(name):
    clf = classifier(TAKEN[name])
    x, baseline = images()
    assert AffinePart.of(clf, SHAPE).switching is not None
    for score in ("probability", "logit"):
        assert_close(*both_ways(clf, x, baseline, [0, 1, 2], [1, 2, 3], score, steps=STEPS, chunk=10), 1e-11)


@pytest.mark.parametrize("name", LEFT)
def test_other_layers_are_left_to_the_network(name):
    clf = classifier(LEFT[name])
    x, baseline = images()
    assert AffinePart.of(clf, SHAPE).switching is None
    assert_close(*both_ways(clf, x, baseline, 0, 1, steps=STEPS), 1e-11)


# The layers behind the first ReLU, of maps of 9 × 9 × 3, and whether they are evaluated by Winograd's algorithm.
TILED = {
    "three taps": (lambda: [layers.Conv2D(5, 3)], True),
    "six taps in steps of two": (lambda: [layers.Conv2D(5, 6, 2)], True),
    "five by six taps in steps of two": (lambda: [layers.Conv2D(5, (5, 6), 2)], True),
    "eight taps in steps of three": (lambda: [layers.Conv2D(5, 8, 3)], True),
    "norm between": (lambda: [layers.BatchNormalization(), layers.Conv2D(5, 6, 2)], True),
    "number between": (lambda: [layers.Rescaling(-0.5, 0.25), layers.Conv2D(5, 6, 2)], True),
    "four taps": (lambda: [layers.Conv2D(5, 4)], False),
    "padded before": (lambda: [layers.Conv2D(5, 3, padding="same")], False),
    "padded behind": (lambda: [layers.Conv2D(5, 6, 3, padding="same")], False),
    "dense": (lambda: [layers.Flatten(), layers.Dense(5)], False),
}


@pytest.fixture
def tiled(monkeypatch):
    """From a network to whether its layer behind the first ReLU was evaluated by the algorithm, with equal maps."""
    calls, results = [], tiles.TiledLayer.results
    monkeypatch.setattr(straight, "_MANY", 1)
    monkeypatch.setattr(tiles, "CHANNELS", 1)
    monkeypatch.setattr(tiles.TiledLayer, "results", lambda *arguments: calls.append(1) or results(*arguments))

    def is_tiled(make):
        shape = (11, 11, 2)
        clf = classifier(leading(first, lambda: [*make(), layers.ReLU()], shape))
        x, baseline = images(3, shape)
        assert_close(*both_ways(clf, x, baseline, [0, 1, 2], [1, 2, 3], steps=STEPS, chunk=10), 1e-11)
        return bool(calls)

    return is_tiled


@pytest.mark.parametrize("name", TILED)
def test_tiles(name, tiled):
    make, taken = TILED[name]
    assert tiled(make) == taken


@pytest.mark.parametrize(
    ("module", "constant", "value"), [(tiles, "CHANNELS", 4), (tiles, "LARGEST", 6), (straight, "_MANY", 1000)]
)
def test_few_channels_or_steps_and_large_maps_are_left(module, constant, value, tiled, monkeypatch):
    monkeypatch.setattr(module, constant, value)
    assert not tiled(TILED["three taps"][0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("black", ["baseline", "image"])
def test_units_that_are_zero_at_an_end(rule, black):
    """All of them, of a black image: their biases are zero."""
    clf = classifier(TAKEN["convolution"])
    x, baseline = images()
    (x if black == "image" else baseline)[...] = 0
    found, plain = both_ways(clf, x, baseline, 0, 1, rule=rule, steps=STEPS, chunk=STEPS)
    assert np.abs(plain).max() > 0
    assert_close(found, plain, 1e-11)


def test_units_that_never_change():
    clf = classifier(TAKEN["convolution"])
    x, baseline = images()
    baseline[1:] = x[1:]
    found, plain = both_ways(clf, x, baseline, 0, 1, steps=STEPS, chunk=STEPS)
    assert not found[1:].any()
    assert_close(found, plain, 1e-11)


@pytest.mark.parametrize("kind", ["kernel", "gamma", "moving_variance"])
def test_other_weights(kind):
    """On the same compiled graph, as cascading randomization asks for them."""
    clf = classifier(TAKEN["norm between"])
    x, baseline = images()
    before = both_ways(clf, x, baseline, 0, 1, steps=STEPS)[0]
    other = clf.with_weights({name: value + 1 for name, value in clf.weights.items() if name.endswith(kind)})
    found, plain = both_ways(other, x, baseline, 0, 1, steps=STEPS)
    assert_close(found, plain, 1e-11)
    assert np.abs(found - before).max() > 1e-3 * np.abs(before).max()


def test_partial_sums_are_bounded(monkeypatch):
    """Where they would take too much memory, the gradients go through the layer as ever."""
    clf = classifier(TAKEN["convolution"])
    x, baseline = images()
    with_switches = both_ways(clf, x, baseline, 0, 1, steps=STEPS)[0]
    monkeypatch.setattr(straight, "_SWITCHING_ELEMENTS", 3 * STEPS * 80 - 1)
    monkeypatch.setattr("tf_ganmex.attributions.switches.SwitchingLayer.pull_back", None)
    assert_close(both_ways(clf, x, baseline, 0, 1, steps=STEPS)[0], with_switches, 1e-11)


@pytest.mark.parametrize(
    ("name", "side", "taken"),
    [
        ("mnist_classifier", 16, True),
        ("svhn_classifier", 28, True),
        ("cifar10_classifier", 16, True),
        ("small_cnn", 8, True),
        ("mnist_pooling_cnn", 16, False),
    ],
)
def test_networks_of_the_papers(name, side, taken):
    clf = gx.load_classifier(in_double(lambda: getattr(gx.zoo, name)((side, side, 1), 4)), output="probabilities")
    x, baseline = images(2, (side, side, 1))
    assert (AffinePart.of(clf, (side, side, 1)).switching is not None) == taken
    assert_close(*both_ways(clf, x, baseline, 0, 1, steps=STEPS, chunk=9), 1e-11)
