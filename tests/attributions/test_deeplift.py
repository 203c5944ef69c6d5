"""DeepLIFT: completeness for every operation and layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, sharpened
from deeplift_networks import NETWORKS, delta_difference, questions, spread_norms

import tf_ganmex as gx
from tf_ganmex.attributions import deeplift, deepshap

# --- operation by operation, in float64 -------------------------------------------------------------------------------

FILTERS = np.random.default_rng(1).normal(size=(2, 2, 2, 2))


def halves(z):
    return z[..., :1], z[..., 1:]


OPERATIONS = {
    "relu": tf.nn.relu,
    "relu6": lambda z: tf.nn.relu6(4 * z),
    "leaky relu": lambda z: tf.nn.leaky_relu(z, 0.2),
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "sigmoid": tf.nn.sigmoid,
    "tanh": tf.nn.tanh,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "silu": tf.nn.silu,
    "gelu": lambda z: tf.nn.gelu(z, approximate=False),
    "gelu by tanh": lambda z: tf.nn.gelu(z, approximate=True),
    "mish": lambda z: z * tf.nn.tanh(tf.nn.softplus(z)),
    "hard swish": lambda z: z * tf.nn.relu6(z + 3) / 6,
    "hard sigmoid": lambda z: tf.clip_by_value(z / 3 + 0.5, 0, 1),
    "crelu": tf.nn.crelu,
    "exp": tf.exp,
    "expm1": tf.math.expm1,
    "erf": tf.math.erf,
    "erfc": tf.math.erfc,
    "sin": tf.sin,
    "cos": tf.cos,
    "atan": tf.atan,
    "sinh": tf.sinh,
    "asinh": tf.asinh,
    "log": lambda z: tf.math.log(tf.abs(z) + 0.1),
    "log1p": lambda z: tf.math.log1p(tf.abs(z)),
    "sqrt": lambda z: tf.sqrt(tf.abs(z) + 0.01),
    "rsqrt": lambda z: tf.math.rsqrt(tf.abs(z) + 0.1),
    "reciprocal": lambda z: tf.math.reciprocal(tf.abs(z) + 0.2),
    "power": lambda z: z**3,
    "square": tf.square,
    "abs": tf.abs,
    "maximum with a constant": lambda z: tf.maximum(z, 0.3),
    "minimum with a constant": lambda z: tf.minimum(tf.constant(0.2, z.dtype), z),
    "maximum": lambda z: tf.maximum(*halves(z)),
    "maximum, broadcast": lambda z: tf.maximum(z, tf.reduce_mean(z, (1, 2), keepdims=True)),
    "minimum": lambda z: tf.minimum(z, tf.reverse(z, [1])),
    "product": lambda z: z[..., :1] * tf.sigmoid(z[..., 1:]),
    "product, broadcast": lambda z: z * tf.reduce_mean(z, (1, 2), keepdims=True),
    "product with itself": lambda z: z * z,
    "quotient": lambda z: z[..., :1] / (tf.exp(z[..., 1:]) + 0.3),
    "quotient by a constant": lambda z: z / 0.7,
    "constant over": lambda z: 2 / (tf.exp(z) + 0.1),
    "squared difference": lambda z: tf.math.squared_difference(*halves(z)),
    "squared difference from a constant": lambda z: tf.math.squared_difference(z, tf.constant(0.2, z.dtype)),
    "squared difference, broadcast": lambda z: tf.math.squared_difference(z, tf.reduce_mean(z, (1, 2), keepdims=True)),
    "variance": lambda z: tf.nn.moments(z, (1, 2))[1],
    "matrix product": lambda z: tf.matmul(z[..., 0], z[..., 1]),
    "matrix product, transposed": lambda z: tf.matmul(z[..., 0], z[..., 1], transpose_b=True),
    "einsum": lambda z: tf.einsum("nij,nkj->nik", z[..., 0], z[..., 1]),
    "softmax": lambda z: tf.nn.softmax(3 * z, axis=1),
    "log softmax": lambda z: tf.nn.log_softmax(3 * z),
    "softmax of differences": lambda z: tf.exp(z) / tf.reduce_sum(tf.exp(z), (1, 2), keepdims=True),
    "largest": lambda z: tf.reduce_max(z, (1, 2)),
    "largest of a row": lambda z: tf.reduce_max(z, 2, keepdims=True) - z,
    "max pooling": lambda z: tf.nn.max_pool2d(z, 2, 2, "VALID"),
    "max pooling, overlapping": lambda z: tf.nn.max_pool2d(z, 3, 1, "SAME"),
    "average pooling": lambda z: tf.nn.avg_pool2d(tf.nn.relu(z), 3, 1, "SAME"),
    "convolution": lambda z: tf.nn.relu(tf.nn.conv2d(z, FILTERS, 1, "SAME")),
    "depthwise convolution": lambda z: tf.nn.relu(tf.nn.depthwise_conv2d(z, FILTERS, (1, 1, 1, 1), "SAME")),
    "transposed convolution": lambda z: tf.nn.relu(
        tf.nn.conv2d_transpose(z, FILTERS, (tf.shape(z)[0], 8, 8, 2), 2, "SAME")
    ),
    "moving data": lambda z: tf.nn.tanh(
        tf.concat([tf.roll(z, 1, 1), tf.transpose(z, (0, 2, 1, 3)), tf.pad(z, [[0, 0], [0, 0], [0, 0], [1, 0]])], -1)
    ),
    "splitting": lambda z: tf.nn.tanh(tf.stack(tf.unstack(tf.tile(z, (1, 2, 1, 1)), axis=1)[::2], 1)),
    "gathering": lambda z: tf.nn.tanh(tf.gather(z, [0, 2, 2], axis=1)),
    "cumulative sum": lambda z: tf.nn.tanh(tf.cumsum(z, 1, reverse=True)),
    "resizing": lambda z: tf.nn.tanh(tf.image.resize(z, (7, 5))),
    "resizing, antialiased": lambda z: tf.nn.tanh(tf.image.resize(tf.cast(z, tf.float32), (2, 3), antialias=True)),
    "space to depth": lambda z: tf.nn.tanh(tf.nn.space_to_depth(z, 2)),
    "known shape": lambda z: tf.nn.tanh(tf.ensure_shape(tf.debugging.check_numerics(z, ""), (None, 4, 4, 2))),
    "held gradient": lambda z: tf.nn.tanh(z - tf.stop_gradient(tf.reduce_mean(z, -1, keepdims=True))),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_complete_for_operation(name):
    operation = OPERATIONS[name]

    def function(x):
        z = operation((x - 0.5) * 4)
        flat = tf.reshape(tf.cast(z, tf.float64), (-1, np.prod(z.shape[1:])))
        return flat @ np.random.default_rng(2).normal(size=(flat.shape[1], 3))

    x, baseline = np.random.default_rng(3).random((2, 6, 4, 4, 2))
    baseline[:2, :, 1] = x[:2, :, 1]  # equal features
    baseline[2:4] = x[2:4] + 1e-7 * baseline[2:4]  # features that are all but equal
    clf = gx.load_classifier(function, output="logits")
    maps = deeplift(clf, x, 0, 2, baseline, score="logit")
    single = "resiz" in name  # resizing computes in float32
    assert_close(maps.sum((1, 2, 3)), delta_difference(clf, x, baseline, 0, 2, "logit"), 1e-5 if single else 1e-9)
    assert np.isfinite(maps).all()


# --- layer by layer, in float32 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_complete_for_network(name):
    keras.utils.set_random_seed(4)
    clf = gx.load_classifier(sharpened(spread_norms(NETWORKS[name]())), output="logits")
    x, baseline, origin, target = questions()
    for method, score in [(deeplift, "probability"), (deeplift, "logit"), (deepshap, "probability")]:
        options = {"backend": "graph"} if method is deepshap else {}
        maps = method(clf, x, origin, target, baseline, score=score, **options)
        # SHAP's softmax divides by the change of each logit, so that rounding shows where a logit hardly changes.
        change = np.abs(clf.logits(x) - clf.logits(baseline))
        tolerance = 1e-4 * max(1, 0.1 / change.min()) if method is deepshap else 1e-4
        assert_close(maps.sum((1, 2, 3)), delta_difference(clf, x, baseline, origin, target, score), tolerance)


def test_complete_for_probabilities_next_to_zero():
    """The logit of a probability is steep there: a difference of 1e-6 is not a small one."""

    def function(x):
        small = tf.reshape(x, (-1, 16))[:, :2] * 1e-6
        return tf.concat([small, 1 - tf.reduce_sum(small, -1, keepdims=True)], -1)

    clf = gx.load_classifier(function, output="probabilities", input_shape=(4, 4, 1))
    x, baseline = np.random.default_rng(7).random((2, 5, 4, 4, 1), np.float32)
    maps = deeplift(clf, x, 0, 1, baseline, score="logit")
    assert_close(maps.sum((1, 2, 3)), delta_difference(clf, x, baseline, 0, 1, "logit"), 1e-4)


def test_average_over_a_background_of_many_is_complete():
    clf = gx.load_classifier(sharpened(NETWORKS["max pooling"]()))
    x, baseline, origin, target = questions()
    maps = deeplift(clf, x, origin, target, baseline[None])
    expected = [delta_difference(clf, x, np.repeat(b[None], 6, 0), origin, target, "probability") for b in baseline]
    assert_close(maps.sum((1, 2, 3)), np.mean(expected, axis=0), 1e-4)


def test_other_weights_on_the_same_graph():
    keras.utils.set_random_seed(10)
    model = NETWORKS["max pooling"]()
    clf = gx.load_classifier(model, output="logits")
    x, baseline, origin, target = questions()
    before = deeplift(clf, x, origin, target, baseline)
    other = clf.with_weights({name: value[::-1] for name, value in clf.weights.items()})
    maps = deeplift(other, x, origin, target, baseline)
    delta = delta_difference(other, x, baseline, origin, target, "probability")
    assert_close(maps.sum((1, 2, 3)), delta, 1e-4)
    assert np.abs(maps - before).max() > 0.1 * np.abs(before).max()
    assert np.array_equal(deeplift(clf, x, origin, target, baseline), before)
