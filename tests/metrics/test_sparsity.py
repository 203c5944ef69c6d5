"""Gini indices: closed forms, and two other formulas for the same number."""

from __future__ import annotations

import numpy as np
import pytest

from tf_ganmex.errors import ImageError
from tf_ganmex.metrics import gini, gini_shifted, sparsity


def as_maps(*vectors):
    return np.array(vectors, np.float64)[:, :, None, None]


def by_pairs(amounts):
    """Half the mean absolute difference of all pairs, by the mean."""
    return np.abs(amounts[:, None] - amounts[None]).mean() / (2 * amounts.mean())


def by_shares(amounts):
    """Hurley & Rickard's form, over the shares of the sum in ascending order."""
    shares = np.sort(amounts) / amounts.sum()
    count = len(shares)
    return 1 - 2 * sum(share * (count - k + 0.5) / count for k, share in enumerate(shares, 1))


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(1).normal(size=(6, 5, 4, 3)) ** 3


@pytest.mark.parametrize("formula", [by_pairs, by_shares])
def test_other_formulas(formula, maps):
    flat = maps.reshape(6, -1)
    np.testing.assert_allclose(gini(maps), [formula(np.abs(row)) for row in flat], rtol=1e-12)
    np.testing.assert_allclose(gini_shifted(maps), [formula(row - row.min()) for row in flat], rtol=1e-12)


def test_closed_forms():
    one_hot, constant, pair = np.eye(1, 8)[0], np.full(8, -0.1), np.array([1, 0, 0, 0, 0, 0, 0, 3])
    np.testing.assert_allclose(gini(as_maps(one_hot, -one_hot, constant)), [7 / 8, 7 / 8, 0], atol=1e-15)
    np.testing.assert_allclose(gini(as_maps(pair)), [(5 * 1 + 7 * 3) / (8 * 4)])


def test_shifted_by_hand():
    # −1, 0, 1 above −1 is 0, 1, 2: (−2·0 + 0·1 + 2·2) / (3·3)
    np.testing.assert_allclose(gini_shifted(as_maps([0, 1, -1])), [4 / 9])
    # Two features of a thousand that differ: sparse, but not above the smallest.
    sparse = np.zeros(1000)
    sparse[:2] = 1, -1
    assert gini(as_maps(sparse))[0] == pytest.approx(0.998)
    assert gini_shifted(as_maps(sparse))[0] < 0.002


@pytest.mark.parametrize("index", [gini, gini_shifted])
@pytest.mark.parametrize("factor", [7, 1e-30, 1e30, 1e-200])
def test_scale_does_not_matter(factor, index, maps):
    np.testing.assert_allclose(index(maps * factor), index(maps), rtol=1e-9)


def test_signs_and_order(maps):
    rng = np.random.default_rng(2)
    np.testing.assert_allclose(gini(maps * rng.choice([-1, 1], maps.shape)), gini(maps))
    np.testing.assert_allclose(gini(maps[:, ::-1, ::-1]), gini(maps))
    assert not np.allclose(gini_shifted(-maps), gini_shifted(maps))
    np.testing.assert_allclose(gini_shifted(maps + 5), gini_shifted(maps))


def test_undefined():
    zero, constant, other = np.zeros(4), np.full(4, 2.0), np.arange(4)
    assert np.isnan(gini(as_maps(zero, constant, other))).tolist() == [True, False, False]
    assert np.isnan(gini_shifted(as_maps(zero, constant, other))).tolist() == [True, True, False]


def test_float32_and_integers(maps):
    np.testing.assert_allclose(gini(maps.astype(np.float32)), gini(maps), rtol=1e-6)
    assert gini(as_maps([3, 1, 0]).astype(int)) == gini(as_maps([3, 1, 0]))
    assert gini(maps.astype(np.float32)).dtype == np.float64


def test_a_few_maps_at_a_time(maps, monkeypatch):
    whole = gini(maps)
    monkeypatch.setattr(sparsity, "_FEATURES", 130)
    np.testing.assert_array_equal(gini(maps), whole)


@pytest.mark.parametrize("index", [gini, gini_shifted])
def test_what_are_no_maps(index):
    nan = as_maps([1, np.nan])
    for wrong, text in [(np.ones((3, 4)), "shape"), (np.ones((0, 2, 2, 1)), "shape"), (nan, "NaN"), (nan > 0, "dtype")]:
        with pytest.raises(ImageError, match=rf"Expected.*attributions.*Received.*{text}"):
            index(wrong)
