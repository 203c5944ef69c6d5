"""SavedModels: signatures, outputs, integer images, fixed batches, TensorFlow 1, strings."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, ModelError, OptionError, SignatureError

v1 = tf.compat.v1


class Net(tf.Module):
    """A linear softmax classifier of 8 × 8 × 2 images, whose functions the tests save as signatures."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.kernel = tf.Variable(rng.normal(size=(128, 4)), dtype=tf.float32, name="kernel")
        self.other = tf.Variable(rng.normal(size=(128, 3)), dtype=tf.float32, name="other")

    def logits(self, x, kernel=None):
        return tf.reshape(x, (-1, 128)) @ (self.kernel if kernel is None else kernel)


@pytest.fixture
def net():
    return Net()


def save(net, path, shape=(None, 8, 8, 2), dtype=tf.float32, **functions):
    """Saves functions of one image tensor as the signatures of their names."""
    spec = tf.TensorSpec(shape, dtype, name="image")
    signatures = {name: tf.function(f).get_concrete_function(spec) for name, f in functions.items()}
    tf.saved_model.save(net, str(path), signatures)
    return path


def assert_logits(clf, x, expected, atol=1e-5):
    np.testing.assert_allclose(clf.logits(x), expected, rtol=0, atol=atol)


# --- signatures and outputs -------------------------------------------------------------------------------------------


def test_several_signatures(net, tmp_path, images, refuses):
    def classify(x):
        return {"p": tf.nn.softmax(net.logits(x))}

    def scores(x):
        return {"z": net.logits(x, net.other)}

    path = save(net, tmp_path, classify=classify, scores=scores)
    with refuses(SignatureError, "['classify', 'scores']", "signature='NAME'"):
        gx.load_classifier(path)
    with refuses(SignatureError, "['classify', 'scores']", "signature='serve'"):
        gx.load_classifier(path, signature="serve")
    assert_logits(gx.load_classifier(path, signature="classify"), images, net.logits(images))
    assert_logits(gx.load_classifier(path, signature="scores"), images, net.logits(images, net.other))


def test_the_default_signature(net, tmp_path, images):
    both = {"serving_default": lambda x: {"z": net.logits(x)}, "other": lambda x: {"z": net.logits(x, net.other)}}
    path = save(net, tmp_path, **both)
    assert gx.load_classifier(path).num_classes == 4
    assert gx.load_classifier(path, signature="other").num_classes == 3


def test_several_outputs(net, tmp_path, images, refuses):
    def function(x):
        z, y = net.logits(x), net.logits(x, net.other)
        return {"probabilities": tf.nn.softmax(z), "aux": y, "class": tf.argmax(z, -1), "name": tf.strings.as_string(y)}

    path = save(net, tmp_path, serving_default=function)
    with refuses(SignatureError, "['aux', 'class', 'name', 'probabilities']", "signature='serving_default:OUTPUT'"):
        gx.load_classifier(path)
    with refuses(SignatureError, "'aux'", "output 'logits'"):
        gx.load_classifier(path, signature="serving_default:logits")
    for signature in ("serving_default:probabilities", ":probabilities"):
        assert_logits(gx.load_classifier(path, signature=signature), images, net.logits(images))
    assert_logits(gx.load_classifier(path, signature=":aux"), images, net.logits(images, net.other))
    with refuses(ModelError, "floating", "string"):
        gx.load_classifier(path, signature=":name")


def test_no_signature(net, tmp_path, images, refuses):
    spec = [tf.TensorSpec((None, 8, 8, 2))]
    net.call = tf.function(lambda x: net.logits(x), input_signature=spec)
    net.call_other = tf.function(lambda x: net.logits(x, net.other), input_signature=spec)
    tf.saved_model.save(net, str(tmp_path))
    with refuses(SignatureError, "which has none", "tf.saved_model.load"):
        gx.load_classifier(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    assert_logits(gx.load_classifier(loaded.call), images, net.logits(images))


def test_a_signature_as_a_callable(net, tmp_path, images):
    path = save(net, tmp_path, serving_default=lambda x: {"z": net.logits(x)})
    loaded = tf.saved_model.load(str(path))
    clf = gx.load_classifier(loaded.signatures["serving_default"])
    assert clf.input_shape == (8, 8, 2)
    assert_logits(clf, images, net.logits(images))


def test_the_loaded_object_is_kept_until_its_weights_are_read(net, tmp_path, images):
    """And not needed afterwards."""
    import gc
    import shutil

    path = save(net, tmp_path / "m", serving_default=lambda x: {"z": net.logits(x)})
    clf = gx.load_classifier(path)
    shutil.rmtree(path)
    gc.collect()
    assert_logits(clf, images, net.logits(images))


# --- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tf.string])
def test_strings_are_refused_with_a_way_out(kind, net, tmp_path, refuses):
    def parse(examples):
        features = {"image": tf.io.FixedLenFeature((128,), tf.float32)}
        return {"z": net.logits(tf.io.parse_example(examples, features)["image"])}

    def decode(files):
        pixels = tf.map_fn(lambda s: tf.image.decode_png(s, 2), files, fn_output_signature=tf.uint8)
        return {"z": net.logits(tf.cast(pixels, tf.float32))}

    def tensors(x):
        return {"z": net.logits(x)}

    strings = tf.TensorSpec((None,), kind)
    for name, function in {"parse": parse, "decode": decode}.items():
        signatures = {"serving_default": tf.function(function).get_concrete_function(strings)}
        tf.saved_model.save(net, str(tmp_path / name), signatures)
        with refuses(ModelError, "image tensors", "tf.Example", "Export a signature of decoded images"):
            gx.load_classifier(tmp_path / name)
    signatures["tensors"] = tf.function(tensors).get_concrete_function(tf.TensorSpec((None, 8, 8, 2)))
    tf.saved_model.save(net, str(tmp_path / "both"), signatures)
    with refuses(ModelError, "strings", "signature=", "['tensors']"):
        gx.load_classifier(tmp_path / "both")
    assert gx.load_classifier(tmp_path / "both", signature="tensors").num_classes == 4


INTEGER = {
    "cast": lambda x: tf.cast(x, tf.float32) / 255,
    "twice": lambda x: tf.cast(x, tf.float32) / 510 + tf.cast(tf.identity(x), tf.float32) / 510,
    "converted": lambda x: tf.image.convert_image_dtype(x, tf.float32),
    "shape": lambda x: tf.reshape(tf.cast(x, tf.float32), (tf.shape(x)[0], 8, 8, 2)) / 255,
}


@pytest.mark.parametrize("name", INTEGER)
def test_unsigned_bytes(name, net, tmp_path, value_and_gradient, refuses):
    def function(x):
        return {"p": tf.nn.softmax(net.logits(INTEGER[name](x)))}

    path = save(net, tmp_path, dtype=tf.uint8, serving_default=function)
    with refuses(OptionError, "uint8", "value_range=(0.0, 1.0)", "Pass value_range=(0, 255)"):
        gx.load_classifier(path)
    clf = gx.load_classifier(path, value_range=(0, 255))
    assert clf.dtype == np.float32
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 2), np.uint8)
    expected = function(tf.constant(x))["p"].numpy()
    for images in (x, x.astype(np.float32), x.astype(np.int64)):
        np.testing.assert_allclose(clf.probabilities(images), expected, rtol=0, atol=1e-6)
    values, gradient = value_and_gradient(clf.logits_tensor, x.astype(np.float32))
    logits, slope = value_and_gradient(lambda x: net.logits(x / 255), x.astype(np.float32))
    np.testing.assert_allclose(values, logits, atol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-7)
    between = x[:1] / np.float32(255) * 254.5
    np.testing.assert_allclose(clf.logits(between), net.logits(between / 255), atol=1e-5)


def test_integers_that_are_not_cast_first(net, tmp_path, refuses):
    path = save(net, tmp_path, dtype=tf.uint8, serving_default=lambda x: {"z": net.logits(tf.cast(x // 2, tf.float32))})
    with refuses(ModelError, "casts its integer input", "dtype=uint8", "floating images"):
        gx.load_classifier(path, value_range=(0, 255))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch(batch, net, tmp_path, images, value_and_gradient):
    def function(x):
        return {"z": tf.reshape(tf.reshape(tf.sin(x), (batch, 128)) @ net.kernel, (batch, 4))}

    clf = gx.load_classifier(save(net, tmp_path, shape=(batch, 8, 8, 2), serving_default=function))
    assert clf.input_shape == (8, 8, 2)
    many = np.concatenate([images, images[::-1] / 2, images / 3])
    for count in (1, 2, 3, 4, 5, 8, 15):
        expected = value_and_gradient(lambda x: net.logits(tf.sin(x)), many[:count])
        assert_logits(clf, many[:count], expected[0])
        actual = value_and_gradient(clf.logits_tensor, many[:count])
        np.testing.assert_allclose(actual[0], expected[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(actual[1], expected[1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(gradient_inside_a_function(clf, many), actual_gradient(net, many), atol=1e-5)


@tf.function(autograph=False)
def gradient_inside_a_function(clf, x):
    """The gradient of the sum of logits."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(clf.logits_tensor(x))
    return tape.gradient(total, x)


def actual_gradient(net, x):
    return np.cos(x) * net.kernel.numpy().sum(1).reshape(1, 8, 8, 2)


def test_images_larger_than_a_fixed_batch_are_checked_too(net, tmp_path, refuses):
    clf = gx.load_classifier(save(net, tmp_path, shape=(4, 8, 8, 2), serving_default=lambda x: {"z": net.logits(x)}))
    with refuses(ImageError, "(n, 8, 8, 2)", "(4, 8, 8, 1)"):
        clf.logits(np.zeros((4, 8, 8, 1), np.float32))


@pytest.mark.parametrize("hard", [False, True])
def test_a_keras_model_of_a_fixed_batch(hard, net, images):
    image = keras.Input((8, 8, 2), batch_size=4)
    flat = keras.ops.reshape(image, (4, 128)) if hard else keras.layers.Flatten()(image)
    model = keras.Model(image, keras.layers.Dense(4)(flat))
    expected = images.reshape(5, 128) @ model.layers[-1].kernel.numpy()
    clf = gx.load_classifier(model)
    assert clf.graph.batch == (4 if hard else None)
    for count in (1, 4, 5):
        assert_logits(clf, images[:count], expected[:count])


def test_a_callable_of_a_fixed_batch(net, images, refuses):
    def function(x):
        return tf.reshape(x, (4, 128)) @ net.kernel

    with refuses(ModelError, "one row of outputs per image", "output shape=(4, 4)", "tf.TensorSpec"):
        gx.load_classifier(function, input_shape=(8, 8, 2))
    fixed = tf.function(function, input_signature=[tf.TensorSpec((4, 8, 8, 2))])
    assert_logits(gx.load_classifier(fixed), images, net.logits(images))


def test_half_precision_images(net, tmp_path, images):
    path = save(net, tmp_path, dtype=tf.float16, serving_default=lambda x: {"z": net.logits(tf.cast(x, tf.float32))})
    clf = gx.load_classifier(path)
    assert clf.dtype == np.float32
    assert_logits(clf, images, net.logits(images.astype(np.float16).astype(np.float32)))


def test_images_of_unknown_shape(net, tmp_path, images, refuses):
    path = save(net, tmp_path, shape=None, serving_default=lambda x: {"z": net.logits(x)})
    with refuses(ModelError, "images (n, h, w, c)", "input_shape=(h, w, c)"):
        gx.load_classifier(path)
    assert_logits(gx.load_classifier(path, input_shape=(8, 8, 2)), images, net.logits(images))


# --- TensorFlow 1 -----------------------------------------------------------------------------------------------------


def save_v1(path, build):
    """Saves the graph that ``build(x)`` makes with TensorFlow 1's means, its outputs by name.

    Returns:
        Images, their outputs, and the gradients of the sum of the first output.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(0)
        x = v1.placeholder(tf.float32, (None, 8, 8, 2), name="images")
        outputs = build(x)
        gradient = v1.gradients(tf.reduce_sum(next(iter(outputs.values()))), x)[0]
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), {"images": x}, outputs)
        images = np.random.default_rng(0).random((5, 8, 8, 2), np.float32)
        return images, *session.run([outputs, gradient], {x: images})


def v1_net(x, resource=True):
    with v1.variable_scope("dense", use_resource=resource):
        kernel = v1.get_variable("kernel", (128, 4), initializer=v1.random_normal_initializer())
        bias = v1.get_variable("bias", (4,), initializer=v1.random_normal_initializer())
    return tf.matmul(tf.reshape(x, (-1, 128)), kernel) + bias


def batch_norm(x, training):
    """With the statistics of the batch, or with others."""
    return tf.cond(
        training,
        lambda: v1.nn.fused_batch_norm(x, [1.0, 2.0], [0.1, 0.2])[0],
        lambda: v1.nn.fused_batch_norm(x, [1.0, 2.0], [0.1, 0.2], [0.3, 0.4], [1.0, 3.0], is_training=False)[0],
    )


SWITCHED = {
    "branches": lambda x, training: tf.cond(training, lambda: tf.nn.relu(x) * 100.0, lambda: tf.sin(3.0 * x)),
    "constants": lambda x, training: x * tf.cond(training, lambda: 0.5, lambda: 2.0),
    "negated": lambda x, training: x + tf.cond(tf.logical_not(training), lambda: tf.nn.silu(x), lambda: tf.cos(x)),
    "nested": lambda x, training: tf.cond(
        training, lambda: x, lambda: tf.cond(tf.logical_not(training), lambda: tf.sin(x), lambda: tf.cos(x))
    ),
    "noise": lambda x, training: x + tf.cond(training, lambda: tf.random.uniform((8, 8, 2)), lambda: tf.sin(x[0])),
    "batch norm": batch_norm,
    "where": lambda x, training: x * tf.where(training, 7.0, 1.5),
}


@pytest.mark.parametrize("control_flow", ["v1", "v2"])
@pytest.mark.parametrize("name", SWITCHED)
def test_a_training_placeholder_with_a_default(name, control_flow, tmp_path):
    def build(x):
        training = v1.placeholder_with_default(False, (), name="training")
        logits = v1_net(SWITCHED[name](x, training))
        # The output itself is that of a conditional.
        return {"logits": tf.cond(training, lambda: logits * 1000.0, lambda: logits * 0.5)}

    try:
        (v1.disable_control_flow_v2 if control_flow == "v1" else v1.enable_control_flow_v2)()
        images, expected, gradient = save_v1(tmp_path / "m", build)
    finally:
        v1.enable_control_flow_v2()
    clf = gx.load_classifier(tmp_path / "m")
    assert_logits(clf, images, expected["logits"])
    np.testing.assert_allclose(gradient_inside_a_function(clf, images), gradient, rtol=0, atol=1e-5)
    definition = clf.graph.graph_def
    ops = {node.op for node in definition.node}
    assert not ops & {"If", "StatelessIf", "Switch", "Merge", "PlaceholderWithDefault", "PartitionedCall"}
    assert sorted(clf.weights) == ["dense/bias", "dense/kernel"]


@pytest.mark.parametrize("resource", [False, True])
def test_variables_of_both_kinds(resource, tmp_path):
    def build(x):
        logits = v1_net(x, resource=resource)
        return {"probabilities": tf.nn.softmax(logits), "logits": logits}

    images, expected, _ = save_v1(tmp_path / "m", build)
    clf = gx.load_classifier(tmp_path / "m", signature="serving_default:probabilities")
    assert_logits(clf, images, expected["logits"])
    assert sorted(clf.weights) == ["dense/bias", "dense/kernel"]
    literal = gx.load_classifier(tmp_path / "m", signature="serving_default:logits")
    assert_logits(literal, images, expected["logits"])
    assert literal.fingerprint == clf.fingerprint


def test_a_training_placeholder_without_a_default(tmp_path, refuses):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 8, 8, 2))
        training = v1.placeholder(tf.bool, (), name="training")
        logits = v1_net(x) * tf.where(training, 2.0, 1.0)
        session.run(v1.global_variables_initializer())
        inputs = {"images": x, "training": training}
        v1.saved_model.simple_save(session, str(tmp_path / "m"), inputs, {"logits": logits})
    with refuses(ModelError, "one image input", "2 inputs", "callable that fixes the others"):
        gx.load_classifier(tmp_path / "m")
    loaded = tf.saved_model.load(str(tmp_path / "m")).signatures["serving_default"]
    fixed = gx.load_classifier(lambda x: loaded(images=x, training=tf.constant(False))["logits"], input_shape=(8, 8, 2))
    images = np.random.default_rng(0).random((2, 8, 8, 2), np.float32)
    assert_logits(fixed, images, loaded(images=tf.constant(images), training=tf.constant(False))["logits"])
    assert len(fixed.weights) == 2


def test_a_conditional_that_depends_on_the_image_stays(net, tmp_path, value_and_gradient, images):
    def function(x):
        return {"z": net.logits(tf.cond(tf.reduce_mean(x) > 0.3, lambda: tf.nn.silu(x), lambda: -x))}

    clf = gx.load_classifier(save(net, tmp_path, serving_default=function))
    for x in (images, images / 4):
        expected = value_and_gradient(lambda x: function(x)["z"], x)
        actual = value_and_gradient(clf.logits_tensor, x)
        np.testing.assert_allclose(actual[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(actual[1], expected[1], atol=1e-5)


def test_a_loop_stays(net, tmp_path, value_and_gradient, images):
    def function(x):
        z = net.logits(x)
        for _ in tf.range(3):
            z = tf.nn.silu(z) + z
        return {"z": z}

    clf = gx.load_classifier(save(net, tmp_path, serving_default=function))
    expected = value_and_gradient(lambda x: function(x)["z"], images)
    actual = value_and_gradient(clf.logits_tensor, images)
    np.testing.assert_allclose(actual[0], expected[0], atol=1e-4)
    np.testing.assert_allclose(actual[1], expected[1], atol=1e-4)
