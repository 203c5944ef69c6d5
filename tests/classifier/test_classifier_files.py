"""Models read from files: every format gives the model's values, and what is no model says so."""

from __future__ import annotations

import logging

import h5py
import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import ModelError, OptionError

layers = keras.layers

GOLDEN = {
    "keras2_softmax.h5": "softmax",
    "keras2_softmax.keras": "softmax",
    "keras2_softmax_savedmodel": "softmax",
    "keras2_logits_savedmodel": "logits",
    "estimator_savedmodel": "estimator",
    "keras2_mixed.h5": "mixed",
    "keras2_mixed_savedmodel": "mixed",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_models_of_tensorflow_2_15_give_their_values(name, legacy):
    golden = np.load(legacy / "golden.npz")
    clf = gx.load_classifier(legacy / name)
    scores = clf.logits if GOLDEN[name] == "logits" else clf.probabilities
    np.testing.assert_allclose(scores(golden["x"]), golden[GOLDEN[name]], rtol=0, atol=1e-5)
    assert clf.input_shape == (28, 28, 1)
    assert clf.num_classes == 10
    assert clf.ends_in_activation == (GOLDEN[name] != "logits")
    if GOLDEN[name] != "mixed":  # five formats, one model
        np.testing.assert_allclose(clf.logits(golden["x"]), golden["logits"], rtol=0, atol=1e-4)
        assert clf.fingerprint == gx.load_classifier(legacy / "keras2_softmax.h5").fingerprint
        assert len(clf.weights) == 8


@pytest.fixture
def library(request):
    if request.param == "keras":
        return keras
    import tf_keras

    return tf_keras


def saved(model, path):
    """Saves ``model`` by the suffix of ``path``: "export" for Keras 3's SavedModel, "saved_model" for Keras 2's."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    if path.suffix == ".export":
        model.export(path, verbose=False)
    elif path.suffix == ".saved_model":
        model.save(path, save_format="tf")
    else:
        model.save(path)
    return path


@pytest.mark.parametrize(
    ("library", "suffix"),
    [("keras", s) for s in (".keras", ".h5", ".export")] + [("tf_keras", s) for s in (".keras", ".h5", ".saved_model")],
    indirect=["library"],
)
def test_every_format(library, suffix, tmp_path, images, make_small):
    kinds = library.layers
    model = make_small(kinds.Dropout(0.5), kinds.Dense(4, activation="softmax"), library=library)
    path = saved(model, tmp_path / f"model{suffix}")
    expected = model(images).numpy()
    for source in (path, str(path)):
        clf = gx.load_classifier(source)
        np.testing.assert_allclose(clf.probabilities(images), expected, rtol=0, atol=1e-6)
    assert clf.fingerprint == gx.load_classifier(model).fingerprint
    assert (clf.keras_model is None) == (suffix in {".export", ".saved_model"})


def test_a_lambda_in_the_loss_is_not_read(tmp_path, images, make_small):
    model = make_small(layers.Dense(4))
    with pytest.warns(UserWarning, match="lambda"):
        model.compile(loss=lambda y, p: tf.reduce_sum(p))
        model.save(tmp_path / "model.keras")
    clf = gx.load_classifier(tmp_path / "model.keras")
    np.testing.assert_allclose(clf.logits(images), model(images), rtol=0, atol=1e-6)


def test_a_registered_layer(tmp_path, images, make_small):
    @keras.saving.register_keras_serializable("test_classifier_files")
    class Doubled(layers.Layer):
        def call(self, x):
            return 2 * x

    model = make_small(Doubled(), layers.Dense(4))
    model.save(tmp_path / "model.keras")
    clf = gx.load_classifier(tmp_path / "model.keras")
    np.testing.assert_allclose(clf.logits(images), model(images), rtol=0, atol=1e-6)


def test_a_subclassed_model(images):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = keras.Sequential([layers.Flatten(), layers.Dense(4)])

        def call(self, x, training=False):
            return self.body(x, training=training)

    model = Net()
    expected = model(images)
    clf = gx.load_classifier(model)
    assert clf.input_shape == (8, 8, 2)
    np.testing.assert_allclose(clf.logits(images), expected, rtol=0, atol=1e-6)


def test_a_model_that_takes_a_dictionary(images, recwarn):
    image = keras.Input((8, 8, 2), name="image")
    model = keras.Model({"image": image}, layers.Dense(4)(layers.Flatten()(image)))
    clf = gx.load_classifier(model)
    np.testing.assert_allclose(clf.logits(images), model({"image": images}), rtol=0, atol=1e-6)
    assert not [warning for warning in recwarn if "structure" in str(warning.message)]


# --- not a model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.keras", "x.h5", "x.hdf5"])
def test_a_text_file_with_the_name_of_a_model(name, tmp_path, refuses):
    (tmp_path / name).write_text("hello")
    with refuses(ModelError, name, "which is not one"):
        gx.load_classifier(tmp_path / name)


def test_other_files(tmp_path, refuses):
    for name in ("model.pt", "model.tflite", "model"):
        (tmp_path / name).write_bytes(b"hello")
        with refuses(ModelError, name, ".keras, .h5, .hdf5", "Save the model again"):
            gx.load_classifier(tmp_path / name)


def test_an_archive_that_holds_no_model(tmp_path, refuses):
    import zipfile

    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with refuses(ModelError, "x.keras", "config.json"):
        gx.load_classifier(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[]")
        archive.writestr("metadata.json", "{}")
    with refuses(ModelError, "x.keras", "JSON"):
        gx.load_classifier(path)


def test_a_damaged_archive(tmp_path, softmax_model, refuses):
    import zipfile

    softmax_model.save(tmp_path / "x.keras")
    with zipfile.ZipFile(tmp_path / "x.keras") as whole, zipfile.ZipFile(tmp_path / "y.keras", "w") as damaged:
        for name in ("config.json", "metadata.json"):
            damaged.writestr(name, whole.read(name))
    with refuses(ModelError, "y.keras", "which fails", "pass the model"):
        gx.load_classifier(tmp_path / "y.keras")


def test_weights_without_a_model(tmp_path, softmax_model, refuses):
    softmax_model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kernel"] = np.zeros(3)
    for name in ("model.weights.h5", "other.h5"):
        with refuses(ModelError, name, "weights only", "load_weights"):
            gx.load_classifier(tmp_path / name)


def test_directories_that_are_no_models(tmp_path, refuses):
    with refuses(ModelError, str(tmp_path), "without saved_model.pb"):
        gx.load_classifier(tmp_path)
    (tmp_path / "ganmex.json").write_text("{}")
    with refuses(ModelError, "saved GANMEX", "load_ganmex"):
        gx.load_classifier(tmp_path)


def test_a_saved_model_that_is_damaged(tmp_path, refuses):
    for content in (b"hello", b""):
        (tmp_path / "saved_model.pb").write_bytes(content)
        with refuses(ModelError, str(tmp_path), "Export it again"):
            gx.load_classifier(tmp_path)
    with refuses(ModelError, "saved_model.pb", "Pass the directory"):
        gx.load_classifier(tmp_path / "saved_model.pb")


def test_a_path_that_does_not_exist(tmp_path, refuses):
    with refuses(ModelError, "nowhere", "does not exist"):
        gx.load_classifier(tmp_path / "nowhere")
    with refuses(ModelError, "'~no such user/x.keras'", "does not exist"):
        gx.load_classifier("~no such user/x.keras")


@pytest.mark.parametrize("source", [3, None, b"model.keras", np.zeros(3), ["model.keras"]])
def test_other_sources(source, refuses):
    with refuses(ModelError, f"type {type(source).__name__}", "SavedModel"):
        gx.load_classifier(source)


def test_a_signature_only_fits_a_saved_model(tmp_path, softmax_model, refuses):
    softmax_model.save(tmp_path / "x.keras")
    for source in (tmp_path / "x.keras", softmax_model, lambda x: x):
        with refuses(OptionError, "signature='serve'", "SavedModel directory"):
            gx.load_classifier(source, signature="serve")
    with refuses(OptionError, "signature=3"):
        gx.load_classifier(tmp_path, signature=3)


# --- models that do not fit -------------------------------------------------------------------------------------------


def test_several_inputs(refuses, tmp_path):
    image, other = keras.Input((8, 8, 2), name="image"), keras.Input((3,), name="age")
    joined = layers.Concatenate()([layers.Flatten()(image), other])
    model = keras.Model([image, other], layers.Dense(4)(joined))
    with refuses(ModelError, "one image input", "2 inputs", "age", "callable that fixes the others"):
        gx.load_classifier(model)
    model.export(tmp_path / "m", verbose=False)
    with refuses(ModelError, "one image input", "2 inputs", "age"):
        gx.load_classifier(tmp_path / "m")
    fixed = gx.load_classifier(lambda x: model([x, tf.zeros((tf.shape(x)[0], 3))]), input_shape=(8, 8, 2))
    assert fixed.num_classes == 4


def test_an_input_that_is_no_image(refuses):
    flat = keras.Sequential([keras.Input((784,)), layers.Dense(4)])
    with refuses(ModelError, "(n, h, w, c)", "(None, 784)"):
        gx.load_classifier(flat)
    open_channels = keras.Sequential([keras.Input((8, 8, None)), layers.GlobalAveragePooling2D(), layers.Softmax()])
    with refuses(ModelError, "(None, 8, 8, None)", "input_shape"):
        gx.load_classifier(open_channels)


def test_a_model_that_was_never_built(refuses):
    with refuses(ModelError, "input shape", "Sequential", "never built"):
        gx.load_classifier(keras.Sequential([layers.Flatten(), layers.Dense(4)]))


def test_an_input_shape_that_contradicts_the_model(softmax_model, refuses):
    with refuses(OptionError, "(8, 8, 2)", "input_shape=(9, 8, 2)"):
        gx.load_classifier(softmax_model, input_shape=(9, 8, 2))
    assert gx.load_classifier(softmax_model, input_shape=(8, 8, 2)).input_shape == (8, 8, 2)


@pytest.mark.parametrize("shape", [(8, 8), (None, 8, 8, 2), (0, 8, 2), 8, "888", (8.0, 8, 2)])
def test_an_impossible_input_shape(shape, softmax_model, refuses):
    with refuses(OptionError, "(h, w, c)", f"input_shape={shape!r}"):
        gx.load_classifier(softmax_model, input_shape=shape)


@pytest.mark.parametrize(
    "value_range", [(1, 0), (0, 0), (0, 1, 2), 255, None, ("a", "b"), (0, float("inf")), (0, np.nan)]
)
def test_an_impossible_value_range(value_range, softmax_model, refuses):
    with refuses(OptionError, "low < high", f"value_range={value_range!r}"):
        gx.load_classifier(softmax_model, value_range=value_range)


@pytest.mark.parametrize("names", [["a", "b"], "abcd", [], 4, list("abcde")])
def test_class_names_of_the_wrong_length(names, softmax_model, refuses):
    with refuses(OptionError, "4 class names", f"class_names={names!r}"):
        gx.load_classifier(softmax_model, class_names=names)


def test_class_names(softmax_model):
    assert gx.load_classifier(softmax_model).class_names == ("0", "1", "2", "3")
    names = np.array(["ant", "bee", "cat", "dog"])
    assert gx.load_classifier(softmax_model, class_names=names).class_names == ("ant", "bee", "cat", "dog")


# --- open sizes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fully_convolutional(make_random):
    body = [layers.Conv2D(3, 3), layers.ReLU(), layers.GlobalMaxPooling2D(), layers.Dense(4, activation="softmax")]
    return make_random(keras.Sequential([keras.Input((None, None, 2)), *body]))


@pytest.mark.parametrize("exported", [False, True])
def test_open_height_and_width(exported, fully_convolutional, tmp_path, value_and_gradient):
    source = saved(fully_convolutional, tmp_path / "m.export") if exported else fully_convolutional
    clf = gx.load_classifier(source)
    assert clf.input_shape == (None, None, 2)
    fixed = gx.load_classifier(source, input_shape=(9, 7, 2))
    assert fixed.input_shape == (9, 7, 2)
    rng = np.random.default_rng(0)
    for size in ((9, 7), (16, 5)):
        x = rng.random((3, *size, 2), np.float32)
        expected = value_and_gradient(lambda x: fully_convolutional(x, training=False), x)
        for one in (clf, fixed) if size == (9, 7) else (clf,):
            actual = value_and_gradient(lambda x, one=one: one.scores_tensor(x, one.weight_tensors, "probability"), x)
            np.testing.assert_allclose(actual[0], expected[0], rtol=0, atol=1e-6)
            np.testing.assert_allclose(actual[1], expected[1], rtol=0, atol=1e-6)
            np.testing.assert_allclose(one.probabilities(x), expected[0], rtol=0, atol=1e-6)


def test_an_open_size_that_is_wrong_for_the_image(fully_convolutional, refuses):
    clf = gx.load_classifier(fully_convolutional, input_shape=(9, 7, 2))
    with refuses(gx.errors.ImageError, "(n, 9, 7, 2)", "(1, 8, 8, 2)"):
        clf.logits(np.zeros((1, 8, 8, 2), np.float32))
    with refuses(gx.errors.ImageError, "(n, any, any, 2)", "(1, 8, 8, 3)"):
        gx.load_classifier(fully_convolutional).logits(np.zeros((1, 8, 8, 3), np.float32))


def test_open_sizes_that_must_be_large(refuses):
    """The mean over no pixels, of the 64 × 64 images with which outputs are recognised, is NaN."""
    body = [layers.AveragePooling2D(80), layers.GlobalAveragePooling2D(), layers.Dense(4), layers.Softmax()]
    model = keras.Sequential([keras.Input((None, None, 2)), *body[:1], layers.Conv2D(2, 1), *body[1:]])
    with refuses(ModelError, "finite outputs", "(64, 64, 2)", "input_shape=(h, w, c)"):
        gx.load_classifier(model)
    assert gx.load_classifier(model, input_shape=(96, 96, 2)).num_classes == 4


def test_open_sizes_that_must_be_divided(refuses):
    """Sizes that are no multiples of five do not fit the model at all."""

    def folded(x):
        return tf.reduce_max(tf.reshape(x, (tf.shape(x)[0], -1, 25)), 1)[:, :4] + tf.reduce_mean(x)

    function = tf.function(folded, input_signature=[tf.TensorSpec((None, None, None, 1))])
    with refuses(ModelError, "runs on images", "(4, 64, 64, 1)", "input_shape=(h, w, c)"):
        gx.load_classifier(function)
    assert gx.load_classifier(function, input_shape=(10, 5, 1)).num_classes == 4


def test_a_model_that_diverged(softmax_model, refuses):
    softmax_model.set_weights([weight * np.nan for weight in softmax_model.get_weights()])
    with refuses(ModelError, "finite outputs", "NaN", "(8, 8, 2)"):
        gx.load_classifier(softmax_model)
