"""DeepSHAP: the graph against SHAP's DeepExplainer, which of the two answers, and both in threads."""

from __future__ import annotations

import importlib
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, case, sequential, sharpened

import tf_ganmex as gx
from tf_ganmex.attributions import deepshap, expected_gradients, integrated_gradients
from tf_ganmex.errors import OptionError, UnsupportedOpError

layers = keras.layers
of_others = pytest.mark.filterwarnings("ignore:Your TensorFlow", "ignore:The structure of", "ignore:.*set_:")
module = importlib.import_module("tf_ganmex.attributions.deepshap")


def network(activation="relu", pooling=None, *, softmax=True, seed=1):
    keras.utils.set_random_seed(seed)
    pooling = [pooling()] if pooling else []
    return sharpened(
        sequential(
            (8, 8, 1),
            layers.Conv2D(4, 3, activation=activation),
            *pooling,
            layers.BatchNormalization(),
            layers.Conv2D(5, 2, padding="same", activation=activation),
            layers.Flatten(),
            layers.Dense(4, activation="softmax" if softmax else None),
        )
    )


def residual():
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1))
    z = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    z = layers.Concatenate()([z + layers.Conv2D(4, 3, padding="same", activation="elu")(z), z])
    z = layers.ZeroPadding2D(1)(z)
    return sharpened(keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalAveragePooling2D()(z))), 20)


@pytest.fixture(scope="module")
def question():
    x, baseline = np.random.default_rng(3).random((2, 4, 8, 8, 1), np.float32)
    baseline[0, :3] = x[0, :3]
    return x, np.array([0, 1, 2, 3]), np.array([1, 2, 3, 0]), baseline


# --- the same values --------------------------------------------------------------------------------------------------

NETWORKS = {
    "relu, max pooling": lambda: network("relu", lambda: layers.MaxPooling2D(2)),
    "relu, overlapping max pooling": lambda: network("relu", lambda: layers.MaxPooling2D(3, 1, "same")),
    "elu, average pooling": lambda: network("elu", lambda: layers.AveragePooling2D(2)),
    "tanh": lambda: network("tanh"),
    "sigmoid": lambda: network("sigmoid"),
    "softplus": lambda: network("softplus"),
    "logits": lambda: network(softmax=False),
    "residual": residual,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_graph_and_shap_agree(name, question):
    clf = gx.load_classifier(NETWORKS[name](), output="logits" if name == "logits" else "auto")
    for score in ("probability", "logit") if name == "logits" else ("probability",):
        by_shap, by_graph = (deepshap(clf, *question, backend=b, score=score) for b in ("shap", "graph"))
        # SHAP takes quotients of differences down to 1e-6, where those of smooth functions are rounding errors.
        assert_close(by_graph, by_shap, 2e-4 if name in {"tanh", "sigmoid", "softplus"} else 1e-5)


@pytest.mark.parametrize("shared_by_all", [True, False])
def test_graph_and_shap_agree_on_a_background(shared_by_all, question):
    x, origin, target, _ = question
    clf = gx.load_classifier(network())
    background = np.random.default_rng(4).random((1 if shared_by_all else 4, 3, 8, 8, 1), np.float32)
    by_shap, by_graph = (deepshap(clf, x, origin, target, background, backend=b) for b in ("shap", "graph"))
    assert_close(by_graph, by_shap, 1e-5)


@of_others
@pytest.mark.parametrize("softmax", [True, False])
def test_deep_explainer_itself_agrees(softmax, question):
    """Without our wrapper: the values of the class outputs, origin minus target."""
    shap = pytest.importorskip("shap")
    x, origin, target, baseline = question
    model = network("relu", lambda: layers.MaxPooling2D(2), softmax=softmax)
    values = shap.DeepExplainer(model, baseline).shap_values(x)
    expected = values[range(4), ..., origin] - values[range(4), ..., target]
    clf = gx.load_classifier(model, output="auto" if softmax else "logits")
    score = "probability" if softmax else "logit"
    for backend in ("shap", "graph"):
        maps = deepshap(clf, x, origin, target, baseline[None], backend=backend, score=score)
        assert_close(maps, expected, 1e-5)


@of_others
def test_gradient_explainer_agrees_with_expected_gradients(question):
    shap = pytest.importorskip("shap")
    x, _, _, background = question
    model = network("tanh", softmax=False)
    np.random.seed(0)
    values = shap.GradientExplainer(model, background).shap_values(x[:1], nsamples=3000)
    expected = values[..., 0] - values[..., 1]
    clf = gx.load_classifier(model, output="logits")
    maps = expected_gradients(clf, x[:1], 0, 1, background, steps=3000, score="logit")
    assert_close(maps, expected, 0.05)


# --- which of the two -------------------------------------------------------------------------------------------------


def refuse(*arguments):
    raise AssertionError("SHAP was asked")


def test_auto_asks_shap_where_it_is_right(question, monkeypatch):
    clf = gx.load_classifier(network())
    deepshap(clf, *question)
    assert ("shap", "probability") in clf.engine.kernels
    monkeypatch.setattr(module.ShapExplainer, "of", refuse)
    with pytest.raises(AssertionError, match="SHAP was asked"):
        deepshap(clf, *question)


def log_softmax():
    return sharpened(sequential((8, 8, 1), layers.Flatten(), layers.Dense(4), layers.Activation("log_softmax")))


def squeeze_excite():
    image = keras.Input((8, 8, 1))
    z = layers.Conv2D(4, 3, activation="relu")(image)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(z))
    z = layers.Multiply()([z, layers.Reshape((1, 1, 4))(gate)])
    return keras.Model(image, layers.Dense(4, "softmax")(layers.Flatten()(z)))


def in_float64():
    stack = [layers.Flatten(dtype="float64"), layers.Dense(4, "softmax", dtype="float64")]
    return keras.Sequential([keras.Input((8, 8, 1), dtype="float64"), *stack])


def any_size():
    stack = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(4, "softmax")]
    return keras.Sequential([keras.Input((None, None, 1)), *stack])


def callable_model():
    model = network()
    return tf.function(lambda x: model(x), input_signature=[tf.TensorSpec((None, 8, 8, 1))])


# name: (source, output, score, what the message names)
NOT_FOR_SHAP = {
    "silu": (lambda: network("silu"), "auto", "probability", "operations"),
    "leaky relu": (lambda: network("leaky_relu"), "auto", "probability", "LeakyRelu"),
    "broadcast product": (squeeze_excite, "auto", "probability", "Mul"),
    "log-softmax": (log_softmax, "auto", "probability", "Keras 3 model"),
    "independent labels": (lambda: network("sigmoid", softmax=False), "multilabel", "probability", "exclusive"),
    "logits behind a softmax": (network, "auto", "logit", "logits of a model that ends in a softmax"),
    "float64": (in_float64, "auto", "probability", "float64"),
    "any size": (any_size, "auto", "probability", "any size"),
    "callable": (callable_model, "auto", "probability", "Keras 3 model"),
}


@pytest.mark.parametrize("name", NOT_FOR_SHAP)
def test_model_that_shap_explains_wrongly_or_not_at_all(name, question, monkeypatch):
    source, output, score, why = NOT_FOR_SHAP[name]
    clf = gx.load_classifier(source(), output=output)
    monkeypatch.setattr(module.ShapExplainer, "of", refuse)
    by_graph, auto = (deepshap(clf, *question, backend=b, score=score) for b in ("graph", "auto"))
    assert np.array_equal(auto, by_graph)
    with pytest.raises(UnsupportedOpError, match=f"Expected.*SHAP.*Received.*{why}.*backend='graph'"):
        deepshap(clf, *question, backend="shap", score=score)


def test_keras_model_trained_further_is_not_asked(question):
    """The classifier is a copy of the model as it was loaded."""
    model = network()
    clf = gx.load_classifier(model)
    before = deepshap(clf, *question)
    model.set_weights([weight * 1.01 for weight in model.get_weights()])
    assert_close(deepshap(clf, *question), before, 1e-5)
    with pytest.raises(UnsupportedOpError, match="weights have changed"):
        deepshap(clf, *question, backend="shap")


def test_gradients_after_shap_has_failed(question, monkeypatch):
    """SHAP fails on leaky ReLU and leaves its own recorder of gradients in TensorFlow."""
    monkeypatch.setattr(module, "_SHAP_OPS", module._SHAP_OPS | {"LeakyRelu"})
    with pytest.raises(Exception, match="shap_LeakyRelu"):
        deepshap(gx.load_classifier(network("leaky_relu")), *question, backend="shap")
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(x**2)
    assert tape.gradient(total, x).numpy().tolist() == [2, 4]


def test_unknown_backend(question):
    with pytest.raises(OptionError, match=r"Expected backend.*Received: backend='tree'"):
        deepshap(gx.load_classifier(network()), *question, backend="tree")


# --- in threads -------------------------------------------------------------------------------------------------------


def test_gradients_in_other_threads_while_shap_runs(question):
    """SHAP replaces TensorFlow's gradients while it runs; neither compiling nor eager gradients must meet them."""
    eager = case("eager")
    network_clf = gx.load_classifier(network())

    def by_shap():
        return [deepshap(network_clf, *question, backend="shap")]

    def compiled():  # a new classifier each time, so that its gradients are traced now
        clf = gx.load_classifier(network(softmax=False), output="logits")
        return [integrated_gradients(clf, *question, steps=5), gx.attributions.deeplift(clf, *question)]

    def eagerly():
        arguments = (eager.clf, eager.x, eager.origin, eager.target)
        return [integrated_gradients(*arguments, eager.baseline, steps=5), gx.attributions.gradient(*arguments)]

    functions = [by_shap, compiled, eagerly]
    expected = [function() for function in functions]
    failures: list = []

    def repeat(function, wanted):
        try:
            for _ in range(5):
                for maps, right in zip(function(), wanted, strict=True):
                    assert_close(maps, right, 1e-5)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=pair) for pair in zip(functions, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
