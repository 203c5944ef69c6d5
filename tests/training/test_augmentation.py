"""Random changes of images: how far they go, and that a key decides them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex.errors import OptionError
from tf_ganmex.training import AUGMENTATIONS, Augmentation

KEY = tf.constant([3, 5], tf.int64)


def images(n=6, height=24, width=20):
    return np.random.default_rng(0).random((n, height, width, 2), np.float32)


def dot(row, column, height=41, width=41):
    image = np.zeros((64, height, width, 1), np.float32)
    image[:, row, column] = 1
    return image


def places(changed):
    """Centre of mass of each image, (n, 2) as row and column."""
    mass = changed[..., 0] / changed.sum((1, 2, 3))[:, None, None]
    rows, columns = np.mgrid[: mass.shape[1], : mass.shape[2]]
    return np.stack([(mass * rows).sum((1, 2)), (mass * columns).sum((1, 2))], 1)


def test_nothing_asked_for_changes_nothing():
    x = images()
    np.testing.assert_allclose(Augmentation().apply(x, KEY), x, atol=1e-6)


def test_the_key_decides_and_every_image_has_its_own_amounts():
    change = AUGMENTATIONS["photos"]
    x = np.repeat(images(1), 5, axis=0)
    one = change.apply(x, KEY).numpy()
    np.testing.assert_array_equal(one, change.apply(x, KEY))
    assert np.abs(one - change.apply(x, KEY + 2).numpy()).mean() > 0.05
    assert all(np.abs(one[0] - other).mean() > 0.02 for other in one[1:])


def test_shift_is_a_fraction_of_each_side_and_goes_both_ways():
    moved = places(Augmentation(shift=0.1).apply(dot(20, 20), KEY).numpy()) - 20
    assert np.abs(moved).max() <= 4.1 + 1e-3
    assert np.abs(moved).max() > 3
    assert (moved.min(0) < -1).all() and (moved.max(0) > 1).all()


def test_rotation_keeps_the_distance_to_the_centre_and_stays_within_its_angle():
    turned = places(Augmentation(rotation=30.0).apply(dot(20, 36), KEY).numpy()) - 20
    np.testing.assert_allclose(np.hypot(*turned.T), 16, atol=0.3)
    angles = np.degrees(np.arctan2(turned[:, 0], turned[:, 1]))
    assert np.abs(angles).max() <= 30.5
    assert angles.min() < -15 and angles.max() > 15


def test_zoom_moves_along_the_radius():
    zoomed = places(Augmentation(zoom=0.2).apply(dot(20, 30), KEY).numpy()) - 20
    np.testing.assert_allclose(zoomed[:, 0], 0, atol=0.05)
    assert 10 / 1.2 - 0.3 <= zoomed[:, 1].min() < 9.5 and 10.5 < zoomed[:, 1].max() <= 10 / 0.8 + 0.3


def test_shear_slants_columns_and_leaves_rows():
    slanted = places(Augmentation(shear=20.0).apply(dot(8, 20), KEY).numpy()) - 20
    np.testing.assert_allclose(slanted[:, 0], -12, atol=0.05)
    assert 3 < np.abs(slanted[:, 1]).max() <= 12 * np.tan(np.radians(20)) + 0.1


def test_half_of_the_images_are_mirrored_and_the_others_are_as_they_were():
    x = images(400, 4, 6)
    changed = Augmentation(flip=True).apply(x, KEY).numpy()
    same = np.isclose(changed, x, atol=1e-5).all((1, 2, 3))
    mirrored = np.isclose(changed, x[:, :, ::-1], atol=1e-5).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_values_stay_within_those_of_the_image():
    x = images() * 0.5 + 0.25
    changed = AUGMENTATIONS["photos"].apply(x, KEY).numpy()
    assert changed.min() >= x.min() - 1e-6 and changed.max() <= x.max() + 1e-6


@pytest.mark.parametrize("amount", [{"rotation": -1.0}, {"zoom": 1.0}, {"shift": 2.0}, {"shear": 90.0}])
def test_amounts_that_leave_no_image(amount):
    with pytest.raises(OptionError, match=next(iter(amount))):
        Augmentation(**amount)
