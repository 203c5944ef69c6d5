"""``explain`` against the functions that it calls, and explanations on disk."""

from __future__ import annotations

import dataclasses
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

import tf_ganmex as gx
from tf_ganmex import attributions
from tf_ganmex.errors import BaselineError, ImageError, LabelError, OptionError, UnsupportedOpError
from tf_ganmex.files import replaced

layers = keras.layers
METHODS = attributions.__all__


def make_classifier(value_range=(0, 1), **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=0.7), activation="softmax"),
        ]
    )
    return gx.load_classifier(model, value_range=value_range, **options)


@pytest.fixture(scope="module")
def clf():
    return make_classifier(class_names=["cat", "dog", "plane"])


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(2).random((4, 8, 8, 1), np.float32)


@pytest.fixture(scope="module")
def training_set():
    return np.random.default_rng(3).random((30, 8, 8, 1), np.float32), np.arange(30) % 3


def not_predicted(clf, x):
    return (clf.predict(x) + 1) % 3


# --- what it computes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("method", METHODS)
def test_is_the_method_it_names(method, score, clf, x):
    origin, target, baseline = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 2]), x[::-1].copy()
    e = gx.explain(clf, x, target=target, origin=origin, baseline=baseline, method=method, score=score, batch_size=3)
    arguments = [] if method == "gradient" else [baseline]
    maps = getattr(attributions, method)(clf, x, origin, target, *arguments, score=score, batch_size=3)
    assert np.array_equal(e.attributions, maps)
    assert np.array_equal(e.x, x)
    assert np.array_equal(e.origin, origin)
    assert np.array_equal(e.target, target)
    assert (e.method, e.score, e.options) == (method, score, {"batch_size": 3})
    assert (e.class_names, e.value_range, len(e)) == (("cat", "dog", "plane"), (0, 1), 4)
    scores = clf.probabilities if score == "probability" else clf.logits
    np.testing.assert_allclose(e.scores_before, scores(x), rtol=1e-6)
    if method == "gradient":
        assert e.baseline is None
        assert e.scores_after is None
    elif method == "expected_gradients":  # the samples are shared: their mean stands for every image's baseline
        np.testing.assert_allclose(e.baseline, np.repeat(baseline.mean(0)[None], 4, 0), rtol=1e-5)
        np.testing.assert_allclose(e.scores_after, np.repeat(scores(baseline).mean(0)[None], 4, 0), rtol=1e-5)
    else:
        assert np.array_equal(e.baseline, baseline)
        np.testing.assert_allclose(e.scores_after, scores(baseline), rtol=1e-5)


def test_default_is_integrated_gradients_from_the_predicted_class(clf, x):
    target = not_predicted(clf, x)
    e = gx.explain(clf, x, target=target, baseline="zero")
    assert e.method == "integrated_gradients"
    assert np.array_equal(e.origin, clf.predict(x))
    expected = attributions.integrated_gradients(clf, x, clf.predict(x), target, np.zeros_like(x))
    np.testing.assert_allclose(e.attributions, expected, atol=1e-6)


def test_one_image(clf, x):
    target = int(not_predicted(clf, x)[0])
    one = gx.explain(clf, x[0], target=target, baseline=x[1])
    batch = gx.explain(clf, x[:1], target=target, baseline=x[1:2])
    assert one.x.shape == one.baseline.shape == one.attributions.shape == (1, 8, 8, 1)
    assert np.array_equal(one.attributions, batch.attributions)


def test_callable_that_has_not_seen_an_image(x):
    """It says neither its shape nor its classes; the images of the question do."""
    weights = tf.constant(np.random.default_rng(4).normal(size=(64, 3)), tf.float32)
    for origin in (None, 0):
        clf = gx.load_classifier(lambda z: tf.reshape(z, (-1, 64)) @ weights, output="logits")
        target = (clf.predict(x) + 1) % 3 if origin is None else 1
        fresh = gx.load_classifier(lambda z: tf.reshape(z, (-1, 64)) @ weights, output="logits")
        e = gx.explain(fresh, x, target=target, origin=origin, baseline="zero")
        np.testing.assert_allclose(e.completeness_gap, 0, atol=1e-4)
    one = gx.load_classifier(lambda z: tf.reshape(z, (-1, 64)) @ weights, output="logits")
    assert gx.explain(one, x[0], target=None, baseline="zero").attributions.shape == (1, 8, 8, 1)


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
@pytest.mark.parametrize("name", ["zero", "maximum", "blurred"])
@pytest.mark.parametrize("method", ["integrated_gradients", "expected_gradients", "occlusion"])
def test_baselines_by_name(method, name, value_range, x):
    clf = make_classifier(value_range)
    low, high = value_range
    x = low + (high - low) * x
    e = gx.explain(clf, x, target=None, baseline=name, method=method)
    images = {"zero": np.full_like(x, low), "maximum": np.full_like(x, high)}
    expected = images.get(name, gx.baselines.blurred()(x))
    np.testing.assert_allclose(e.baseline, expected, atol=1e-6)
    given = expected[:, None] if method == "expected_gradients" else expected
    maps = getattr(attributions, method)(clf, x, e.origin, None, given)
    np.testing.assert_allclose(e.attributions, maps, atol=1e-6)


def test_callable_baseline_is_made_once(clf, x):
    """A generator is slow, and one that draws must be shown with the images that the map was made with."""
    calls = []

    def baseline(images, target):
        calls.append(len(images))
        return np.random.default_rng(len(calls)).random(images.shape, np.float32)

    e = gx.explain(clf, x, target=not_predicted(clf, x), baseline=baseline, method="deeplift")
    assert calls == [4]
    assert np.array_equal(e.baseline, np.random.default_rng(1).random(x.shape, np.float32))
    np.testing.assert_allclose(e.completeness_gap, 0, atol=1e-5)


@pytest.mark.parametrize("shared_by_all", [True, False])
@pytest.mark.parametrize("method", ["integrated_gradients", "deepshap", "occlusion", "expected_gradients"])
def test_several_baselines_are_shown_by_their_mean(method, shared_by_all, clf, x):
    several = np.random.default_rng(5).random((1 if shared_by_all else 4, 3, 8, 8, 1), np.float32)
    e = gx.explain(clf, x, target=not_predicted(clf, x), baseline=several, method=method)
    np.testing.assert_allclose(e.baseline, np.broadcast_to(several.mean(1), x.shape), rtol=1e-5)
    scores = np.stack([clf.probabilities(row) for row in several]).mean(1)
    np.testing.assert_allclose(e.scores_after, np.broadcast_to(scores, (4, 3)), rtol=1e-5)


def test_average_shows_the_mean_of_the_baselines_of_each_target(clf, x, training_set):
    nearest = gx.baselines.nearest(*training_set)
    origin = clf.predict(x)
    e = gx.explain(clf, x, target="average", baseline=nearest)
    assert e.target == "average"
    targets = [(origin + k) % 3 for k in (1, 2)]
    np.testing.assert_allclose(e.baseline, np.mean([nearest(x, t) for t in targets], axis=0), rtol=1e-5)
    maps = [attributions.integrated_gradients(clf, x, origin, t, nearest) for t in targets]
    np.testing.assert_allclose(e.attributions, np.mean(maps, axis=0), atol=1e-6)
    deltas = [clf.score_delta(x, origin, t) - clf.score_delta(nearest(x, t), origin, t) for t in targets]
    np.testing.assert_allclose(e.completeness_gap, e.attributions.sum((1, 2, 3)) - np.mean(deltas, axis=0), atol=1e-5)


# --- the gap ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("target", [2, None, "average"])
@pytest.mark.parametrize("method", ["integrated_gradients", "deeplift", "deepshap", "expected_gradients"])
def test_gap_is_the_sum_of_the_map_less_the_difference_of_the_deltas(method, target, score, clf, x):
    several = np.random.default_rng(6).random((4, 2, 8, 8, 1), np.float32)
    options = {"steps": 6} if "gradients" in method else {}
    e = gx.explain(clf, x, origin=0, target=target, baseline=several, method=method, score=score, **options)

    def delta(images):
        if target != "average":
            return clf.score_delta(images, 0, target, score)
        return np.mean([clf.score_delta(images, 0, t, score) for t in (1, 2)], axis=0)

    expected = delta(x) - np.mean([delta(several[:, k]) for k in (0, 1)], axis=0)
    np.testing.assert_allclose(e.completeness_gap, e.attributions.sum((1, 2, 3)) - expected, atol=2e-5)
    if method in {"deeplift", "deepshap"}:
        np.testing.assert_allclose(e.completeness_gap, 0, atol=2e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("method", ["gradient", "occlusion"])
def test_no_gap_where_nothing_is_promised(method, clf, x):
    e = gx.explain(clf, x, target=not_predicted(clf, x), baseline="zero", method=method)
    assert np.isnan(e.completeness_gap).all()


def test_no_gap_where_samples_are_drawn(clf, x, training_set):
    samples = gx.baselines.random_sample(*training_set)
    e = gx.explain(clf, x, target=not_predicted(clf, x), baseline=samples, method="expected_gradients", steps=4)
    assert np.isnan(e.completeness_gap).all()
    assert e.baseline.shape == x.shape


# --- what does not fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"method": "grad-cam"}, OptionError, "method='grad-cam'"),
        ({"baseline": "black"}, OptionError, "baseline='black'"),
        ({"baseline": None}, OptionError, "baseline=None"),
        ({"score": "margin"}, OptionError, "score='margin'"),
        ({"method": "deeplift", "steps": 5}, OptionError, r"\['steps'\]"),
        ({"method": "gradient", "rule": "right"}, OptionError, r"\['rule'\]"),
        ({"method": "occlusion", "windows": 5}, OptionError, r"window.*\['windows'\]"),
        ({"method": "expected_gradients", "samples": 5}, OptionError, r"\['samples'\]"),
        ({"steps": 0}, OptionError, "steps=0"),
        ({"target": "all"}, LabelError, "target='all'"),
        ({"origin": 1, "target": 1}, LabelError, "origin=target=1"),
        ({"baseline": np.zeros((8, 8))}, BaselineError, r"shape=\(8, 8\)"),
        ({"baseline": lambda x, target: x[:, :3]}, BaselineError, r"\(4, 1, 3, 8, 1\)"),
    ],
)
def test_arguments_that_do_not_fit(options, error, text, clf, x):
    with pytest.raises(error, match=rf"(?s)Expected.*{text}"):
        gx.explain(clf, x, **({"origin": 0, "target": 2, "baseline": "zero"} | options))


def test_images_that_do_not_fit(clf, x):
    for wrong in (x[0, 0], x[:, :4], x * 300):
        with pytest.raises(ImageError, match=r"Expected.*Received"):
            gx.explain(clf, wrong, target=0, baseline="zero")


def test_predicted_class_as_target_is_refused(clf, x):
    with pytest.raises(LabelError, match="Choose another target"):
        gx.explain(clf, x[:1], target=int(clf.predict(x[:1])[0]), baseline="zero")


def test_type_error_of_a_baseline_is_its_own(clf, x):
    def baseline(images, target):
        raise TypeError("unexpected keyword")

    with pytest.raises(TypeError, match="unexpected keyword"):
        gx.explain(clf, x, target=None, baseline=baseline)


def test_graph_that_a_method_cannot_explain(x):
    clf = gx.load_classifier(lambda z: tf.sort(tf.reshape(z, (-1, 64)))[:, :3], output="logits")
    with pytest.raises(UnsupportedOpError, match="TopKV2"):
        gx.explain(clf, x, target=None, baseline="zero", method="deeplift")


# --- on disk ----------------------------------------------------------------------------------------------------------


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    return a == b and type(a) is type(b)


@pytest.mark.parametrize("target", [2, None, "average"])
@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_is_the_same(method, target, clf, x, tmp_path):
    options = {"steps": np.int64(5), "batch_size": 2} if "gradients" in method else {}
    e = gx.explain(clf, x, origin=0, target=target, baseline="maximum", method=method, **options)
    path = e.save(tmp_path / "folder" / "explanation.npz")
    assert path == tmp_path / "folder" / "explanation.npz"
    assert [p.name for p in path.parent.iterdir()] == ["explanation.npz"]
    loaded = gx.load_explanation(path)
    for field in dataclasses.fields(e):
        assert same(getattr(loaded, field.name), getattr(e, field.name)) or (
            field.name == "options" and loaded.options == e.options
        ), field.name


def test_name_of_the_file(clf, x, tmp_path):
    """Two names that differ after a dot are two files."""
    e = gx.explain(clf, x, target=None, method="gradient")
    assert e.save(tmp_path / "lambda_0.5").name == "lambda_0.5.npz"
    assert e.save(str(tmp_path / "lambda_0.7")).name == "lambda_0.7.npz"
    assert e.save(tmp_path / "plain.npz").name == "plain.npz"


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no archive",
        b"no file of numpy",
        npy(np.zeros(3)),
        npy(np.array([object()])),
        npz(x=np.zeros(3)),
        npz(about=np.array("no json")),
        npz(about=np.array("[1, 2]")),
        npz(about=np.array("3")),
        npz(about=np.array(json.dumps({"format": 1, "class_names": [], "value_range": []}))),
        npz(about=np.array(json.dumps({"format": 999, "class_names": [], "value_range": []}))),
    ],
)
def test_file_that_is_no_explanation(content, tmp_path):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"Expected a file that Explanation.save wrote. Received: .*other.npz"):
        gx.load_explanation(path)


def test_damaged_file(clf, x, tmp_path):
    path = gx.explain(clf, x, target=None, method="gradient").save(tmp_path / "e.npz")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:200] + b"\xff" * 100 + whole[300:]):
        path.write_bytes(damaged)
        with pytest.raises(ImageError, match="Expected a file"):
            gx.load_explanation(path)


def test_no_file(tmp_path):
    with pytest.raises(ImageError, match=r"Expected a file.*nowhere.npz"):
        gx.load_explanation(tmp_path / "nowhere.npz")


def test_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.npz"
    path.write_text("old")
    with pytest.raises(RuntimeError), replaced(path) as temporary:
        temporary.write_text("new, but not whole")
        raise RuntimeError
    assert path.read_text() == "old"
    with replaced(path) as temporary:
        assert temporary.suffix == ".npz"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


# --- as a picture -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target"), [("integrated_gradients", 2), ("gradient", None), ("deeplift", "average")]
)
def test_picture(method, target, clf, x):
    e = gx.explain(clf, x[:2], origin=0, target=target, baseline="blurred", method=method)
    assert isinstance(e.plot(title="why"), Figure)


def test_a_class_may_be_given_by_name_and_a_model_is_not_a_classifier():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    clf = gx.load_classifier(model, class_names=["apple", "orange", "pear"])
    x = np.full((1, 4, 4, 1), 0.5, np.float32)
    by_name = gx.explain(clf, x, origin="apple", target="pear", baseline="zero", method="deeplift")
    by_number = gx.explain(clf, x, origin=0, target=2, baseline="zero", method="deeplift")
    np.testing.assert_array_equal(by_name.attributions, by_number.attributions)
    with pytest.raises(gx.errors.ModelError, match="load_classifier"):
        gx.explain(model, x, target=1, baseline="zero")
    with pytest.raises(gx.errors.BaselineError, match=r"Call it: zero\(\)"):
        gx.explain(clf, x, origin=0, target=1, baseline=gx.baselines.zero)
