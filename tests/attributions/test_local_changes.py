"""Changes evaluated where they are, against whole images through the classifier, on networks made at random."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close
from scipy.special import softmax

import tf_ganmex as gx
from tf_ganmex.attributions import local, occlusion
from tf_ganmex.attributions.exact import exact_contrast
from tf_ganmex.attributions.local import changes as changes_module
from tf_ganmex.attributions.local import flip_plan as flip_plan_module
from tf_ganmex.attributions.local import flips as flips_module
from tf_ganmex.attributions.local import plan as plan_module
from tf_ganmex.attributions.local.changes import LocalChanges
from tf_ganmex.attributions.local.flip_plan import flip_plans
from tf_ganmex.attributions.local.flips import LocalFlips
from tf_ganmex.attributions.local.layers import read_segments
from tf_ganmex.attributions.local.plan import plans_of_side
from tf_ganmex.attributions.problem import pose
from tf_ganmex.metrics import perturbation, perturbation_curve, single_changes
from tf_ganmex.metrics.effects import draw_effects, flip_drops

layers = keras.layers
ACTIVATIONS = ["relu", "tanh", "silu", "gelu", "relu6", "elu", "leaky_relu", "softplus", "hard_sigmoid"]


# --- networks ---------------------------------------------------------------------------------------------------------


def random_layer(rng, shape):
    """A layer that fits maps of ``shape``, in double precision so that nothing hides behind rounding."""
    kind = rng.choice(["conv", "conv", "depthwise", "pool", "pool", "norm", "activation", "padding"])
    size = tuple(int(k) for k in rng.integers(1, 1 + np.minimum(4, shape[:2])))
    stride, padding = int(rng.integers(1, 1 + min(3, *size))), str(rng.choice(["same", "valid"]))
    activation = str(rng.choice(ACTIVATIONS))
    if kind == "conv":
        options = {"activation": activation, "bias_initializer": "normal", "dtype": "float64"}
        return layers.Conv2D(int(rng.integers(2, 6)), size, stride, padding, **options)
    if kind == "depthwise":
        return layers.DepthwiseConv2D(size, stride, padding, dtype="float64")
    if kind == "pool" and rng.random() < 0.5:
        return layers.MaxPooling2D(size, stride, padding, dtype="float64")
    if kind == "pool":
        return layers.AveragePooling2D(size, stride, dtype="float64")
    if kind == "norm":
        return layers.BatchNormalization(dtype="float64")
    if kind == "activation":
        return layers.Activation(activation, dtype="float64")
    return layers.ZeroPadding2D(rng.integers(0, 3, (2, 2)).tolist(), dtype="float64")


def random_network(seed):
    """A classifier of up to five layers on maps, sequential or functional, that ends in one of the usual ways."""
    rng, double = np.random.default_rng(seed), {"dtype": "float64"}
    keras.utils.set_random_seed(seed)
    shape = (*(int(n) for n in rng.integers(6, 11, 2)), int(rng.choice([1, 3])))
    stack = [keras.Input(shape, **double)]
    for _ in range(rng.integers(1, 6)):
        maps = keras.Sequential(stack).output_shape[1:] if len(stack) > 1 else shape
        stack.append(random_layer(rng, maps))
    if rng.random() < 0.4:
        stack.append(layers.GlobalAveragePooling2D(keepdims=bool(rng.random() < 0.3), **double))
    stack += [layers.Flatten(**double), layers.Dense(6, "tanh", **double), layers.Dropout(0.5, **double)]
    softmax_layer = [layers.Dense(4, **double), layers.Softmax(**double)]
    stack += softmax_layer if rng.random() < 0.5 else [layers.Dense(4, "softmax", **double)]
    model = keras.Sequential(stack)
    if rng.random() < 0.5:
        x = inputs = stack[0]
        for layer in stack[1:]:
            x = layer(x)
        model = keras.Model(inputs, x)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return gx.load_classifier(model)


def network(*stack, **options):
    keras.utils.set_random_seed(0)
    return gx.load_classifier(keras.Sequential(list(stack)), **options)


# --- by whole images --------------------------------------------------------------------------------------------------


def question(clf, count=3, score="logit"):
    x = np.random.default_rng(1).random((count, *clf.input_shape)).astype(clf.dtype)
    classes = clf.num_classes
    return pose(clf, x, np.arange(count) % classes, (np.arange(count) + 1) % classes, score)


def every_window(problem, window):
    """(rows, corners, differences) of every window of every image, in any order."""
    rng = np.random.default_rng(2)
    count, height, width, depth = problem.x.shape
    places = np.argwhere(np.ones((count, height - window + 1, width - window + 1)))
    rng.shuffle(places)
    differences = rng.normal(size=(len(places), window, window, depth)).astype(problem.x.dtype)
    return places[:, 0], places[:, 1:], differences


def by_whole_images(problem, rows, corners, differences):
    window, clf = differences.shape[1], problem.clf
    changed = problem.x[rows]
    for image, (top, left), difference in zip(changed, corners, differences, strict=True):
        image[top : top + window, left : left + window] += difference

    def scores(x):  # of images beyond the value range, which a classifier would not take
        raw = clf.engine.forward(tf.constant(x), clf.weight_tensors)
        logits = clf.head.logits(tf.cast(raw, tf.float64)).numpy()
        return logits if problem.score == "logit" else softmax(logits, -1)

    return ((scores(changed) - scores(problem.x[rows])) * exact_contrast(problem)[rows]).sum(-1)


def check(clf, plans, window=1, score="logit", tolerance=2e-5):
    problem = question(clf, score=score)
    arguments = every_window(problem, window)
    expected = by_whole_images(problem, *arguments)
    assert expected.any()
    for plan in plans:
        assert_close(LocalChanges(problem, plan, 64)(*arguments), expected, tolerance)


def plans(clf, window, side):
    return plans_of_side(read_segments(clf.graph, clf.input_shape), clf.input_shape, window, side)


@pytest.mark.parametrize("seed", range(20))
def test_every_pixel_of_any_network(seed):
    clf, rng = random_network(seed), np.random.default_rng(seed)
    window, side = int(rng.choice([1, 1, 2, 4])), int(rng.integers(1, 5))
    known = plans(clf, window, side)
    some = {len(known) - 1, int(rng.integers(len(known)))} if known else set()
    check(clf, [known[number] for number in some], window, str(rng.choice(["logit", "probability"])), 1e-11)


def test_every_layer_may_be_the_last_local_one():
    clf = network(
        keras.Input((9, 8, 3)),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.AveragePooling2D(2),
        layers.Conv2D(5, 2, activation="silu"),
        layers.MaxPooling2D(2, 1, "same"),
        layers.DepthwiseConv2D(2),
        layers.Flatten(),
        layers.Dense(6, "relu"),
        layers.Dense(3),
        output="logits",
    )
    known = plans(clf, 1, 2)
    kinds = [plan.layers[-1].kind for plan in known]
    assert kinds == ["conv", "average", "conv", "maximum", "depthwise", "dense"]
    check(clf, known)


def convolution(*options, **more):
    """A callable that is one convolution by TensorFlow's own operation, for what Keras makes in another way."""
    kernel = tf.constant(np.random.default_rng(5).normal(size=(3, 2, 2, 4)), tf.float32)

    def function(x):
        return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, kernel, *options, **more) - 0.5), [1, 2])

    return gx.load_classifier(function, input_shape=(10, 9, 2), output="logits")


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 1, "padding": "SAME", "dilations": 2},
        {"strides": 1, "padding": "VALID", "dilations": (3, 2)},
        {"strides": (3, 1), "padding": "SAME"},
        {"strides": 2, "padding": [[0, 0], [2, 1], [0, 2], [0, 0]]},
    ],
)
def test_convolutions_of_any_geometry(options):
    clf = convolution(**options)
    for side in (1, 4):
        known = plans(clf, 2, side)
        assert len(known) == 2
        check(clf, known, 2)


FUNCTIONS = {
    "a square": lambda x, c: x * x,
    "twice": lambda x, c: x + x,
    "a sum": lambda x, c: c + x,
    "a difference": lambda x, c: x - c,
    "a difference from": lambda x, c: c - x,
    "a product": lambda x, c: x * c,
    "a quotient": lambda x, c: x / (c + 3),
    "a quotient by": lambda x, c: c / (x * x + 1),
    "the larger": tf.maximum,
    "a power": lambda x, c: tf.pow(x * x + 1, c),
    "a gate": lambda x, c: x * tf.sigmoid(c * x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_every_element(name):
    rng = np.random.default_rng(5)
    kernel, numbers, dense = (tf.constant(rng.normal(size=size)) for size in [(2, 2, 1, 3), 3, (48, 3)])

    def function(x):
        return tf.reshape(FUNCTIONS[name](tf.nn.conv2d(x, kernel, 1, "VALID"), numbers), (-1, 48)) @ dense

    clf = gx.load_classifier(function, input_shape=(5, 5, 1), output="logits")
    clf.logits(np.zeros((1, 5, 5, 1)))
    known = plans(clf, 1, 2)
    assert known[-1].layers[-1].kind == "dense"
    check(clf, known[-1:], tolerance=1e-12)


def test_kernels_and_matrices():
    """Where a block reaches more elements than a kernel has, the kernel slides; a matrix does it elsewhere."""
    clf = network(
        keras.Input((12, 12, 1)),
        *(layers.Conv2D(3, 3, activation="relu") for _ in range(3)),
        layers.Flatten(),
        layers.Dense(3),
    )
    by_matrix = {plan.by_matrix for side in (1, 2, 5) for plan in plans(clf, 1, side)}
    assert {matrix for matrices in by_matrix for matrix in matrices} == {True, False}
    for side in (1, 5):
        check(clf, plans(clf, 1, side)[1:])


# --- what is not known ------------------------------------------------------------------------------------------------


def residual(x):
    return layers.Add()([x, layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu")(x)])


UNKNOWN = {
    "a residual connection": residual,
    "attention": lambda x: layers.Reshape(x.shape[1:])(layers.Attention()([layers.Reshape((-1, x.shape[-1]))(x)] * 2)),
    "a norm over the map": lambda x: layers.LayerNormalization(axis=(1, 2, 3))(x),
    "a norm over the channels": lambda x: layers.LayerNormalization()(x),
    "another order": lambda x: layers.Permute((2, 1, 3))(x),
    "another shape": lambda x: layers.Reshape((x.shape[2], x.shape[1], x.shape[3]))(x),
    "a crop": lambda x: layers.Cropping2D(1)(x),
    "averages of fewer at the border": lambda x: layers.AveragePooling2D(3, 1, "same")(x),
    "constants by place": lambda x: x * np.random.default_rng(9).random(x.shape[1:]).astype(np.float32),
    "constants by row": lambda x: x + np.arange(x.shape[1], dtype=np.float32)[:, None, None],
    "groups": lambda x: layers.Conv2D(x.shape[-1], 2, groups=2)(x),
    "a larger map": lambda x: layers.UpSampling2D(2)(x),
    "transposed": lambda x: layers.Conv2DTranspose(2, 3)(x),
    "softmax over the channels": lambda x: layers.Softmax()(x),
    "means over the channels": lambda x: keras.ops.mean(x, -1, keepdims=True),
    "a gate over the channels": lambda x: x * keras.ops.mean(x, -1, keepdims=True),
    "maxima over the map": lambda x: x - keras.ops.max(x, (1, 2), keepdims=True),
}


def with_unknown(name, first):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs) if first else inputs
    x = layers.Flatten()(layers.Conv2D(3, 2, activation="relu")(UNKNOWN[name](x)))
    return gx.load_classifier(keras.Model(inputs, layers.Dense(3)(x)), output="logits")


@pytest.mark.parametrize("name", UNKNOWN)
def test_the_rest_begins_before_an_unknown_layer(name):
    clf = with_unknown(name, first=True)
    known = plans(clf, 1, 2)
    assert [plan.layers[-1].kind for plan in known] == ["conv"]
    check(clf, known)


@pytest.fixture
def free(monkeypatch):
    """Makes the local way the cheapest one wherever there is one."""
    for name in ("_START_COST", "_CALL_COST", "_READ_COST"):
        monkeypatch.setattr(plan_module, name, 0.0)
    monkeypatch.setattr(plan_module, "_GAIN", 1e-6)
    monkeypatch.setattr(flip_plan_module, "_GAIN", 1e-6)
    monkeypatch.setattr(flip_plan_module, "_LEAST", 0)


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_local_where_the_first_layer_is_unknown(name, free):
    assert local.local_changes(question(with_unknown(name, first=False)), 64, 10**9) is None
    assert local.local_changes(question(with_unknown(name, first=True)), 64, 10**9) is not None


def test_classifiers_without_a_graph_to_read(free):
    weights = tf.constant(np.random.default_rng(7).normal(size=(25, 3)), tf.float32)
    eager = gx.load_classifier(
        lambda x: tf.reshape(x.numpy(), (-1, 25)) @ weights, output="logits", input_shape=(5, 5, 1)
    )
    half = keras.Sequential(
        [keras.Input((5, 5, 1)), layers.Conv2D(2, 2, dtype="mixed_bfloat16"), layers.Flatten(), layers.Dense(3)]
    )
    for clf in (eager, gx.load_classifier(half, output="logits")):
        assert local.local_changes(question(clf), 64, 10**9) is None


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_what_the_layers_do_not_see_changes_exactly_nothing():
    """The last row and column, behind the last stride; of the rest of the network no rounding shows."""
    clf = network(
        keras.Input((8, 8, 1)),
        layers.Conv2D(4, 3, 2, activation="tanh"),
        layers.Flatten(),
        layers.Dense(40, "tanh"),
        layers.Dense(3),
    )
    problem = question(clf, 30)
    rows, corners, differences = every_window(problem, 1)
    unseen = (corners == 7).any(1)
    for side in (1, 2, 3):
        for plan in plans(clf, 1, side):
            actual = LocalChanges(problem, plan, 50)(rows, corners, differences)
            assert (actual[unseen] == 0).all() and (actual[~unseen] != 0).all()
            assert (LocalChanges(problem, plan, 50)(rows, corners, 0 * differences) == 0).all()


def test_differences_where_the_probability_is_one():
    clf = network(
        keras.Input((8, 8, 1)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(3),
        output="logits",
    )
    kernels = {name: value for name, value in clf.weights.items() if value.ndim > 1}
    clf = clf.with_weights(kernels | {name: np.array([30, 0, 0]) for name in list(clf.weights)[-1:]})
    problem = question(clf, score="probability")
    assert (clf.probabilities(problem.x)[:, 0] == 1).all()
    expected = by_whole_images(problem, *every_window(problem, 1))
    assert 0 < np.abs(expected).max() < 1e-11
    check(clf, plans(clf, 1, 2), score="probability")


# --- however it is divided --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clf():
    return network(
        keras.Input((9, 9, 2)),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(5, 2, activation="relu"),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
    )


@pytest.mark.parametrize("evaluations", [1, 7, 1000])
def test_how_many_at_a_time_does_not_matter(evaluations, clf, monkeypatch):
    problem, plan = question(clf, 5), plans(clf, 1, 3)[-1]
    arguments = every_window(problem, 1)
    expected = LocalChanges(problem, plan, 64)(*arguments)
    assert_close(LocalChanges(problem, plan, evaluations)(*arguments), expected, 1e-6)
    monkeypatch.setattr(changes_module, "_ELEMENTS", 2000)  # two or so images
    assert_close(LocalChanges(problem, plan, evaluations)(*arguments), expected, 1e-6)


def test_some_changes_in_any_order_and_more_than_once(clf):
    problem, plan = question(clf, 5), plans(clf, 1, 3)[-1]
    arguments = every_window(problem, 1)
    expected = LocalChanges(problem, plan, 64)(*arguments)
    chosen = np.random.default_rng(3).integers(0, 200, 90)
    some = LocalChanges(problem, plan, 64)(*(argument[chosen] for argument in arguments))
    assert_close(some, expected[chosen], 1e-6)


def test_other_weights_on_the_same_graph(clf):
    rng, side = np.random.default_rng(4), 2
    check(clf, plans(clf, 1, side))
    other = clf.with_weights({name: rng.normal(size=value.shape) for name, value in clf.weights.items()})
    check(other, plans(other, 1, side))
    check(clf, plans(clf, 1, side))


# --- the methods ------------------------------------------------------------------------------------------------------


METHODS = {
    "occlusion": lambda *a: occlusion(*a, gx.baselines.zero()),
    "occlusion of some": lambda clf, x, *a: occlusion(clf, x, *a, np.where(x > 0.5, x, 0)),
    "occlusion of windows": lambda *a: occlusion(*a, gx.baselines.maximum(), window=3, stride=2),
    "occlusion of channels": lambda *a: occlusion(*a, gx.baselines.zero(), window=2, channels="each"),
    "flips": flip_drops,
    "draws": lambda *a: draw_effects(*a, draws=3),
    "a perturbation curve": lambda clf, x, *a: perturbation_curve(clf, x, np.sin(9 * x), *a),
    "the first of a curve": lambda clf, x, *a: perturbation_curve(clf, x, np.sin(9 * x), *a, flips=5),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_by_windows_and_by_whole_images(name, clf, free, monkeypatch):
    method, x, modules = METHODS[name], question(clf, 4).x, [vars(single_changes), vars(perturbation)]
    modules.append(occlusion.__wrapped__.__globals__)
    used = []

    def watched(function):
        def call(*arguments):
            used.append(function(*arguments))
            return used[-1]

        return call

    def replace(changed):
        for names in modules:
            for function in (local.local_changes, local.local_flips):
                if function.__name__ in names:
                    monkeypatch.setitem(names, function.__name__, changed(function))

    replace(watched)
    by_windows = method(clf, x, 0, 1)
    assert used and all(result is not None for result in used)
    replace(lambda function: lambda *arguments: None)
    assert_close(by_windows, method(clf, x, 0, 1), 1e-5)


def test_the_cheaper_way_is_chosen():
    big = network(
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 5, activation="relu"),
        layers.Conv2D(32, 5, activation="relu"),
        layers.Flatten(),
        layers.Dense(10),
    )
    problem = question(big)
    assert local.local_changes(problem, 512, 100_000) is not None
    assert local.local_changes(problem, 512, 100) is None, "compiling would take longer"
    whole = network(keras.Input((6, 6, 1)), layers.Conv2D(16, 6), layers.Flatten(), layers.Dense(3))
    assert local.local_changes(question(whole), 512, 10**9) is None, "every pixel changes everything"


# --- one flip after another -------------------------------------------------------------------------------------------


def flips_by_whole_images(problem, ranks, flips):
    counts = np.arange(flips + 1)[:, None, None, None]
    low, high = problem.clf.value_range
    images = [np.where(rank < counts, low + high - image, image) for rank, image in zip(ranks, problem.x, strict=True)]
    return np.stack(
        [
            problem.clf.score_delta(x, o, t, problem.score)
            for x, o, t in zip(images, problem.origin, problem.target, strict=True)
        ]
    )


def random_ranks(x, seed=5):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(image.size).reshape(image.shape) for image in x]).astype(np.int32)


def every_flip_plan(clf):
    return flip_plans(read_segments(clf.graph, clf.input_shape), clf.input_shape)


def check_flips(clf, known, score="logit", evaluations=64):
    problem = question(clf, 2, score)
    ranks = random_ranks(problem.x)
    expected = flips_by_whole_images(problem, ranks, problem.x[0].size)
    for plan in known:
        actual = LocalFlips(problem, plan, evaluations).curve(ranks, problem.x[0].size)
        assert_close(actual - expected[:, :1], expected - expected[:, :1], 1e-11)


@pytest.mark.parametrize("seed", range(20))
def test_every_flip_of_any_network(seed):
    clf, rng = random_network(seed), np.random.default_rng(seed)
    known = every_flip_plan(clf)
    some = {len(known) - 1, int(rng.integers(len(known)))} if known else set()
    check_flips(clf, [known[number] for number in some], str(rng.choice(["logit", "probability"])))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("depth", [1, 2])
def test_flips_behind_every_layer(padding, depth):
    """Fields that lie beyond the border, and strides on strides."""
    double = {"dtype": "float64"}
    clf = network(
        keras.Input((11, 12, depth), **double),
        layers.Rescaling(2.0, -1, **double),
        layers.Activation("tanh", **double),
        layers.Conv2D(3, (3, 2), 1, padding, activation="relu", bias_initializer="normal", **double),
        layers.AveragePooling2D(2, 1, **double),
        layers.Conv2D(4, 2, padding=padding, **double),
        layers.BatchNormalization(**double),
        layers.Activation("silu", **double),
        layers.DepthwiseConv2D(3, 2, padding, **double),
        layers.Conv2D(3, 2, 2, "same", activation="tanh", **double),
        layers.Flatten(**double),
        layers.Dense(6, "tanh", **double),
        layers.Dense(3, **double),
        output="logits",
        value_range=(0, 1) if depth == 1 else (-1, 1),
    )
    known = every_flip_plan(clf)
    kinds = [plan.layers[-1].kind if plan.layers[-1].ends else plan.stages[-1].layer.kind for plan in known]
    assert kinds == ["conv", "average", "conv", "depthwise", "conv", "dense"]
    check_flips(clf, known)


@pytest.mark.parametrize("dilations", [2, (3, 2)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_flips_behind_dilated_kernels(dilations, padding):
    """Fields that the steps of the next kernel do not divide, and such as have gaps."""
    rng = np.random.default_rng(5)
    kernels = [tf.constant(rng.normal(size=size)) for size in [(3, 2, 2, 4), (2, 2, 4, 3), (2, 2, 3, 3)]]

    def function(x):
        x = tf.nn.tanh(tf.nn.conv2d(x, kernels[0], 1, padding, dilations=dilations) - 0.5)
        x = tf.nn.tanh(tf.nn.conv2d(x, kernels[1], (1, 2), padding))
        return tf.reduce_mean(tf.nn.tanh(tf.nn.conv2d(x, kernels[2], 1, padding, dilations=dilations)), [1, 2])

    clf = gx.load_classifier(function, input_shape=(14, 13, 2), output="logits")
    clf.logits(np.zeros((1, 14, 13, 2)))
    known = every_flip_plan(clf)
    assert len(known) == 3
    check_flips(clf, known)


def test_flips_with_other_weights_on_the_same_graph(clf):
    rng = np.random.default_rng(4)
    other = clf.with_weights({name: rng.normal(size=value.shape) for name, value in clf.weights.items()})
    for each in (clf, other, clf):
        problem = question(each, 2)
        ranks = random_ranks(problem.x)
        actual = LocalFlips(problem, every_flip_plan(clf)[0], 64).curve(ranks, 20)
        assert_close(actual, flips_by_whole_images(problem, ranks, 20), 1e-5)


@pytest.mark.parametrize("evaluations", [1, 7, 1000])
def test_how_many_flips_at_a_time_does_not_matter(evaluations, clf, monkeypatch):
    problem, plan = question(clf, 5), every_flip_plan(clf)[0]
    ranks = random_ranks(problem.x)
    expected = LocalFlips(problem, plan, 64).curve(ranks, 30)
    assert_close(LocalFlips(problem, plan, evaluations).curve(ranks, 30), expected, 1e-6)
    monkeypatch.setattr(flips_module, "_ELEMENTS", 2 * plan.elements)  # those of two images
    assert_close(LocalFlips(problem, plan, evaluations).curve(ranks, 30), expected, 1e-6)


def test_what_an_image_gets_does_not_depend_on_those_beside_it():
    """Not even which way is taken; flips that are too few to be worth while take the plain one."""
    clf = gx.zoo.mnist_classifier()
    clf = gx.load_classifier(clf)
    assert all(local.local_flips(question(clf, count), 784, 512) is not None for count in (1, 20))
    assert all(local.local_flips(question(clf, count), 5, 512) is None for count in (1, 20))
    tiny = network(keras.Input((5, 5, 1)), layers.Conv2D(2, 2), layers.Flatten(), layers.Dense(3), output="logits")
    assert local.local_flips(question(tiny, 1000), 25, 512) is None


# --- precision --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precise", [True, False])
def test_tiny_changes_of_large_sums_keep_their_digits(precise, monkeypatch):
    """In float32, as users' models are: half of the changes below are lost where the dense layers are float32 too."""
    if not precise:
        monkeypatch.setattr(changes_module, "runs_in_double", lambda graph, source: False)
    keras.utils.set_random_seed(0)
    single = network(
        keras.Input((12, 12, 1)),
        layers.Conv2D(8, 3),
        layers.Flatten(),
        layers.Dense(32, activation="relu", bias_initializer=keras.initializers.Constant(100.0)),
        layers.Dense(3),
        output="logits",
    )
    problem = question(single)
    rows, corners, _ = every_window(problem, 1)
    differences = np.full((len(rows), 1, 1, 1), 1e-6, np.float32)
    (plan, *_) = [plan for plan in plans(single, 1, 2) if plan.layers[-1].ends]
    found = LocalChanges(problem, plan, 1000)(rows, corners, differences)
    per_unit = LocalChanges(problem, plan, 1000)(rows, corners, differences * 1e5)  # linear here: no ReLU changes sign
    agree = np.isclose(found * 1e5, per_unit, rtol=1e-2, atol=1e-3 * np.abs(per_unit).max()).mean()
    assert agree == 1 if precise else agree < 0.5
