"""`generate`: images in the value range, one target or many, whatever the batch size."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex.errors import ImageError, LabelError, OptionError


def test_one_target_and_many_targets_agree(make_gan, images):
    gan = make_gan()
    targets = np.arange(20) % 3
    many = gan.generate(images, targets)
    assert many.shape == images.shape
    assert many.dtype == np.float32
    for target in range(3):
        np.testing.assert_allclose(many[targets == target], gan.generate(images, target)[targets == target], atol=1e-5)
    assert np.abs(gan.generate(images, 0) - gan.generate(images, 1)).max() > 1e-4


@pytest.mark.parametrize("batch_size", [1, 7, 20, 1000])
def test_batch_size_does_not_matter(make_gan, images, batch_size):
    gan = make_gan()
    targets = np.arange(20) % 3
    np.testing.assert_allclose(
        gan.generate(images, targets, batch_size=batch_size), gan.generate(images, targets), atol=1e-5
    )


def test_tensors_and_float64_are_taken(make_gan, images):
    gan = make_gan()
    expected = gan.generate(images, 1)
    np.testing.assert_array_equal(gan.generate(tf.constant(images), tf.constant(1)), expected)
    np.testing.assert_array_equal(gan.generate(images.astype(np.float64), np.int64(1)), expected)


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_images_stay_in_the_value_range(make_gan, make_clf, images, value_range):
    low, high = value_range
    gan = make_gan(make_clf(value_range=value_range))
    for variable in gan.generator.weights:
        variable.assign(variable * 20)
    generated = gan.generate(images * (high - low) + low, 2)
    assert generated.min() >= low
    assert generated.max() <= high
    assert np.ptp(generated) > 0.9 * (high - low)


def test_the_value_range_only_rescales(make_gan, make_clf, images):
    unit, bytes_ = make_gan(make_clf()), make_gan(make_clf(value_range=(0.0, 255.0)))
    np.testing.assert_allclose(bytes_.generate(images * 255, 1) / 255, unit.generate(images, 1), atol=1e-5)


def test_no_images_give_no_images(make_gan):
    assert make_gan().generate(np.zeros((0, 8, 8, 1), np.float32), np.zeros(0, int)).shape == (0, 8, 8, 1)


def test_calling_the_model_is_differentiable_with_respect_to_the_image(make_gan, images):
    x = tf.constant(images)
    gan = make_gan()
    with tf.GradientTape() as tape:
        tape.watch(x)
        generated = gan((x, tf.fill((20,), 2)))
    np.testing.assert_allclose(np.clip(generated, 0, 1), gan.generate(images, 2), atol=1e-5)
    assert float(tf.reduce_sum(tf.abs(tape.gradient(generated, x)))) > 0


@pytest.mark.parametrize("target", [3, -1, 1.0, [0, 1], np.eye(3)[[0] * 20]])
def test_targets_that_do_not_fit(make_gan, images, target):
    with pytest.raises(LabelError, match="target"):
        make_gan().generate(images, target)


def test_images_that_do_not_fit(make_gan, images):
    with pytest.raises(ImageError, match=r"x\[None\]"):
        make_gan().generate(images[0], 1)
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        make_gan().generate(images * 255, 1)


def test_batch_size_below_one(make_gan, images):
    with pytest.raises(OptionError, match="batch_size=0"):
        make_gan().generate(images, 1, batch_size=0)
