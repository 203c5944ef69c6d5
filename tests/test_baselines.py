"""Baselines: what each one is, and that it is that and nothing else."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist

from tf_ganmex import _nearest, baselines
from tf_ganmex.errors import BaselineError, OptionError


@pytest.fixture(scope="module")
def training_set():
    rng = np.random.default_rng(0)
    return rng.random((60, 5, 6, 3), np.float32), rng.integers(0, 4, 60)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).random((9, 5, 6, 3), np.float32)


TARGET = np.array([0, 1, 2, 3, 0, 1, 2, 3, 3])


# --- one colour -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "end"), [(baselines.zero, 0), (baselines.maximum, 1)])
def test_ends_of_the_value_range(make, end, x):
    assert np.array_equal(make()(x), np.full_like(x, end))
    assert np.array_equal(make()(x, TARGET), make()(x))
    for value_range in ((-1.0, 1.0), (0.0, 255.0)):
        assert np.array_equal(make().in_value_range(value_range)(x), np.full_like(x, value_range[end]))


def test_types_of_one_colour(x):
    assert baselines.maximum()(x).dtype == np.float32
    assert baselines.maximum()(x.astype(np.float64)).dtype == np.float64
    negative = baselines.zero().in_value_range((-1.5, 1.0))
    assert negative(np.zeros((1, 2, 2, 1), np.uint8)).min() == -1.5


# --- blurred ----------------------------------------------------------------------------------------------------------


def test_blur_of_a_point_is_a_gaussian():
    x = np.zeros((1, 41, 41, 1))
    x[0, 20, 20] = 1
    away = np.arange(-20, 21)
    weights = np.exp(-(away**2) / (2 * 2.5**2))
    weights /= weights.sum()
    np.testing.assert_allclose(baselines.blurred(2.5)(x)[0, ..., 0], np.outer(weights, weights), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "sigma"), [((256, 256), 10), ((64, 64), 2.5), ((64, 128), 2.5), ((28, 28), 280 / 256)]
)
def test_blur_follows_the_size_of_the_image(shape, sigma):
    x = np.random.default_rng(2).random((1, *shape, 1))
    np.testing.assert_allclose(baselines.blurred()(x), baselines.blurred(sigma)(x), atol=1e-12)


def test_blur_mixes_neither_channels_nor_images():
    x = np.zeros((3, 12, 12, 3))
    x[1, 6, 6, 2] = 1
    blurred = baselines.blurred(1.5)(x)
    assert np.argwhere(blurred.any((1, 2))).tolist() == [[1, 2]]
    for row in range(3):
        np.testing.assert_array_equal(baselines.blurred(1.5)(x[row : row + 1])[0], blurred[row])


def test_blur_keeps_range_and_level():
    x = np.random.default_rng(3).random((4, 20, 20, 3), np.float32)
    blurred = baselines.blurred(3)(x, np.arange(4))
    assert blurred.shape == x.shape
    assert blurred.dtype == x.dtype
    assert x.min() <= blurred.min() <= blurred.max() <= x.max()
    assert blurred.std() < 0.3 * x.std()
    np.testing.assert_allclose(blurred.mean((1, 2)), x.mean((1, 2)), atol=0.05)
    np.testing.assert_allclose(baselines.blurred(3)(np.full_like(x, 0.7)), 0.7, rtol=1e-6)  # no dark border


@pytest.mark.parametrize("sigma", [0, -1, np.nan, np.inf, "wide"])
def test_blur_of_no_width(sigma):
    with pytest.raises(OptionError, match=r"Expected sigma.*Received: sigma="):
        baselines.blurred(sigma)


# --- nearest ----------------------------------------------------------------------------------------------------------


def nearest_by_brute_force(x, target, images, labels):
    distances = cdist(x.reshape(len(x), -1).astype(np.float64), images.reshape(len(images), -1).astype(np.float64))
    distances[labels[None] != np.asarray(target)[:, None]] = np.inf
    return distances.argmin(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_is_exact(dtype, x, training_set):
    images, labels = training_set[0].astype(dtype), training_set[1]
    nearest = baselines.nearest(images, labels)
    expected = nearest_by_brute_force(x, TARGET, images, labels)
    assert np.array_equal(nearest.indices(x, TARGET), expected)
    found = nearest(x, TARGET)
    assert np.array_equal(found, images[expected].astype(np.float32))
    assert found.dtype == x.dtype
    assert np.array_equal(nearest(x, 2), images[nearest_by_brute_force(x, np.full(9, 2), images, labels)].astype("f4"))


def test_nearest_of_images_that_differ_by_less_than_float32_can_say():
    """Matrix products in float32 cannot order these; the distances must be measured."""
    rng = np.random.default_rng(4)
    images = rng.random((1, 8, 8, 1)) + 1e-9 * rng.normal(size=(50, 8, 8, 1))
    x = images[rng.integers(0, 50, 6)] + 1e-10 * rng.normal(size=(6, 8, 8, 1))
    labels = np.zeros(50, int)
    expected = nearest_by_brute_force(x, np.zeros(6, int), images, labels)
    assert np.array_equal(baselines.nearest(images, labels).indices(x, 0), expected)


def test_nearest_far_from_the_origin():
    """Large values, small differences: |q|² − 2qc + |c|² loses all its digits in float32."""
    rng = np.random.default_rng(5)
    images = (200 + rng.random((80, 6, 6, 1))).astype(np.float32)
    x = (200 + rng.random((5, 6, 6, 1))).astype(np.float32)
    labels = np.zeros(80, int)
    expected = nearest_by_brute_force(x, np.zeros(5, int), images, labels)
    assert np.array_equal(baselines.nearest(images, labels).indices(x, 0), expected)


def test_nearest_where_a_gpu_keeps_11_digits(monkeypatch):
    """TensorFloat-32, which TensorFlow uses for matrix products on a GPU unless it is told not to."""
    product = _nearest._listed

    def cut(values):
        return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(values, tf.int32), ~0x1FFF), tf.float32)

    monkeypatch.setattr(_nearest, "_listed", lambda q, c, slack: product(cut(q), cut(c), slack))
    rng = np.random.default_rng(10)
    alike = rng.random((1, 8, 8, 1)) + 0.02 * rng.normal(size=(240, 8, 8, 1))
    x, images = np.split(alike.astype(np.float32), [40])
    labels = np.zeros(200, int)
    expected = nearest_by_brute_force(x, np.zeros(40, int), images, labels)
    assert not np.array_equal(baselines.nearest(images, labels).indices(x, 0), expected)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert np.array_equal(baselines.nearest(images, labels).indices(x, 0), expected)


def test_first_of_many_that_are_equally_near():
    images = np.repeat(np.random.default_rng(6).random((2, 4, 4, 1), np.float32), 30, 0)
    labels = np.tile([0, 1, 1], 20)
    x = images[[0, 59]] * 0.99
    assert baselines.nearest(images, labels).indices(x, 1).tolist() == [1, 31]


@pytest.mark.parametrize(("name", "value"), [("_PRODUCTS", 20), ("_VALUES", 4 * 5 * 6 * 3), ("_QUERIES", 2)])
def test_nearest_in_parts_is_the_same(name, value, x, training_set, monkeypatch):
    expected = baselines.nearest(*training_set).indices(x, TARGET)
    monkeypatch.setattr(baselines.NearestSample, name, value)
    assert np.array_equal(baselines.nearest(*training_set).indices(x, TARGET), expected)


@pytest.mark.parametrize("limit", [0, 2**28])
def test_candidates_that_stay_ready_are_the_same_candidates(limit, x, training_set, monkeypatch):
    monkeypatch.setattr(baselines.NearestSample, "_READY", limit)
    nearest = baselines.nearest(*training_set)
    expected = nearest_by_brute_force(x, TARGET, *training_set)
    for _ in range(2):
        assert np.array_equal(nearest.indices(x, TARGET), expected)
    assert sum(each.nbytes for each in nearest._ready.values()) <= limit
    assert bool(nearest._ready) == (limit > 0)
    sent = pickle.loads(pickle.dumps(nearest))
    assert not sent._ready
    assert np.array_equal(sent.indices(x, TARGET), expected)


def test_nearest_of_images_with_a_border():
    """Pixels that are the same in all candidates count for none of them, whatever the image has there."""
    rng = np.random.default_rng(8)
    images = np.zeros((60, 8, 8, 2), np.float32)
    images[:, 2:6, 2:6, 0] = rng.random((60, 4, 4))
    images[30:, 0, 0, 1] = 0.5  # not quite a border
    labels = np.arange(60) % 2
    x = rng.random((11, 8, 8, 2), np.float32)
    for target in (0, 1):
        expected = nearest_by_brute_force(x, np.full(11, target), images, labels)
        assert np.array_equal(baselines.nearest(images, labels).indices(x, target), expected)


def test_nearest_of_candidates_that_are_all_the_same():
    x = np.random.default_rng(9).random((3, 4, 4, 1))
    assert baselines.nearest(np.full((5, 4, 4, 1), 0.5), np.array([1, 0, 0, 1, 0])).indices(x, 0).tolist() == [1, 1, 1]


def test_nearest_to_what_is_no_number(training_set):
    x = training_set[0][:4].copy()
    x[2, 0, 0, 0] = np.nan
    with pytest.raises(BaselineError, match="Expected finite values in x"):
        baselines.nearest(*training_set)(x, 1)


def test_nearest_of_a_training_image_is_itself(training_set):
    images, labels = training_set
    assert np.array_equal(baselines.nearest(images, labels)(images, labels), images)


# --- random samples ---------------------------------------------------------------------------------------------------


def rows_in(images, training_images):
    """Which training image each image is."""
    return np.array([np.flatnonzero((training_images == image).all((1, 2, 3)))[0] for image in images])


def test_sample_is_a_training_image_of_its_class(x, training_set):
    images, labels = training_set
    drawn = baselines.random_sample(images, labels)(x, TARGET)
    assert drawn.dtype == x.dtype
    assert np.array_equal(labels[rows_in(drawn, images)], TARGET)


def test_sample_depends_on_seed_image_and_target_alone(x, training_set):
    sample = baselines.random_sample(*training_set, seed=3)
    drawn = sample(x, TARGET)
    assert np.array_equal(sample(x, TARGET), drawn)
    assert np.array_equal(sample(x[[5, 2]], TARGET[[5, 2]]), drawn[[5, 2]])
    assert np.array_equal(baselines.random_sample(*training_set, seed=3)(x[4:5], 0), drawn[4:5])
    assert not np.array_equal(baselines.random_sample(*training_set, seed=4)(x, TARGET), drawn)
    assert not np.array_equal(sample(1 - x, TARGET), drawn)


def test_every_training_image_of_the_class_is_drawn_about_as_often(training_set):
    images, labels = training_set
    x = np.random.default_rng(7).random((1500, 5, 6, 3), np.float32)
    counts = np.bincount(rows_in(baselines.random_sample(images, labels)(x, 1), images), minlength=60)
    expected = 1500 / (labels == 1).sum()
    assert (counts[labels == 1] > 0.6 * expected).all()
    assert (counts[labels == 1] < 1.4 * expected).all()


def test_draw_of_several_has_no_repetition_while_they_last(x, training_set):
    images, labels = training_set
    size = (labels == 2).sum()
    drawn = baselines.random_sample(images, labels).draw(x, 2, count=size, seed=0)
    assert drawn.shape == (9, size, 5, 6, 3)
    for row in drawn:
        assert sorted(rows_in(row, images)) == np.flatnonzero(labels == 2).tolist()


# --- what does not fit ------------------------------------------------------------------------------------------------

KINDS = [baselines.nearest, baselines.random_sample]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        (np.zeros((4, 3, 3)), np.zeros(4, int), r"x_train.shape=\(4, 3, 3\)"),
        (np.zeros((4, 3, 3, 1)), np.zeros(3, int), r"y_train.shape=\(3,\)"),
        (np.zeros((4, 3, 3, 1)), np.eye(4, dtype=int), r"y_train.shape=\(4, 4\)"),
        (np.zeros((4, 3, 3, 1)), np.array([0, 1, 1.5, 2]), "dtype=float64"),
        (np.full((4, 3, 3, 1), np.nan), np.zeros(4, int), "NaN"),
    ],
)
def test_training_images_that_do_not_fit(kind, images, labels, text):
    with pytest.raises(BaselineError, match=rf"Expected.*Received.*{text}"):
        kind(images, labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("target", "text"),
    [(None, "target=None"), (7, r"labels \[0, 1, 2, 3\].*target=\[7\]"), ([0, 1], r"each of 9 images.*\[0, 1\]")],
)
def test_target_that_does_not_fit(kind, target, text, x, training_set):
    with pytest.raises(BaselineError, match=rf"Expected.*{text}"):
        kind(*training_set)(x, target)


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_another_size(kind, training_set):
    with pytest.raises(BaselineError, match=r"Expected images.*\(5, 6, 3\).*Received.*\(5, 6, 1\)"):
        kind(*training_set)(np.zeros((2, 5, 6, 1)), 0)
