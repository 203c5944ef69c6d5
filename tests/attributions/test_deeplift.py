"""DeepLIFT: completeness for every operation and layer, and DeepExplain's rules against an independent computation."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, sequential, sharpened

import tf_ganmex as gx
from tf_ganmex.attributions import deeplift, deepshap
from tf_ganmex.attributions.deeplift import in_order
from tf_ganmex.errors import ModelError, UnsupportedOpError

layers = keras.layers


def delta_difference(clf, x, baseline, origin, target, score):
    return clf.score_delta(x, origin, target, score) - clf.score_delta(baseline, origin, target, score)


# --- completeness, operation by operation, in float64 -----------------------------------------------------------------

W = np.random.default_rng(0).normal(size=(32, 3))
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


# --- completeness, layer by layer, in float32 -------------------------------------------------------------------------


def conv(filters=6, size=3, activation="relu", **options):
    return layers.Conv2D(filters, size, activation=activation, **options)


def around(*middle):
    """A network with ``middle`` between a convolution and a dense layer."""
    return lambda: sequential((8, 8, 2), conv(), *[make() for make in middle], layers.Flatten(), layers.Dense(4))


def functional(build):
    def make():
        image = keras.Input((8, 8, 2))
        return keras.Model(image, layers.Dense(4)(layers.Flatten()(build(image))))

    return make


def squeeze_excite(image):
    z = conv(padding="same")(image)
    gate = layers.Dense(6, activation="sigmoid")(layers.Dense(3, "relu")(layers.GlobalAveragePooling2D()(z)))
    return layers.Multiply()([z, layers.Reshape((1, 1, 6))(gate)])


def attention(image):
    z = layers.Reshape((16, 8))(layers.Conv2D(8, 2, strides=2)(image))
    z = layers.LayerNormalization()(z)
    return layers.MultiHeadAttention(2, 4)(z, z) + z


def nested(image):
    inner = sequential((6, 6, 6), conv(4, 2), layers.MaxPooling2D(2))
    return inner(conv()(image))


def spread_norms(model):
    """Statistics of batch normalization as after training."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([np.random.default_rng(5).uniform(0.3, 1.5, w.shape) for w in layer.get_weights()])
    return model


ACTIVATIONS = [
    "sigmoid", "tanh", "elu", "selu", "softplus", "leaky_relu", "relu6", "silu", "gelu", "mish", "hard_silu",
    "hard_sigmoid", "softsign", "exponential", "celu", "log_sigmoid", "squareplus", "tanh_shrink",
]  # fmt: skip
NETWORKS = {
    **{name: around(lambda name=name: conv(6, 2, name)) for name in ACTIVATIONS},
    "gelu by tanh": around(lambda: layers.Activation(lambda z: keras.activations.gelu(z, approximate=True))),
    "prelu": around(lambda: conv(4, 1, None), lambda: layers.PReLU("normal")),
    "leaky relu layer": around(lambda: conv(4, 1, None), lambda: layers.LeakyReLU(0.3)),
    "relu with a ceiling": around(lambda: layers.ReLU(0.2)),
    "max pooling": around(lambda: layers.MaxPooling2D(2)),
    "max pooling, overlapping": around(lambda: layers.MaxPooling2D(3, 1, padding="same")),
    "average pooling": around(lambda: layers.AveragePooling2D(3, 2, padding="same"), lambda: conv(4, 2)),
    "global max pooling": around(lambda: layers.GlobalMaxPooling2D()),
    "global average pooling": around(lambda: layers.GlobalAveragePooling2D(), lambda: layers.Dense(5, "relu")),
    "batch norm": around(lambda: layers.BatchNormalization(), lambda: conv(4, 2)),
    "layer norm": around(lambda: layers.LayerNormalization(), lambda: conv(4, 2)),
    "group norm": around(lambda: layers.GroupNormalization(3), lambda: conv(4, 2)),
    "rms norm": around(lambda: layers.RMSNormalization(), lambda: conv(4, 2)),
    "unit norm": around(lambda: layers.Flatten(), lambda: layers.UnitNormalization()),
    "depthwise": around(lambda: layers.DepthwiseConv2D(3, activation="relu")),
    "separable": around(lambda: layers.SeparableConv2D(4, 3, activation="relu")),
    "transposed": around(lambda: layers.Conv2DTranspose(4, 3, 2, activation="relu")),
    "dropout": around(lambda: layers.Dropout(0.5), lambda: layers.SpatialDropout2D(0.3), lambda: conv(3, 2)),
    "up-sampling": around(lambda: layers.UpSampling2D(2), lambda: conv(3, 2)),
    "up-sampling, bilinear": around(lambda: layers.UpSampling2D(2, interpolation="bilinear"), lambda: conv(3, 2)),
    "zero padding": around(lambda: layers.ZeroPadding2D(((1, 2), (0, 1))), lambda: conv(3, 2)),
    "cropping": around(lambda: layers.Cropping2D(1), lambda: conv(3, 2)),
    "rescaling": around(lambda: layers.Rescaling(2.0, -1.0), lambda: conv(3, 2)),
    "permute": around(lambda: layers.Permute((3, 1, 2)), lambda: conv(3, 2)),
    "softmax inside": around(lambda: layers.Softmax(), lambda: conv(3, 2)),
    "residual": functional(lambda image: conv(6)(image) + conv(6, activation="tanh")(image)),
    "concatenation": functional(lambda image: layers.Concatenate()([conv()(image), conv(activation="elu")(image)])),
    "squeeze and excite": functional(squeeze_excite),
    "maximum": functional(lambda image: layers.Maximum()([conv()(image), conv()(image), conv()(image)])),
    "minimum": functional(lambda image: layers.Minimum()([conv()(image), conv()(image)])),
    "subtract": functional(lambda image: layers.Subtract()([conv()(image), conv()(image)])),
    "average": functional(lambda image: layers.Average()([conv()(image), conv()(image)])),
    "dot": functional(lambda image: layers.Dot(2)([layers.Reshape((6, 36))(conv()(image))] * 2)),
    "attention": functional(attention),
    "nested": functional(nested),
}


@cache
def questions():
    x, baseline = np.random.default_rng(6).random((2, 6, 8, 8, 2), np.float32)
    baseline[:3, :3] = x[:3, :3]
    baseline[3] = 0.5
    return x, baseline, np.array([0, 1, 2, 3, 0, 1]), np.array([1, 2, 3, 0, 2, 3])


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


# --- DeepExplain's rules, computed a second time ----------------------------------------------------------------------

FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: z > 0),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1, np.exp(z))),
    "softplus": (lambda z: np.log1p(np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
}


def steps_of(model):
    """A Keras model as a list of linear functions (or poolings) of float64 tensors and names of activations."""
    steps = []
    for layer in model.layers:
        weights = [tf.constant(weight, tf.float64) for weight in layer.get_weights()]
        if isinstance(layer, layers.Conv2D):
            kernel, bias = weights
            options = {"strides": layer.strides, "padding": layer.padding.upper()}
            steps.append(lambda z, k=kernel, b=bias, o=options: tf.nn.conv2d(z, k, **o) + b)
        elif isinstance(layer, layers.Dense):
            steps.append(lambda z, k=weights[0], b=weights[1]: z @ k + b)
        elif isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = weights
            scale = gamma / np.sqrt(variance + layer.epsilon)
            steps.append(lambda z, m=mean, s=scale, b=beta: (z - m) * s + b)
        elif isinstance(layer, layers.MaxPooling2D):
            steps.append(lambda z: tf.nn.max_pool2d(z, 2, 2, "VALID"))
        elif isinstance(layer, layers.AveragePooling2D):
            steps.append(lambda z: tf.nn.avg_pool2d(z, 2, 2, "VALID"))
        elif isinstance(layer, layers.GlobalAveragePooling2D):
            steps.append(lambda z: tf.reduce_mean(z, (1, 2)))
        elif isinstance(layer, layers.Flatten):
            steps.append(lambda z: tf.reshape(z, (len(z), -1)))
        activation = "relu" if isinstance(layer, layers.ReLU) else getattr(layer, "activation", None)
        name = activation if isinstance(activation, str) else getattr(activation, "__name__", "linear")
        if name not in {"linear", "softmax"}:
            steps.append(name)
    return [step if isinstance(step, str) else tf.function(step, reduce_retracing=True) for step in steps]


def deepexplain(model, x, baseline, contrast, score):
    """DeepLIFT as the code of the paper computes it, layer by layer."""
    inputs, z, reference = [], np.asarray(x, np.float64), np.asarray(baseline, np.float64)
    for step in steps_of(model):
        inputs.append((step, z, reference))
        apply = FUNCTIONS[step][0] if isinstance(step, str) else lambda value, step=step: step(value).numpy()
        z, reference = apply(z), apply(reference)
    multipliers = contrast
    if score == "probability":
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        multipliers = p * (contrast - (contrast * p).sum(-1, keepdims=True))
    for step, z, reference in reversed(inputs):
        if isinstance(step, str):
            function, slope = FUNCTIONS[step]
            far = np.abs(z - reference) > 1e-5
            difference = np.where(far, z - reference, 1)
            secant = (function(z) - function(reference)) / difference
            multipliers = multipliers * np.where(far, secant, slope((z + reference) / 2))
        else:
            z = tf.constant(z)
            with tf.GradientTape() as tape:
                tape.watch(z)
                output = step(z)
            multipliers = tape.gradient(output, z, tf.constant(multipliers)).numpy()
    return multipliers * (np.asarray(x, np.float64) - baseline)


def in_float64(model):
    """The same model in float64, where quotients of small differences are no rounding errors."""
    copies = [type(layer).from_config(layer.get_config() | {"dtype": "float64"}) for layer in model.layers]
    copies = [layer for layer in copies if not isinstance(layer, layers.InputLayer)]
    copy = keras.Sequential([keras.Input(model.input_shape[1:], dtype="float64"), *copies])
    copy.set_weights(model.get_weights())
    return copy


def compare_with_deepexplain(model, x, baseline, origin, target, *, compared, tolerance):
    clf = gx.load_classifier(compared)
    contrast = np.eye(clf.num_classes)[origin] - np.eye(clf.num_classes)[target]
    for score in ("probability", "logit"):
        maps = deeplift(clf, x, origin, target, baseline, rules="deepexplain", score=score)
        assert_close(maps, deepexplain(model, x, baseline, contrast, score), tolerance)


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")
@pytest.mark.parametrize("name", ["keras2_mixed.h5", "keras2_softmax.h5"])
def test_deepexplain_rules_on_trained_model(name, shared):
    model = keras.models.load_model(shared / "models" / "legacy" / name, compile=False)
    golden = np.load(shared / "models" / "legacy" / "golden.npz")
    x, origin = golden["x"], golden["y"]
    for compared, tolerance in [(model, 1e-4), (in_float64(model), 1e-9)]:
        question = (x, np.roll(x, 1, 0), origin, (origin + 3) % 10)
        compare_with_deepexplain(model, *question, compared=compared, tolerance=tolerance)


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_deepexplain_rules(activation):
    keras.utils.set_random_seed(8)
    model = sequential(
        (8, 8, 2),
        conv(activation=activation),
        layers.MaxPooling2D(2),
        conv(5, 2, activation),
        layers.Flatten(),
        layers.Dense(6, activation),
        layers.Dense(4, "softmax"),
    )
    compare_with_deepexplain(sharpened(model), *questions(), compared=in_float64(model), tolerance=1e-9)


def test_deepexplain_rules_are_other_rules():
    clf = gx.load_classifier(sharpened(NETWORKS["max pooling"]()), output="logits")
    x, baseline, origin, target = questions()
    complete, published = (deeplift(clf, x, origin, target, baseline, rules=r) for r in ("complete", "deepexplain"))
    assert np.abs(complete - published).max() > 0.01 * np.abs(complete).max()


@pytest.mark.parametrize(
    ("difference", "multiplier"),
    [((4e-6, -5e-6), 0.0), ((5e-6, -4e-6), 1.0), ((3e-5, -1e-5), 0.75), ((-1e-5, 3e-5), 0.75), ((0, 0), None)],
)
def test_slope_at_the_midpoint_of_a_small_difference(difference, multiplier):
    """ReLU(x − ½): within 1e-5 the slope between the two is taken, beyond it the quotient."""

    def function(x):
        score = tf.nn.relu(x[:, 0, 0, 0] - 0.5)
        return tf.stack([score, 0 * score], 1)

    clf = gx.load_classifier(function, output="logits")
    x, baseline = (np.full((1, 1, 1, 1), 0.5 + d) for d in difference)
    maps = deeplift(clf, x, 0, 1, baseline, rules="deepexplain", score="logit")
    expected = (x - baseline) * multiplier if multiplier is not None else np.zeros_like(x)
    np.testing.assert_allclose(maps, expected, atol=1e-12)


@pytest.mark.parametrize("rules", ["complete", "deepexplain"])
@pytest.mark.parametrize("head", ["binary", "multilabel"])
def test_sigmoid_at_the_end_is_rescaled(head, rules):
    keras.utils.set_random_seed(9)
    outputs = 1 if head == "binary" else 3
    model = sequential((5, 5, 1), layers.Flatten(), layers.Dense(outputs, "sigmoid"))
    clf = gx.load_classifier(sharpened(model, 8.0), output="multilabel" if head == "multilabel" else "auto")
    kernel, bias = model.layers[-1].get_weights()
    x, baseline = np.random.default_rng(9).random((2, 4, 5, 5, 1), np.float32)
    z, reference = (images.reshape(4, 25) @ kernel + bias for images in (x, baseline))
    slope = (FUNCTIONS["sigmoid"][0](z) - FUNCTIONS["sigmoid"][0](reference)) / (z - reference)
    of_outputs = 2 * slope if head == "binary" else slope * [0, 1, -1]  # S₁ − S₀ = 2p − 1 of the one unit
    expected = (of_outputs @ kernel.T).reshape(x.shape) * (x - baseline)
    maps = deeplift(clf, x, 1, 0 if head == "binary" else 2, baseline, rules=rules)
    assert_close(maps, expected, 1e-5)


# --- what it refuses --------------------------------------------------------------------------------------------------


def looped(x):
    _, result = tf.while_loop(lambda i, _: i < 3, lambda i, z: (i + 1, z * z), (0, x))
    return result


REFUSED = {
    "TopKV2": lambda x: tf.math.top_k(tf.reshape(x, (-1, 16)), 16)[0],
    "ArgMax": lambda x: x * tf.cast(tf.argmax(x, 1)[:, None], tf.float32),
    "SelectV2": lambda x: tf.where(x > 0.5, x, 0),
    "Cast": lambda x: tf.cast(tf.cast(x * 255, tf.int32), tf.float32),
    "Round": tf.round,
    "While": looped,
    "Pow": lambda x: 2.0**x,
    "Prod": lambda x: tf.reduce_prod(x, 1),
}


@pytest.mark.parametrize("method", [deeplift, deepshap])
@pytest.mark.parametrize("op", REFUSED)
def test_operation_without_rule_is_named_before_any_work(op, method):
    def function(x):
        z = REFUSED[op](x)
        return tf.reshape(z, (-1, np.prod(z.shape[1:])))[:, :3]

    def baseline(x, target):
        raise AssertionError("worked before it refused")

    clf = gx.load_classifier(function, output="logits", input_shape=(4, 4, 1))
    with pytest.raises(UnsupportedOpError, match=rf"(?s)Expected.*Received.*{op}"):
        method(clf, np.ones((1, 4, 4, 1), np.float32), 0, 1, baseline)


def test_callable_that_cannot_be_traced_has_no_graph():
    clf = gx.load_classifier(lambda x: tf.constant(x.numpy().reshape(-1, 4)), output="logits", input_shape=(2, 2, 1))
    with pytest.raises(ModelError, match=r"Expected.*graph.*Received.*callable.*Use"):
        deeplift(clf, np.ones((1, 2, 2, 1), np.float32), 0, 1, np.zeros((2, 2, 1)))


def test_scores_that_do_not_depend_on_the_image():
    clf = gx.load_classifier(lambda x: tf.reshape(tf.round(x), (-1, 4)), output="logits", input_shape=(2, 2, 1))
    with pytest.raises(ModelError, match=r"Expected a differentiable.*Received"):
        deeplift(clf, np.ones((1, 2, 2, 1), np.float32), 0, 1, np.zeros((2, 2, 1)), rules="deepexplain")


def test_nodes_in_order_of_a_loop_of_tf1():
    definition = tf.compat.v1.GraphDef()
    nodes = {"merge": ["enter", "next"], "next": ["add"], "add": ["merge", "x"], "enter": ["x"], "x": []}
    for name, inputs in nodes.items():
        definition.node.add(name=name, op="NextIteration" if name == "next" else "Any", input=inputs)
    assert [node.name for node in in_order(definition)] == ["x", "enter", "merge", "add", "next"]


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
