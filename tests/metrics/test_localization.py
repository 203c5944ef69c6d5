"""Inverse localization against sums by hand; the regions of SVHN and BAM."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tf_ganmex.datasets.bam.composites import BamOptions
from tf_ganmex.errors import ImageError, LabelError, OptionError
from tf_ganmex.metrics import bam_relevant_mask, edge_strips, inverse_localization, localization

NAMES = BamOptions().class_names


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(0).normal(size=(5, 6, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def masks():
    return np.random.default_rng(1).random((5, 6, 8)) < 0.4


def test_ratio_of_means(maps, masks):
    expected = [np.abs(a[~m]).mean() / np.abs(a[m]).mean() for a, m in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(inverse_localization(maps, masks), expected, rtol=1e-6)
    np.testing.assert_array_equal(inverse_localization(maps, masks[..., None]), inverse_localization(maps, masks))


def test_one_mask_for_all(maps, masks):
    np.testing.assert_array_equal(
        inverse_localization(maps, masks[0]), inverse_localization(maps, np.broadcast_to(masks[0], masks.shape))
    )


def test_neither_sign_nor_scale_nor_the_size_of_the_regions_matters(maps):
    corner = np.zeros((6, 8), bool)
    corner[0, 0] = True
    assert inverse_localization(np.full((1, 6, 8, 3), -2.0), corner) == pytest.approx(1)
    np.testing.assert_allclose(inverse_localization(-7 * maps, corner), inverse_localization(maps, corner), rtol=1e-6)


def test_exchanged_regions_invert_it(maps, masks):
    np.testing.assert_allclose(inverse_localization(maps, ~masks) * inverse_localization(maps, masks), 1)


def test_blocks_of_images_do_not_matter(maps, masks, monkeypatch):
    whole = inverse_localization(maps, masks), inverse_localization(maps, masks[0])
    monkeypatch.setattr(localization, "_FEATURES_AT_ONCE", 2 * 6 * 8 * 3)
    np.testing.assert_array_equal(inverse_localization(maps, masks), whole[0])
    np.testing.assert_array_equal(inverse_localization(maps, masks[0]), whole[1])


def test_nothing_on_the_relevant_region_is_nan(maps, masks):
    outside = np.where(masks[..., None], 0, maps)
    outside[0] = maps[0]
    found = inverse_localization(outside, masks)
    assert np.isfinite(found[0])
    assert np.isnan(found[1:]).all()
    assert np.isnan(inverse_localization(0 * maps, masks)).all()
    np.testing.assert_array_equal(inverse_localization(np.where(masks[..., None], maps, 0), masks), 0)


def test_regions_that_are_empty_or_do_not_fit(maps, masks):
    full = masks.copy()
    full[3] = True
    for wrong, text in [(full, r"irrelevant.*\[3\]"), (~full, r"is relevant.*\[3\]")]:
        with pytest.raises(ImageError, match=f"Expected pixels in both regions.*{text}"):
            inverse_localization(maps, wrong)
    for wrong in (masks[:2], masks.astype(int), masks[..., :3], np.broadcast_to(masks[..., None], maps.shape)):
        with pytest.raises(ImageError, match="Expected relevant_mask as bool"):
            inverse_localization(maps, wrong)
    with pytest.raises(ImageError, match="Expected attributions of shape"):
        inverse_localization(maps[0], masks[0])


def test_edge_strips_are_at_the_left_and_the_right():
    strips = edge_strips((4, 7), width=2)
    assert strips.dtype == bool
    np.testing.assert_array_equal(strips, np.tile(np.array([1, 1, 0, 0, 0, 1, 1], bool), (4, 1)))
    assert edge_strips((32, 32, 3)).sum() == 32 * 10
    for wrong in (0, 16, 2.5):
        with pytest.raises(OptionError, match="Expected"):
            edge_strips((32, 32), width=wrong)
    with pytest.raises(OptionError, match="shape of one image"):
        edge_strips((5, 32, 32, 3))


def test_bam_object_where_objects_differ_and_the_rest_where_scenes_do():
    masks = np.random.default_rng(2).random((2, 4, 4, 1)) < 0.5
    pizza_bedroom, pizza_forest, sign_bedroom, _ = range(4)
    found = bam_relevant_mask(masks, pizza_bedroom, [sign_bedroom, pizza_forest], NAMES)
    np.testing.assert_array_equal(found, np.stack([masks[0], ~masks[1]]))
    with pytest.raises(LabelError, match=r"origin='pizza_bedroom', target='stop_sign_bamboo_forest'.*\[1\]"):
        bam_relevant_mask(masks, pizza_bedroom, [sign_bedroom, 3], NAMES)
    with pytest.raises(LabelError, match="target other than the origin"):
        bam_relevant_mask(masks, 1, 1, NAMES)
    with pytest.raises(ImageError, match="Expected object_masks as bool"):
        bam_relevant_mask(masks[..., 0], 0, 1, NAMES)


@pytest.mark.parametrize("objects", [("dog",), ("dog", "stop sign"), ("a", "b", "c")])
@pytest.mark.parametrize("scenes", [("bedroom",), ("bedroom", "bamboo_forest"), ("x", "y_z", "w")])
def test_scenes_are_told_from_the_names_of_the_dataset(objects, scenes):
    if len(objects) == len(scenes) == 1:
        return
    names = BamOptions(objects=objects, scene_classes=scenes).class_names
    assert localization.scenes_in(names) == len(scenes)


def test_names_that_do_not_tell_the_scenes():
    mask = np.eye(4, dtype=bool)[None, ..., None]
    for names, text in [(["a_b_x", "a_c_x"], "1 or 2 scenes"), (["3", "8"], "are not"), (["a_x", "b_y"], "are not")]:
        with pytest.raises(LabelError, match=f"Expected class_names OBJECT_SCENE.*{text}.*scenes="):
            bam_relevant_mask(mask, 0, 1, names)
    np.testing.assert_array_equal(bam_relevant_mask(mask, 0, 1, ["a_b_x", "a_c_x"], scenes=1), mask)
    np.testing.assert_array_equal(bam_relevant_mask(mask, 0, 1, ["a_b_x", "a_c_x"], scenes=2), ~mask)
    with pytest.raises(OptionError, match="scenes"):
        bam_relevant_mask(mask, 0, 1, ["a_b_x", "a_c_x"], scenes=3)


def test_every_pair_of_bam_has_one_answer():
    mask = np.zeros((1, 2, 2, 1), bool)
    mask[0, 0] = True
    for origin, target in itertools.permutations(range(4), 2):
        if origin + target == 3:  # both differ
            continue
        expected = mask if abs(origin - target) == 2 else ~mask
        np.testing.assert_array_equal(bam_relevant_mask(mask, origin, target, NAMES), expected)
