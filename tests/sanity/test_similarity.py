"""Similarities of maps: closed forms, other libraries, and what is not defined."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from skimage.feature import hog
from skimage.metrics import structural_similarity

from tf_ganmex.errors import ImageError
from tf_ganmex.sanity import MEASURES, similarity


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(5, 12, 12, 2))


def test_a_map_is_like_itself_at_any_size(maps):
    for values in (similarity(maps, maps), similarity(maps, 1e-6 * maps), similarity(maps.astype(np.float32), maps)):
        assert tuple(values) == MEASURES
        for value in values.values():
            np.testing.assert_allclose(value, np.ones(5), atol=1e-5)


def test_the_sign_counts_but_in_absolute_values(maps):
    values = similarity(maps, -maps)
    np.testing.assert_allclose(values["spearman"], -1)
    np.testing.assert_allclose(values["spearman_absolute"], 1)
    assert (values["ssim"] < 0.8).all()
    np.testing.assert_allclose(values["hog"], 1, atol=1e-6)  # of unsigned orientations


def test_unrelated_noise():
    first, second = np.random.default_rng(1).normal(size=(2, 8, 28, 28, 1))
    values = similarity(first, second)
    for name in ("spearman", "spearman_absolute", "ssim"):
        assert np.abs(values[name]).max() < 0.2


def test_each_image_as_other_libraries_have_it(maps):
    other = maps[::-1] + 0.3 * maps
    values = similarity(maps, other)
    for i, (a, b) in enumerate(zip(maps, other, strict=True)):
        assert values["spearman"][i] == pytest.approx(stats.spearmanr(a.ravel(), b.ravel()).statistic)
        absolute = stats.spearmanr(np.abs(a).ravel(), np.abs(b).ravel()).statistic
        assert values["spearman_absolute"][i] == pytest.approx(absolute)
        a, b = a / np.abs(a).max(), b / np.abs(b).max()
        ssim = structural_similarity(a, b, win_size=5, data_range=2, channel_axis=-1)
        assert values["ssim"][i] == pytest.approx(ssim)
        found = [hog(m, pixels_per_cell=(3, 3), cells_per_block=(3, 3), channel_axis=-1) for m in (a, b)]
        assert values["hog"][i] == pytest.approx(np.corrcoef(*found)[0, 1])


def test_an_image_does_not_depend_on_the_others(maps):
    other = maps[::-1].copy()
    whole = similarity(maps, other)
    for i in range(len(maps)):
        for name, value in similarity(maps[i : i + 1], other[i : i + 1]).items():
            np.testing.assert_array_equal(value, whole[name][i : i + 1])


def test_constant_maps_have_no_similarity():
    noise = np.random.default_rng(2).normal(size=(3, 9, 9, 1))
    flat = np.stack([np.zeros((9, 9, 1)), np.full((9, 9, 1), 0.5), 0.5 + 1e-9 * noise[0]])
    values = similarity(flat, noise)
    for name in ("spearman", "spearman_absolute", "hog"):
        assert np.isnan(values[name]).all()
    assert np.isfinite(values["ssim"]).all()
    assert all(np.isnan(value).all() for value in similarity(flat, flat).values())


@pytest.mark.parametrize("side", [3, 4, 5, 7, 16, 40])
def test_images_of_any_size(side):
    maps = np.random.default_rng(side).normal(size=(2, side, side + 3, 3))
    for value in similarity(maps, maps + 1e-3).values():
        assert value.shape == (2,)
        assert (value > 0.9).all()


def test_maps_that_do_not_fit(maps):
    with pytest.raises(ImageError, match="of the shape of maps"):
        similarity(maps, maps[:3])
    with pytest.raises(ImageError, match="Expected others as finite"):
        similarity(maps, maps * np.nan)
    with pytest.raises(ImageError, match="Expected maps as finite"):
        similarity(maps[0], maps[0])
