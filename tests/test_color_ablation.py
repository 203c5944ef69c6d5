"""The ablation on coloured digits: what counts as keeping a colour, and the table."""

from __future__ import annotations

import numpy as np
import pytest

from tf_ganmex.reproduce import color_ablation


class SaysOne:
    """A classifier."""

    def predict(self, x):
        return np.ones(len(x), int)


def test_color_is_the_brightest_channel():
    images = np.zeros((3, 4, 4, 3), np.float32)
    images[0, 1, 1, 2] = images[1, :, :, 0] = 1
    images[1, 0, 0, 1] = images[2, :2, :, 1] = 1
    np.testing.assert_array_equal(color_ablation.color_of(images), [2, 0, 1])


def test_shares_and_distance():
    x = np.zeros((4, 2, 2, 3), np.float32)
    x[..., 0] = 0.5
    made = x.copy()
    made[0] = made[0][..., ::-1]
    row = color_ablation.measure(SaysOne(), x, made, np.array([1, 1, 1, 0]))
    assert row["keeps its color"] == 0.75
    assert row["brightness in that channel"] == pytest.approx(0.75)
    assert row["classified as target"] == 0.75
    assert row["L2 distance"] == pytest.approx(np.sqrt(8 * 0.25) / 4)
    table = color_ablation.report({"neither": row}, "1 step.")
    assert "| neither | 75.00% | 75.00% | 75.00% | 0.354 |" in table
