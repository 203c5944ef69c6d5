"""Randomized layers: which change, how, and that all others stay bitwise what they were."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from sanity_cases import SHAPE, classifier, images, normed_model, plain_model, shaken

import tf_ganmex as gx
from tf_ganmex.errors import OptionError
from tf_ganmex.sanity import cascading_randomization, independent_randomization, layers_of

layers = keras.layers
ORDER = ["c", "a", "d", "b"]


@pytest.fixture(scope="module")
def clf():
    return classifier()


def ending(clf, name):
    """The weight whose name ends so."""
    (found,) = (value for each, value in clf.weights.items() if each.endswith(name))
    return found


def changed(clf, other):
    """The layers of which every weight differs; fails where one differs in part, or another layer at all."""
    found = set()
    theirs = other.weights
    for layer in layers_of(clf):
        same = [np.array_equal(clf.weights[name], theirs[name]) for name in layer.weights]
        assert all(same) or not any(same)
        if not any(same):
            found.add(layer.name)
    return found


@pytest.mark.parametrize("mode", ["norm", "reinitialize"])
def test_the_cascade_adds_a_layer_at_each_stage_and_leaves_the_rest_bitwise(clf, mode):
    before = {name: value.copy() for name, value in clf.weights.items()}
    stages = list(cascading_randomization(clf, mode=mode))
    assert [name for name, _ in stages] == ORDER
    for count, (_, other) in enumerate(stages, start=1):
        assert changed(clf, other) == set(ORDER[:count])
    for name, value in before.items():
        np.testing.assert_array_equal(clf.weights[name], value)


def test_the_values_of_a_layer_stay_the_same_through_the_cascade_and_alone(clf):
    stages = dict(cascading_randomization(clf, seed=3))
    for name, alone in independent_randomization(clf, seed=3):
        assert changed(clf, alone) == {name}
        weights = next(layer.weights for layer in layers_of(clf) if layer.name == name)
        for later in ORDER[ORDER.index(name) :]:
            for weight in weights:
                np.testing.assert_array_equal(alone.weights[weight], stages[later].weights[weight])


def test_every_tensor_keeps_its_norm_and_is_gaussian():
    model = keras.Sequential([keras.Input((16, 16, 1)), layers.Flatten(), layers.Dense(40, name="fc")])
    clf = classifier(shaken(model))
    ((_, other),) = cascading_randomization(clf)
    for name, value in clf.weights.items():
        new = other.weights[name]
        assert new.dtype == value.dtype
        assert np.linalg.norm(new) == pytest.approx(np.linalg.norm(value), rel=1e-5)
        assert abs(np.corrcoef(new.ravel(), value.ravel())[0, 1]) < 4 / np.sqrt(value.size)
    kernel = ending(other, "fc/kernel").ravel()
    kernel = kernel / kernel.std()
    assert abs(kernel.mean()) < 0.05
    assert (kernel**4).mean() == pytest.approx(3, abs=0.25)  # of a Gaussian; 1.8 of a uniform


def test_seeds(clf):
    one, same, other = (list(cascading_randomization(clf, seed=seed))[-1][1] for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    kernels = [ending(one, "a/kernel").ravel()[:12], ending(one, "d/kernel").ravel()[:12]]
    assert abs(np.corrcoef(*kernels)[0, 1]) < 0.95, "every tensor has draws of its own"


def test_stages_are_on_the_same_compiled_graph_and_give_what_the_model_gives_with_such_weights(clf):
    x, traces = images(), []

    def kernel(x, weights):
        traces.append(None)
        return clf.scores_tensor(x, weights, "logit")

    model = plain_model()
    for _, other in cascading_randomization(clf):
        assert other.engine is clf.engine
        result = other.kernel("count", lambda: kernel)(tf.constant(x), other.weight_tensors)
        model.set_weights(list(other.weights.values()))
        np.testing.assert_allclose(result, model(x), rtol=1e-4, atol=1e-5)
        assert np.abs(result - clf.logits(x)).max() > 1e-2
    assert len(traces) == 1


def test_layers_chosen_by_name_or_pattern_are_the_stages(clf):
    stages = dict(cascading_randomization(clf, layers=["d", "[ab]"]))
    assert list(stages) == ["d", "[ab]"]
    assert changed(clf, stages["d"]) == {"d"}
    assert changed(clf, stages["[ab]"]) == {"a", "b", "d"}
    assert changed(clf, dict(independent_randomization(clf, layers=["[ab]"]))["[ab]"]) == {"a", "b"}


def test_arguments_are_checked_before_the_first_stage(clf):
    with pytest.raises(OptionError, match="Expected mode"):
        cascading_randomization(clf, mode="shuffle")
    with pytest.raises(OptionError, match=r"among c, a, d, b. Received: 'conv'"):
        independent_randomization(clf, layers=["conv"])
    with pytest.raises(OptionError, match="seed"):
        cascading_randomization(clf, seed=-1)


def test_moving_statistics_keep_their_values_with_norms_and_start_anew_with_initializers():
    clf = classifier(normed_model())
    other = list(cascading_randomization(clf))[-1][1].weights
    for name, value in clf.weights.items():
        assert np.array_equal(other[name], value) == ("moving" in name)
    assert np.isfinite(list(cascading_randomization(clf))[-1][1].logits(images())).all()
    again = list(cascading_randomization(clf, mode="reinitialize"))[-1][1]
    for name, start in {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}.items():
        np.testing.assert_array_equal(ending(again, f"norm/{name}"), np.full(4, start, np.float32))


def test_reinitialized_from_the_initializers_of_the_layers():
    options = {"kernel_initializer": keras.initializers.RandomUniform(2.0, 3.0), "bias_initializer": "ones"}
    clf = classifier(plain_model(**options))
    stages = [list(cascading_randomization(clf, mode="reinitialize", seed=seed))[-1][1].weights for seed in (0, 0, 1)]
    for name, value in stages[0].items():
        np.testing.assert_array_equal(stages[1][name], value)
        if name.endswith("kernel"):
            assert value.min() >= 2 and value.max() <= 3 and np.unique(value).size > value.size / 2
            assert not np.array_equal(stages[2][name], value)
        else:
            np.testing.assert_array_equal(value, 1)


def test_layers_inside_layers_have_their_own_initializers():
    image = keras.Input((4, 4, 3))
    mixed = layers.MultiHeadAttention(2, 3, kernel_initializer=keras.initializers.Constant(0.25), name="attention")
    x = layers.Reshape((16, 3))(image)
    inner = keras.Sequential([layers.Dense(2, kernel_initializer=keras.initializers.Constant(0.75), name="inside")])
    x = layers.Flatten()(inner(mixed(x, x)))
    clf = classifier(shaken(keras.Model(image, layers.Dense(3, name="out")(x))))
    values = list(cascading_randomization(clf, mode="reinitialize"))[-1][1].weights
    assert sum(np.all(value == 0.25) for value in values.values()) == 4
    assert sum(np.all(value == 0.75) for value in values.values()) == 1


def test_without_a_model_kernels_are_glorots_and_vectors_by_their_place(tmp_path):
    """As in a SavedModel, here one whose batch normalization is a single fused operation."""

    class Net(tf.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            shapes = {"u": (3, 3, 1, 4), "k": (144, 3), "g": 4, "s": 4, "m": 4, "w": 4, "t": 3}
            self.values = {
                name: tf.Variable(rng.random(shape, np.float32) + 1, name=name) for name, shape in shapes.items()
            }

        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.float32)])
        def serve(self, x):
            v = self.values
            x = tf.nn.conv2d(x, v["u"], 1, "VALID")
            x = tf.compat.v1.nn.fused_batch_norm(x, v["g"], v["s"], v["m"], v["w"], is_training=False)[0]
            return {"logits": tf.reshape(x, (-1, 144)) @ v["k"] + v["t"]}

    net = Net()
    tf.saved_model.save(net, str(tmp_path), signatures=net.serve)
    clf = gx.load_classifier(tmp_path, output="logits")
    assert [len(layer.weights) for layer in layers_of(clf)] == [2, 5]
    stages = {mode: list(cascading_randomization(clf, mode=mode))[-1][1] for mode in ("norm", "reinitialize")}
    values = {name[0]: value for name, value in stages["reinitialize"].weights.items()}
    for name, start in {"g": 1, "s": 0, "m": 0, "w": 1, "t": 0}.items():
        np.testing.assert_array_equal(values[name], start)
    limit = np.sqrt(6 / (144 + 3))  # Glorot & Bengio 2010
    assert 0.9 * limit < np.abs(values["k"]).max() <= limit
    kept = {name[0]: value for name, value in stages["norm"].weights.items()}
    own = {name[0]: value for name, value in clf.weights.items()}
    assert {name for name in own if np.array_equal(own[name], kept[name])} == {"m", "w"}
