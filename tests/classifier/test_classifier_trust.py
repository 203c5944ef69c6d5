"""Files that would run code or touch other files are refused, before they are loaded, unless they are trusted."""

from __future__ import annotations

import json
import logging
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import ModelError, UntrustedModelError

layers = keras.layers
SPEC = tf.TensorSpec((None, 8, 8, 2))


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("absl").setLevel(logging.ERROR)  # h5 is a legacy format


def with_lambda(library):
    """A model whose lambda layer doubles its input."""
    kinds = library.layers
    body = [kinds.Flatten(), kinds.Lambda(lambda x: 2 * x, output_shape=lambda s: s), kinds.Dense(4)]
    return library.Sequential([library.Input((8, 8, 2)), *body])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_lambda_layers(name, suffix, tmp_path, images, refuses):
    library = pytest.importorskip(name)
    model = with_lambda(library)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    with refuses(UntrustedModelError, str(path), "Lambda", "trusted=True"):
        gx.load_classifier(path)
    clf = gx.load_classifier(path, trusted=True)
    np.testing.assert_allclose(clf.logits(images), model(images), rtol=0, atol=1e-5)


def test_a_model_in_memory_is_trusted(images):
    model = with_lambda(keras)
    np.testing.assert_allclose(gx.load_classifier(model).logits(images), model(images), rtol=0, atol=1e-5)


def test_a_lambda_deep_inside(tmp_path, refuses):
    inner = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x)])
    outer = keras.Sequential([keras.Input((8, 8, 2)), layers.Reshape((32, 4)), layers.TimeDistributed(inner)])
    keras.Sequential([outer, layers.GlobalAveragePooling1D()]).save(tmp_path / "m.keras")
    with refuses(UntrustedModelError, "m.keras", "Lambda"):
        gx.load_classifier(tmp_path / "m.keras")


# --- configurations that name code ------------------------------------------------------------------------------------


def edited(path, model, edit):
    """Saves ``model`` and lets ``edit`` change its configuration, as one who means harm would."""
    plain = path.with_name(f"plain{path.suffix}")
    model.save(plain)
    if path.suffix == ".h5":
        plain.rename(path)
        with h5py.File(path, "a") as file:
            config = json.loads(file.attrs["model_config"])
            edit(config)
            file.attrs["model_config"] = json.dumps(config)
        return path
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "config.json":
                config = json.loads(text)
                edit(config)
                text = json.dumps(config)
            new.writestr(name, text)
    return path


def dense(config):
    return config["config"]["layers"][-1]["config"]


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


HARMFUL = {
    "lambda": (lambda c: dense(c).update(activation={"class_name": "__lambda__", "config": {"value": "x"}}), "lambda"),
    "module": (lambda c: dense(c).update(activation=function("os", "system")), "os.system"),
    "builtin": (lambda c: dense(c).update(activation=function("builtins", "eval")), "builtins.eval"),
    "gadget": (lambda c: dense(c).update(activation=function("keras.utils", "get_file")), "keras.utils.get_file"),
    "class": (lambda c: c["config"]["layers"][-1].update(module="this", class_name="Zen"), "this.Zen"),
    "layer": (lambda c: c["config"]["layers"][-1].update(class_name="TFSMLayer"), "TFSMLayer"),
    "torch": (lambda c: c["config"]["layers"][-1].update(class_name="TorchModuleWrapper"), "TorchModuleWrapper"),
    "vocabulary": (lambda c: dense(c).update(vocabulary="/etc/passwd"), "/etc/passwd"),
    "write": (lambda c: dense(c).update(function="io.write_file"), "tf.io.write_file"),
    "raw op": (lambda c: dense(c).update(function="raw_ops.ReadFile"), "tf.raw_ops.ReadFile"),
    "py_function": (lambda c: dense(c).update(function="py_function"), "tf.py_function"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("harm", HARMFUL)
def test_configurations_that_name_code(harm, name, suffix, tmp_path, make_small, refuses, capfd):
    library = pytest.importorskip(name)
    edit, what = HARMFUL[harm]
    path = edited(tmp_path / f"bad{suffix}", make_small(library.layers.Dense(4), library=library), edit)
    with refuses(UntrustedModelError, str(path), what, "trusted=True"):
        gx.load_classifier(path)
    assert "Zen" not in capfd.readouterr().out, "the module was imported"


def test_a_layer_of_the_users_own(tmp_path, make_small, refuses):
    class Own(layers.Layer):
        def call(self, x):
            return x

    model = make_small(Own(), layers.Dense(4))
    model.save(tmp_path / "m.keras")
    with refuses(UntrustedModelError, "Own", "register_keras_serializable", "pass the model"):
        gx.load_classifier(tmp_path / "m.keras")
    with refuses(ModelError, "Own", "pass the model"):
        gx.load_classifier(tmp_path / "m.keras", trusted=True)


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_ordinary_functions_are_no_code(name, tmp_path, images):
    """Operators, TensorFlow functions and activations given as functions."""
    library = pytest.importorskip(name)
    kinds, image = library.layers, library.Input((8, 8, 2))
    x = kinds.Conv2D(3, 3, activation=library.activations.gelu, kernel_regularizer="l2")(image)
    x = library.ops.relu(x * 2.0 + 1.0) if name == "keras" else tf.nn.relu6(x * 2.0 + 1.0)
    x = kinds.Flatten()(x[:, 1:, :, 0])
    model = library.Model(image, kinds.Dense(4, kernel_initializer="he_normal", activation="softmax")(x))
    model.save(tmp_path / "m.keras")
    clf = gx.load_classifier(tmp_path / "m.keras")
    np.testing.assert_allclose(clf.probabilities(images), model(images), rtol=0, atol=1e-6)


# --- SavedModels ------------------------------------------------------------------------------------------------------


class Module(tf.Module):
    """Eight by eight by two pixels to four scores, by way of ``body``."""

    def __init__(self, body):
        super().__init__()
        self.kernel = tf.Variable(np.random.default_rng(0).normal(size=(128, 4)), dtype=tf.float32)
        self.body = body

    @tf.function(input_signature=[SPEC])
    def __call__(self, x):
        return {"z": self.body(tf.reshape(x, (-1, 128)) @ self.kernel)}


def saved(path, body, **objects):
    module = Module(body)
    for name, value in objects.items():
        setattr(module, name, value)
    tf.saved_model.save(module, str(path), {"serving_default": module.__call__.get_concrete_function()})
    return path, module


def doubled(z):
    result = tf.py_function(lambda values: 2 * values, [z], tf.float32)
    result.set_shape(z.shape)
    return result


def doubled_by_numpy(z):
    result = tf.numpy_function(lambda values: 2 * values, [z], tf.float32)
    result.set_shape(z.shape)
    return result


@pytest.mark.parametrize(("body", "op"), [(doubled, "EagerPyFunc"), (doubled_by_numpy, "PyFunc")])
def test_python_functions(body, op, tmp_path, images, refuses):
    path, module = saved(tmp_path / "m", body)
    with refuses(UntrustedModelError, str(path), op, "trusted=True"):
        gx.load_classifier(path)
    clf = gx.load_classifier(path, trusted=True)  # in the process that holds the function it works
    np.testing.assert_allclose(clf.logits(images), module(tf.constant(images))["z"], rtol=0, atol=1e-5)


def test_a_file_read_on_every_call(tmp_path, images, refuses):
    (tmp_path / "scale.txt").write_text("3")
    name = str(tmp_path / "scale.txt")
    path, module = saved(tmp_path / "m", lambda z: z * tf.strings.to_number(tf.io.read_file(name)))
    with refuses(UntrustedModelError, str(path), "ReadFile", "reads or writes files"):
        gx.load_classifier(path)
    clf = gx.load_classifier(path, trusted=True)
    np.testing.assert_allclose(clf.logits(images), module(tf.constant(images))["z"], rtol=0, atol=1e-5)


def writes(name):
    def body(z):
        with tf.control_dependencies([tf.io.write_file(name, "hello")]):
            return tf.identity(z)

    return body


def saves(name):
    def body(z):
        with tf.control_dependencies(
            [tf.raw_ops.SaveV2(prefix=name, tensor_names=["z"], shape_and_slices=[""], tensors=[z])]
        ):
            return tf.identity(z)

    return body


def restores(name):
    def body(z):
        (kernel,) = tf.raw_ops.RestoreV2(prefix=name, tensor_names=["z"], shape_and_slices=[""], dtypes=[tf.float32])
        return z * tf.ensure_shape(kernel, ())

    return body


def prints(name):
    def body(z):
        tf.print("hello", output_stream=f"file://{name}")
        return z

    return body


@pytest.mark.parametrize(("make", "op"), [(writes, "WriteFile"), (restores, "RestoreV2"), (prints, "PrintV2")])
def test_files_on_every_call(make, op, tmp_path, refuses):
    path, _ = saved(tmp_path / "m", make(str(tmp_path / "other")))
    before = sorted(file.name for file in tmp_path.iterdir())
    with refuses(UntrustedModelError, str(path), op, "reads or writes files"):
        gx.load_classifier(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def test_a_file_written_beside_the_computation_is_not_written(tmp_path, images):
    """Every SavedModel holds SaveV2; here it is called too, but the classifier keeps only what the scores need."""
    path, _ = saved(tmp_path / "m", saves(str(tmp_path / "stolen")))
    before = sorted(file.name for file in tmp_path.iterdir())
    gx.load_classifier(path).logits(images)
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def test_other_signatures_count(tmp_path, refuses):
    """Who loads the file for one signature loads the other."""
    module = Module(lambda z: z)
    other = tf.function(lambda x: {"z": tf.io.read_file("/etc/passwd")}).get_concrete_function(SPEC)
    tf.saved_model.save(module, str(tmp_path), {"serving_default": module.__call__, "other": other})
    with refuses(UntrustedModelError, "ReadFile"):
        gx.load_classifier(tmp_path)


def test_a_table_read_from_a_file(tmp_path, refuses):
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\ndog\n")
    index = tf.lookup.TextFileIndex
    names = tf.lookup.TextFileInitializer(
        str(tmp_path / "names.txt"), tf.int64, index.LINE_NUMBER, tf.string, index.WHOLE_LINE
    )
    table = tf.lookup.StaticHashTable(names, "?")
    module = Module(lambda z: z)
    module.table = table

    @tf.function(input_signature=[SPEC])
    def named(x):
        scores = module(x)["z"]
        return {"scores": scores, "name": table.lookup(tf.argmax(scores, -1))}

    tf.saved_model.save(module, str(tmp_path / "m"), {"serving_default": named})
    with refuses(UntrustedModelError, "InitializeTableFromTextFile", "reads or writes files"):
        gx.load_classifier(tmp_path / "m", signature=":scores")
    assert gx.load_classifier(tmp_path / "m", signature=":scores", trusted=True).num_classes == 4


def test_an_initializer_that_saves(tmp_path, refuses):
    """SaveV2 is in every SavedModel, in the function that saves it; not in what loading runs."""
    from tensorflow.python.trackable.resource import TrackableResource

    stolen = str(tmp_path / "stolen")

    class Initialized(TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.float32)

        def _initialize(self):
            arguments = {"tensor_names": ["z"], "shape_and_slices": [""], "tensors": [tf.constant(1.0)]}
            with tf.control_dependencies([tf.raw_ops.SaveV2(prefix=stolen, **arguments)]):
                tf.print("saved")  # which runs, and what it waits for

    path, _ = saved(tmp_path / "m", lambda z: z, resource=Initialized())
    for file in tmp_path.glob("stolen*"):
        file.unlink()
    with refuses(UntrustedModelError, str(path), "SaveV2"):
        gx.load_classifier(path)
    assert not list(tmp_path.glob("stolen*"))
    gx.load_classifier(path, trusted=True)
    assert list(tmp_path.glob("stolen*")), "this model does no harm, so the test shows nothing"


def test_an_initialization_op_of_tensorflow_1(tmp_path, refuses):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 8, 8, 2))
        z = tf.reshape(x, (-1, 128))[:, :4]
        v1.get_variable("unused", 1)
        session.run(v1.global_variables_initializer())
        harm = v1.raw_ops.SaveV2(
            prefix=str(tmp_path / "stolen"), tensor_names=["z"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
        )
        builder = v1.saved_model.Builder(str(tmp_path / "m"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"z": z})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, main_op=harm)
        builder.save()
    with refuses(UntrustedModelError, "SaveV2"):
        gx.load_classifier(tmp_path / "m")
    assert not list(tmp_path.glob("stolen*"))


def test_a_trusted_table_that_the_scores_need(tmp_path, refuses):
    """It loads, but it is no function of the image and its weights alone."""
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0, 1, 2, 3], [0.1, 0.2, 0.3, 0.4]), 0.0)
    path, _ = saved(tmp_path / "m", lambda z: z + table.lookup(tf.argmax(z, -1, tf.int32))[:, None], table=table)
    with refuses(ModelError, "image and its weights alone", "lookup tables"):
        gx.load_classifier(path)
