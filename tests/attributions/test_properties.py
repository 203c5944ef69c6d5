"""What every attribution method must do, for every kind of classifier."""

from __future__ import annotations

import numpy as np
import pytest
from attribution_cases import PAIRS, Case, Method, assert_close, case

import tf_ganmex as gx


def pytest_generate_tests(metafunc):
    wanted = getattr(metafunc.function, "wanted", lambda method: True)
    pairs = [(method, name) for method, name in PAIRS if wanted(method)]
    metafunc.parametrize(("method", "name"), pairs, ids=[f"{method.name}-{name}" for method, name in pairs])


def only(condition):
    """Leaves out the methods for which ``condition`` does not hold."""

    def mark(function):
        function.wanted = condition
        return function

    return mark


@pytest.fixture
def question(name) -> Case:
    return case(name)


def test_map_has_shape_and_type_of_images(method: Method, question: Case):
    maps = method(question)
    assert maps.shape == question.x.shape
    assert maps.dtype == question.clf.dtype
    assert np.isfinite(maps).all()
    assert np.abs(maps).reshape(len(maps), -1).max(1).min() > 0


def test_batch_size_does_not_matter(method: Method, question: Case):
    assert_close(method(question, batch_size=2), method(question), question.tolerance)


def test_order_and_company_of_images_do_not_matter(method: Method, question: Case):
    maps = method(question)
    for rows in ([3, 1, 4, 0, 2], [2]):
        part = method(question, question.x[rows], question.origin[rows], question.target[rows], question.baseline[rows])
        assert_close(part, maps[rows], question.tolerance)


def test_swapping_origin_and_target_changes_the_sign(method: Method, question: Case):
    swapped = method(question, origin=question.target, target=question.origin)
    assert_close(-swapped, method(question), question.tolerance)


def test_one_vs_one_is_the_difference_of_one_vs_all(method: Method, question: Case):
    difference = method(question, target=None) - method(question, origin=question.target, target=None)
    assert_close(difference, method(question), question.tolerance)


def test_average_is_the_mean_over_the_other_classes(method: Method, question: Case):
    classes = question.clf.num_classes
    maps = [method(question, target=(question.origin + offset) % classes) for offset in range(1, classes)]
    assert_close(method(question, target="average"), np.mean(maps, axis=0), question.tolerance)


def test_one_class_for_all_images(method: Method, question: Case):
    alone = method(question, origin=0, target=1)
    assert_close(alone, method(question, origin=np.zeros(5, int), target=np.ones(5, int)), question.tolerance)


@only(lambda method: method.has_baseline)
def test_image_that_is_its_baseline_gets_nothing(method: Method, question: Case):
    assert not method(question, baseline=question.x).any()


@only(lambda method: method.has_baseline and method.name != "occlusion-windows")
def test_features_that_the_baseline_keeps_get_nothing(method: Method, question: Case):
    kept = question.x == question.baseline
    assert kept.any()
    assert not method(question)[kept].any()


@only(lambda method: method.has_baseline and method.name != "expected_gradients")
def test_forms_of_a_baseline(method: Method, question: Case):
    one = question.baseline[0]
    expected = method(question, baseline=np.repeat(one[None], 5, 0))
    several = np.stack([question.baseline, question.baseline[::-1]], 1)
    mean = (method(question) + method(question, baseline=question.baseline[::-1])) / 2
    for baseline, maps in [
        (one, expected),
        (one[None], expected),
        (lambda x, target: np.broadcast_to(one, x.shape), expected),
        (several, mean),
        (lambda x, target: several[: len(x)], mean),
    ]:
        assert_close(method(question, baseline=baseline), maps, question.tolerance)


@only(lambda method: method.has_baseline and method.name != "expected_gradients")
def test_background_shared_by_all_images(method: Method, question: Case):
    expected = np.mean([method(question, baseline=image) for image in question.baseline[:3]], axis=0)
    assert_close(method(question, baseline=question.baseline[None, :3]), expected, question.tolerance)


@only(lambda method: method.has_baseline)
def test_average_takes_the_baseline_of_each_target(method: Method, question: Case):
    low, high = question.clf.value_range

    def baseline(x, target):
        shade = low + (high - low) * (np.asarray(target) + 1) / (question.clf.num_classes + 1)
        return np.broadcast_to(shade[:, None, None, None], x.shape).astype(x.dtype)

    classes = question.clf.num_classes
    targets = [(question.origin + offset) % classes for offset in range(1, classes)]
    maps = [method(question, target=target, baseline=baseline) for target in targets]
    average = method(question, target="average", baseline=baseline)
    assert_close(average, np.mean(maps, axis=0), question.tolerance)


@only(lambda method: method.has_baseline)
def test_black_and_white_follow_the_value_range(method: Method, question: Case):
    for baseline, value in zip([gx.baselines.zero(), gx.baselines.maximum()], question.clf.value_range, strict=True):
        expected = method(question, baseline=lambda x, target, value=value: np.full_like(x, value))
        assert_close(method(question, baseline=baseline), expected, question.tolerance)


@only(lambda method: method.complete)
def test_map_sums_to_the_difference_of_the_deltas(method: Method, question: Case):
    delta = [
        question.clf.score_delta(images, question.origin, question.target, question.score)
        for images in (question.x, question.baseline)
    ]
    tolerance = 1e-9 if question.clf.dtype == np.float64 else 1e-5
    assert_close(method(question).sum((1, 2, 3)), delta[0] - delta[1], tolerance)


@only(lambda method: method.symmetric)
def test_exchanging_image_and_baseline_changes_the_sign(method: Method, question: Case):
    assert_close(-method(question, question.baseline, baseline=question.x), method(question), question.tolerance)


@only(lambda method: method.needs_graph is False)
def test_arguments_are_left_as_they_were(method: Method, question: Case):
    x, baseline = question.x.copy(), question.baseline.copy()
    method(question, x, baseline=baseline)
    assert np.array_equal(x, question.x)
    assert np.array_equal(baseline, question.baseline)
