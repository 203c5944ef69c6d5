"""Maps of batches and of arrays on disk are those of all images at once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import sequential

import tf_ganmex as gx
from tf_ganmex import attributions, errors
from tf_ganmex._backend import keras
from tf_ganmex.attributions import streams

layers = keras.layers
METHODS = {
    "deeplift": {},
    "deepshap": {"backend": "graph"},
    "expected_gradients": {"steps": 4},
    "gradient": {},
    "integrated_gradients": {"steps": 4},
    "occlusion": {},
}


@pytest.fixture(scope="module")
def clf():
    keras.utils.set_random_seed(0)
    hidden = layers.Conv2D(3, 3, activation="relu")
    return gx.load_classifier(sequential((5, 5, 1), hidden, layers.Flatten(), layers.Dense(3, "softmax")))


@pytest.fixture(scope="module")
def asked():
    draws = np.random.default_rng(0)
    x, baseline = draws.random((2, 10, 5, 5, 1), np.float32)
    origin = draws.integers(3, size=10)
    return x, origin, (origin + 1) % 3, baseline


def expected(method, clf, asked):
    return getattr(attributions, method)(clf, *given(method, asked), **METHODS[method])


def given(method, asked):
    """What the method takes: samples are per image where they have five axes."""
    x, origin, target, baseline = asked
    compared = {"gradient": (), "expected_gradients": (baseline[:, None],)}.get(method, (baseline,))
    return x, origin, target, *compared


@pytest.mark.parametrize("method", METHODS)
def test_batches_give_an_iterator_of_the_same_maps(clf, asked, method):
    parts = given(method, asked)
    batches = (tuple(part[start : start + 4] for part in parts) for start in (0, 4, 8))
    maps = getattr(attributions, method)(clf, batches, **METHODS[method])
    assert next(maps).shape == (4, 5, 5, 1)
    np.testing.assert_allclose(np.concatenate(list(maps)), expected(method, clf, asked)[4:], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_arrays_on_disk_are_read_and_written_block_by_block(clf, asked, method, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_AT_ONCE", 4 * 25)
    np.save(tmp_path / "x.npy", asked[0])
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "maps.npy", mode="w+", dtype=np.float32, shape=x.shape)
    _, *rest = given(method, asked)
    assert getattr(attributions, method)(clf, x, *rest, out=out, **METHODS[method]) is out
    np.testing.assert_allclose(np.load(tmp_path / "maps.npy"), expected(method, clf, asked), atol=1e-6)


def test_tf_data_with_shared_targets_and_a_callable_baseline(clf, asked):
    x, origin, _, _ = asked
    keep = origin != 2
    dataset = tf.data.Dataset.from_tensor_slices((x[keep], origin[keep])).batch(3)
    baseline = lambda images, target: images * (target[:, None, None, None] == 2)  # noqa: E731
    maps = attributions.deeplift(clf, dataset, target=2, baseline=lambda images, target: 0 * baseline(images, target))
    whole = attributions.deeplift(clf, x[keep], origin[keep], 2, np.zeros((5, 5, 1)))
    np.testing.assert_allclose(np.concatenate(list(maps)), whole, atol=1e-6)


def test_a_stream_is_read_no_further_than_its_maps_are_asked_for(clf, asked):
    read = []

    def batches():
        for number in range(1000):
            read.append(number)
            yield asked[0]

    maps = attributions.gradient(clf, batches(), 0, 1)
    next(maps), next(maps)
    assert read == [0, 1]


def test_memory_does_not_grow_with_the_number_of_batches(clf, asked):
    def peak(count):
        tracemalloc.start()
        for _ in attributions.gradient(clf, (np.tile(asked[0], (10, 1, 1, 1)) for _ in range(count)), 0, 1):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(40) < 1.5 * peak(4) + 1e5


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda clf, x: list(attributions.gradient(clf, iter([x]))), errors.LabelError, "zip the images"),
        (lambda clf, x: attributions.gradient(clf, x), errors.LabelError, "origin=None"),
        (lambda clf, x: attributions.gradient(clf, iter([x]), 0, 1, out=x), errors.OptionError, "out=None"),
        (lambda clf, x: attributions.gradient(clf, x, 0, 1, out=x[:2]), errors.OptionError, "shape of x"),
        (lambda clf, x: attributions.gradient(clf, x, 0, 1, out=x.astype(int)), errors.OptionError, "int64"),
        (lambda clf, x: list(attributions.gradient(clf, [(x,) * 9].__iter__())), errors.ImageError, "tuple of 9"),
        (lambda clf, x: list(attributions.gradient(clf, iter([x[..., 0]]), 0, 1)), errors.ImageError, "(n, 5, 5, 1)"),
    ],
)
def test_what_does_not_fit_is_told(clf, asked, call, error, said):
    with pytest.raises(error) as caught:
        call(clf, asked[0])
    assert said in str(caught.value)
