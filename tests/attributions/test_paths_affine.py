"""The path sum behind the part of a network that is affine: the same as through the whole network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import BUILDERS, assert_close, case, sequential

import tf_ganmex as gx
from tf_ganmex.attributions import straight
from tf_ganmex.attributions.affine import AffinePart
from tf_ganmex.attributions.paths import path_attributions
from tf_ganmex.attributions.problem import pose
from tf_ganmex.attributions.quadrature import RULES, nodes_and_weights
from tf_ganmex.errors import ModelError

layers = keras.layers
SHAPE = (8, 8, 2)


def in_double(make):
    """A network in float64, with statistics of batch normalization as after training."""
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(2)
    try:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        model = make()
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy(policy)
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def leading(first, rest=list, shape=SHAPE):
    """A network of the layers that ``first`` makes, a ReLU, those that ``rest`` makes, and a dense layer."""
    return lambda: sequential(shape, *first(), layers.ReLU(), *rest(), layers.Flatten(), layers.Dense(4))


def image_by_the_side():
    image = keras.Input(SHAPE)
    z = layers.ReLU()(layers.Conv2D(2, 3, padding="same")(image))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Add()([z, image]))))


def two_branches():
    image = keras.Input(SHAPE)
    narrow = layers.Conv2D(3, 1, activation="tanh")(image)
    wide = layers.Conv2D(3, 5, padding="same", activation="relu")(image)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Concatenate()([narrow, wide]))))


NETWORKS = {
    "convolution": leading(lambda: [layers.Conv2D(3, 3)]),
    "dilated convolution": leading(lambda: [layers.Conv2D(3, 3, dilation_rate=2)]),
    "rescaling, padding, convolution, norm": leading(
        lambda: [
            layers.Rescaling(2.0, -1.0),
            layers.ZeroPadding2D(1),
            layers.Conv2D(3, 3, 2),
            layers.BatchNormalization(),
        ]
    ),
    "depthwise, average, norm behind": leading(
        lambda: [layers.DepthwiseConv2D(3), layers.AveragePooling2D(2)],
        lambda: [layers.Conv2D(3, 2), layers.BatchNormalization()],
    ),
    "transposed convolution": leading(lambda: [layers.Conv2DTranspose(3, 3, 2)]),
    "up-sampling": leading(lambda: [layers.UpSampling2D(2), layers.Conv2D(2, 3)]),
    "dense": leading(lambda: [layers.Flatten(), layers.Dense(6)]),
    "norm of each image": leading(lambda: [layers.Conv2D(3, 3), layers.LayerNormalization()]),
    "maximum": leading(lambda: [layers.Conv2D(3, 3)], lambda: [layers.MaxPooling2D(2)]),
    "image by the side": image_by_the_side,
    "two branches": two_branches,
    "linear": lambda: sequential(SHAPE, layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(4)),
}


def both_ways(clf, x, baseline, origin, target, score="probability", rule="midpoint", steps=11, chunk=4):
    """The path sum behind the affine part, and through the whole network."""
    nodes, weights = nodes_and_weights(rule, steps)
    problem = pose(clf, x, origin, target, score)
    arrays = baseline[:, None].astype(clf.dtype), nodes.astype(clf.dtype)[None], weights.astype(clf.dtype)
    return [path_attributions(problem, *arrays, chunk, plain=plain) for plain in (False, True)]


def images(count=3, shape=SHAPE, dtype=np.float64):
    return np.random.default_rng(4).random((2, count, *shape)).astype(dtype)


@pytest.mark.parametrize("name", NETWORKS)
def test_same_as_through_the_whole_network(name):
    clf = gx.load_classifier(in_double(NETWORKS[name]), output="logits")
    x, baseline = images()
    assert AffinePart.of(clf, SHAPE) is not None
    for score in ("probability", "logit"):
        assert_close(*both_ways(clf, x, baseline, [0, 1, 2], [1, 2, 3], score), 1e-12)


@pytest.mark.parametrize("height", [5, 7, 8])
def test_an_axis_that_is_not_the_batch(height):
    """What is affine ends with the height first: nothing is known of it."""
    matrix = tf.constant(np.random.default_rng(6).normal(size=(height * 10, 3)))

    def call(x):
        turned = tf.nn.relu(tf.transpose(x, (1, 0, 2, 3)) * 2.0 - 1.0)
        return tf.reshape(tf.transpose(turned, (1, 0, 2, 3)), (-1, height * 10)) @ matrix

    signature = [tf.TensorSpec((None, height, 5, 2), tf.float64)]
    clf = gx.load_classifier(tf.function(call, input_signature=signature), output="logits")
    x, baseline = images(height, (height, 5, 2))
    assert_close(*both_ways(clf, x, baseline, 0, 1), 1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("chunk", [1, 4, 11])
def test_rules_and_chunks(rule, chunk):
    clf = gx.load_classifier(in_double(NETWORKS["convolution"]), output="logits")
    x, baseline = images()
    assert_close(*both_ways(clf, x, baseline, 0, 1, rule=rule, chunk=chunk), 1e-12)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_kind_of_classifier(name):
    question = case(name)
    found = both_ways(question.clf, question.x, question.baseline, question.origin, question.target, question.score)
    assert_close(*found, 1e-12 if question.clf.dtype == np.float64 else 1e-6)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("convolution", ["BiasAdd"]),
        ("dilated convolution", ["BiasAdd"]),
        ("rescaling, padding, convolution, norm", ["AddV2"]),
        ("image by the side", ["BiasAdd", "image"]),
        ("two branches", ["BiasAdd", "BiasAdd"]),
        ("linear", ["Identity"]),
    ],
)
def test_where_the_affine_part_ends(name, kinds):
    clf = gx.load_classifier(in_double(NETWORKS[name]), output="logits")
    operations = {node.name: node.op for node in clf.graph.graph_def.node}
    frontier = AffinePart.of(clf, SHAPE).frontier
    assert sorted(operations.get(name.split(":")[0], "image") for name in frontier) == kinds


PLAIN = {
    "nothing affine": lambda x: tf.nn.relu(x) + x,
    "in another precision": lambda x: tf.cast(tf.nn.relu(tf.cast(x, tf.bfloat16) * 2), tf.float32),
    "batch not in front": lambda x: tf.transpose(tf.nn.relu(tf.transpose(x, (1, 2, 3, 0)) * 2), (3, 0, 1, 2)),
    "rows of pixels": lambda x: tf.nn.relu(tf.reshape(x, (-1, 2)) @ tf.ones((2, 2))),
    "at random": lambda x: tf.nn.relu(x * (1 + 0 * tf.random.uniform((1,)))),
    "loop": lambda x: tf.nn.relu(tf.map_fn(lambda image: image * 2, x)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_networks_without_an_affine_part(name):
    matrix = tf.constant(np.random.default_rng(6).normal(size=(128, 3)), tf.float32)
    clf = gx.load_classifier(
        lambda x: tf.reshape(PLAIN[name](x), (-1, 128)) @ matrix, output="logits", input_shape=SHAPE
    )
    x, baseline = images(dtype=np.float32)
    assert AffinePart.of(clf, SHAPE) is None
    assert_close(*both_ways(clf, x, baseline, 0, 1), 1e-6)


def test_other_weights():
    """On the same compiled graph, as cascading randomization asks for them."""
    clf = gx.load_classifier(in_double(NETWORKS["convolution"]), output="logits")
    x, baseline = images()
    before = both_ways(clf, x, baseline, 0, 1)[0]
    for name, value in clf.weights.items():
        other = clf.with_weights({name: value + np.random.default_rng(7).normal(size=value.shape)})
        behind, plain = both_ways(other, x, baseline, 0, 1)
        assert_close(behind, plain, 1e-12)
        assert np.abs(behind - before).max() > 1e-3 * np.abs(before).max() or name.endswith("dense/bias")


def test_sizes_of_images():
    """The affine part is looked for anew, for its shapes are others."""
    model = keras.Sequential(
        [keras.Input((None, None, 1)), layers.Conv2D(3, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    )
    clf = gx.load_classifier(model, output="logits")
    for side in (6, 9, 6):
        x, baseline = images(2, (side, side, 1), np.float32)
        assert_close(*both_ways(clf, x, baseline, 0, 1), 1e-6)


def test_digits_of_a_saturated_probability():
    """Where a probability is 1 in float32 its gradient is not lost."""
    model = sequential(SHAPE, layers.Conv2D(3, 3, activation="relu"), layers.Flatten(), layers.Dense(3))
    model.layers[-1].set_weights([model.layers[-1].get_weights()[0], np.array([40.0, 0, 0])])
    clf = gx.load_classifier(model, output="logits")
    x, baseline = images(dtype=np.float32)
    behind, plain = both_ways(clf, x, baseline, 0, 1)
    assert np.abs(plain).max() > 0
    assert_close(behind, plain, 1e-5)


def test_images_at_a_time(monkeypatch):
    """No more than ``batch_size`` points on the path are in the network at once."""
    clf = gx.load_classifier(in_double(NETWORKS["convolution"]), output="logits")
    seen = []
    original = straight.on_line
    monkeypatch.setattr(straight, "on_line", lambda *a: seen.append(original(*a).shape[0]) or original(*a))
    x, baseline = images()
    for batch_size in (5, 20):
        gx.attributions.integrated_gradients(clf, x, 0, 1, baseline, steps=12, batch_size=batch_size)
    assert sorted(seen) == [4, 12]


def test_refuses_what_has_no_gradient_behind_the_affine_part():
    matrix = tf.ones((128, 3))
    clf = gx.load_classifier(lambda x: tf.round(tf.reshape(x, (-1, 128)) @ matrix), input_shape=SHAPE, output="logits")
    x, baseline = images(dtype=np.float32)
    assert AffinePart.of(clf, SHAPE) is not None
    with pytest.raises(ModelError, match="differentiable"):
        gx.attributions.integrated_gradients(clf, x, 0, 1, baseline, steps=3)
