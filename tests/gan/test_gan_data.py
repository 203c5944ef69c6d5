"""Batches are a pure function of the step."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex.errors import ImageError, LabelError, OptionError
from tf_ganmex.gan.data import batch_rows


def rows(step, n, batch_size, seed=0):
    return batch_rows(tf.constant(step, tf.int64), n, batch_size=batch_size, seed=seed).numpy()


def take(dataset, count):
    return [(x.numpy(), y.numpy()) for x, y in dataset.take(count)]


@pytest.mark.parametrize(("n", "batch_size"), [(20, 5), (20, 7), (3, 8), (1, 2), (1000, 32)])
def test_every_epoch_of_the_data_holds_each_image_once(n, batch_size):
    stream = np.concatenate([rows(step, n, batch_size) for step in range(-(-3 * n // batch_size))])
    for epoch in range(3):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_epochs_and_seeds_are_shuffled_differently():
    orders = [tuple(rows(epoch, 1000, 1000, seed)) for epoch in range(3) for seed in (0, 1, 2**31, 2**32, 2**62)]
    assert len(set(orders)) == len(orders)
    for order in orders:
        # A shuffle of 1000 keeps neither places nor neighbours.
        assert np.mean(np.asarray(order) == np.arange(1000)) < 0.02
        assert np.mean(np.diff(order) == 1) < 0.02


def test_batches_are_images_with_their_labels(make_gan, images, labels):
    for x, y in take(make_gan().dataset(images, labels, batch_size=6), 5):
        assert x.shape == (6, 8, 8, 1)
        assert x.dtype == np.float32
        assert y.dtype == np.int32
        for image, label in zip(x, y, strict=True):
            index = np.flatnonzero((images == image).all(axis=(1, 2, 3)))
            assert labels[index] == label


def test_dataset_starts_at_the_step_at_which_its_iterator_is_made(make_gan, images, labels):
    gan = make_gan()
    dataset = gan.dataset(images, labels, batch_size=6, seed=4)
    from_the_start = take(dataset, 9)
    gan.step.assign(4)
    for (x, y), (expected_x, expected_y) in zip(take(dataset, 5), from_the_start[4:], strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


def test_labels_may_be_a_column(make_gan, images, labels):
    (_, y), *_ = take(make_gan().dataset(images, labels[:, None], batch_size=6), 1)
    assert y.shape == (6,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[..., 0], r"\(n, 8, 8, 1\).*\(20, 8, 8\)"),
        (lambda x: x[:, :4], r"\(n, 8, 8, 1\)"),
        (lambda x: x[:0], r"\(n, 8, 8, 1\)"),
        (lambda x: (x * 255).astype(np.uint8), "uint8"),
        (lambda x: x * 255, r"\[0, 1\].*Received: values from"),
        (lambda x: x * 2 - 1, r"\[0, 1\]"),
        (lambda x: np.where(x > 0.9, np.nan, x), "nan"),
    ],
)
def test_images_that_do_not_fit(make_gan, images, labels, change, message):
    with pytest.raises(ImageError, match=message):
        make_gan().dataset(change(images), labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y[:-1], r"\(20,\).*\(19,\)"),
        (lambda y: np.eye(3)[y], "argmax"),
        (lambda y: y.astype(float), "float64"),
        (lambda y: y + 1, "labels from 1 to 3"),
        (lambda y: y - 1, "labels from -1 to 1"),
    ],
)
def test_labels_that_do_not_fit(make_gan, images, labels, change, message):
    with pytest.raises(LabelError, match=message):
        make_gan().dataset(images, change(labels))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 2.5}, {"seed": -1}])
def test_options_that_cannot_be(make_gan, images, labels, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        make_gan().dataset(images, labels, **options)


def test_fit_without_an_epoch_length_is_refused(make_gan, images, labels):
    gan = make_gan()
    with pytest.raises(OptionError, match="steps_per_epoch"):
        gan.fit(gan.dataset(images, labels))


def test_per_class_batches_have_as_many_of_every_class_and_miss_no_image(make_gan, images, labels):
    counts = np.bincount(labels)
    seen = np.concatenate([x for x, _ in take(make_gan().dataset(images, labels, per_class=2), max(counts))])
    for x, y in take(make_gan().dataset(images, labels, per_class=2), 3):
        assert len(x) == 6
        np.testing.assert_array_equal(y, [0, 0, 1, 1, 2, 2])
    # As many batches as the largest class has images show each of them, at two images a batch, at least once.
    assert all((seen == image).all(axis=(1, 2, 3)).any() for image in images)


def test_a_class_without_images_has_no_balanced_batches(make_gan, images, labels):
    with pytest.raises(LabelError, match=r"no image of class 1\. Use batch_size"):
        make_gan().dataset(images, np.where(labels == 1, 0, labels), per_class=2)
    with pytest.raises(OptionError, match=r"batch_size=4, per_class=2"):
        make_gan().dataset(images, labels, batch_size=4, per_class=2)


@pytest.mark.parametrize("sizes", [{"batch_size": 4}, {"per_class": 2}])
def test_an_element_holds_the_batches_of_all_updates_of_a_step(make_gan, images, labels, sizes):
    one = take(make_gan().dataset(images, labels, **sizes, seed=3), 6)
    three = take(make_gan(schedule=(1, 2)).dataset(images, labels, **sizes, seed=3), 2)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in one]), np.concatenate([x for x, _ in three]))
    np.testing.assert_array_equal(np.concatenate([y for _, y in one]), np.concatenate([y for _, y in three]))


def test_images_of_two_classes_do_not_meet_in_every_epoch(make_gan):
    images = np.linspace(0, 1, 60, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 8, 1), np.float32)
    data = make_gan().dataset(images, np.repeat([0, 1, 2], 20), per_class=1)
    met = {tuple(x[:, 0, 0, 0]) for x, _ in take(data, 60)}
    assert len(met) > 50
