"""Distances against plain loops; which pairs are drawn; what baselines are taken for."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

import tf_ganmex as gx
from tf_ganmex.errors import BaselineError, ImageError, LabelError, OptionError
from tf_ganmex.metrics import (
    assigned_to,
    baseline_distance,
    distances,
    edge_strips,
    inter_class_distance,
    intra_class_distance,
)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.random((6, 5, 7, 2), np.float32), rng.random((6, 3, 5, 7, 2), np.float32)


def test_length_of_the_difference(images):
    x, several = images
    expected = [np.linalg.norm((b - a).ravel()) for a, b in zip(x, several[:, 0], strict=True)]
    np.testing.assert_allclose(baseline_distance(x, several[:, 0]), expected, rtol=1e-6)
    np.testing.assert_allclose(baseline_distance(x, 0 * x[0]), np.linalg.norm(x.reshape(6, -1), axis=1), rtol=1e-6)


def test_mean_over_several_baselines(images):
    x, several = images
    each = [baseline_distance(x, several[:, k]) for k in range(3)]
    np.testing.assert_allclose(baseline_distance(x, several), np.mean(each, 0))
    shared = [baseline_distance(x, several[0, k]) for k in range(3)]
    np.testing.assert_allclose(baseline_distance(x, several[:1]), np.mean(shared, 0))


def test_only_pixels_of_the_mask_count(images):
    x, several = images
    edges = edge_strips(x.shape[1:], width=2)
    cut = np.where(edges[..., None], several[:, 0], x)
    np.testing.assert_allclose(baseline_distance(x, several[:, 0], edges), baseline_distance(x, cut))
    own = np.random.default_rng(1).random((6, 5, 7, 1)) < 0.5
    cut = np.where(own, several[:, 0], x)
    np.testing.assert_allclose(baseline_distance(x, several[:, 0], own), baseline_distance(x, cut))
    np.testing.assert_array_equal(baseline_distance(x, several, own[..., 0]), baseline_distance(x, several, own))


def test_images_of_bytes_do_not_wrap_around():
    x, black = np.full((1, 2, 2, 1), 3, np.uint8), np.full((1, 2, 2, 1), 5, np.uint8)
    np.testing.assert_allclose([baseline_distance(x, black), baseline_distance(black, x)], 4)


def test_blocks_do_not_matter(images, monkeypatch):
    x, several = images
    y = np.arange(6) % 2
    functions = [
        lambda: baseline_distance(x, several),
        lambda: baseline_distance(x, several[:, 0], edge_strips(x.shape[1:], 1)),
        lambda: intra_class_distance(x, y, pairs=50),
    ]
    whole = [function() for function in functions]
    monkeypatch.setattr(distances, "_FEATURES_AT_ONCE", 5 * 7 * 2 * 4)
    for function, expected in zip(functions, whole, strict=True):
        np.testing.assert_allclose(function(), expected)


def positions(places):
    """Images whose distances tell which two they are."""
    return np.asarray(places, np.float64).reshape(-1, 1, 1, 1)


def test_every_pair_of_the_same_class_is_equally_likely_and_no_other_drawn():
    y = np.array([4, 1, 4, 1, 4, 9])  # mixed, of unequal size, and one alone
    x = positions([0, 1, 4, 16, 64, 256])
    drawn = intra_class_distance(x, y, pairs=20_000)
    expected = [abs(x[i] - x[j]).item() for i, j in itertools.combinations(range(6), 2) if y[i] == y[j]]
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, sorted(expected))
    np.testing.assert_allclose(counts / 20_000, 1 / 4, atol=0.015)


def test_every_pair_of_different_classes_is_equally_likely_and_no_other_drawn():
    y = np.array([4, 1, 4, 1, 4, 9])
    x = positions([0, 1, 4, 16, 64, 256])
    drawn = inter_class_distance(x, y, pairs=40_000)
    expected = [abs(x[i] - x[j]).item() for i, j in itertools.combinations(range(6), 2) if y[i] != y[j]]
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, sorted(expected))
    np.testing.assert_allclose(counts / 40_000, 1 / 11, atol=0.01)


def test_pairs_follow_from_the_seed(images):
    x, y = images[0], np.arange(6) % 2
    for distance in (intra_class_distance, inter_class_distance):
        first = distance(x, y, pairs=30, seed=1)
        assert first.shape == (30,)
        np.testing.assert_array_equal(distance(x, y, pairs=30, seed=1), first)
        assert not np.array_equal(distance(x, y, pairs=30, seed=2), first)


def test_published_distances_of_mnist(shared):
    """GANMEX, Table 2: 8.96 within classes, 10.32 between them, 9.28 to black."""
    with np.load(shared / "data" / "mnist.npz") as data:
        x, y = data["x_train"][..., None] / np.float32(255), data["y_train"]
    assert intra_class_distance(x, y).mean() == pytest.approx(8.96, abs=0.1)
    assert inter_class_distance(x, y).mean() == pytest.approx(10.32, abs=0.1)
    assert baseline_distance(x, 0 * x[0]).mean() == pytest.approx(9.28, abs=0.1)


def test_share_assigned_to_the_target():
    model = keras.Sequential([keras.Input((1, 3, 1)), keras.layers.Flatten()])
    clf = gx.load_classifier(model, output="logits")
    images = np.eye(3, dtype=np.float32).reshape(3, 1, 3, 1)
    np.testing.assert_array_equal(assigned_to(clf, images, [0, 2, 2]), [True, False, True])
    np.testing.assert_array_equal(assigned_to(clf, images, 1), [False, True, False])
    with pytest.raises(LabelError, match="target"):
        assigned_to(clf, images, 3)
    with pytest.raises(ImageError, match="shape"):
        assigned_to(clf, images[..., 0], 0)


def test_arguments_that_do_not_fit(images):
    x, several = images
    for wrong in (several[:2], x[:2], x[0, 0], several[:, :0], x.astype(str)):
        with pytest.raises(BaselineError, match="Expected baselines of shape"):
            baseline_distance(x, wrong)
    with pytest.raises(ImageError, match="Expected mask as bool"):
        baseline_distance(x, x, np.ones((5, 5), bool))
    with pytest.raises(ImageError, match="Expected images"):
        baseline_distance(x[0], x[0])
    for y in (np.arange(5), np.zeros(6), np.zeros((6, 1), int)):
        with pytest.raises(LabelError, match="Expected y as 6 integers"):
            intra_class_distance(x, y)
    with pytest.raises(LabelError, match="class of two images"):
        intra_class_distance(x, np.arange(6))
    with pytest.raises(LabelError, match="images of two classes"):
        inter_class_distance(x, np.zeros(6, int))
    with pytest.raises(OptionError, match="pairs"):
        inter_class_distance(x, np.arange(6), pairs=0)
