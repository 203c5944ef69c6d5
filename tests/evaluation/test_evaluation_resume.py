"""What was computed is kept, found again where it is the same, and only there."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
from evaluation_cases import (
    OPTIONS,
    TEST,
    WRONG,
    altered_classifier,
    assert_same_values,
    small_classifier,
    small_data,
    small_ganmex,
)

import tf_ganmex as gx
from tf_ganmex import attributions
from tf_ganmex.classifier import classifier as classifiers

IMAGES = TEST - len(WRONG)


@pytest.fixture
def explained(monkeypatch):
    """How many images each method has explained."""
    counts: Counter[str] = Counter()
    for name in attributions.__all__:
        method = getattr(attributions, name)

        def counted(clf, x, *rest, name=name, method=method, **options):
            counts[name] += len(x)
            return method(clf, x, *rest, **options)

        monkeypatch.setattr(attributions, name, functools.wraps(method)(counted))
    return counts


def test_a_second_call_computes_nothing(clf, data, table, tmp_path, explained):
    first = gx.evaluate(clf, data, **OPTIONS, folder=tmp_path, block_size=8)
    assert explained["integrated_gradients"] == 2 * IMAGES
    assert_same_values(first, table, atol=2e-5)
    explained.clear()
    second = gx.evaluate(clf, data, **OPTIONS, folder=tmp_path, block_size=8)
    assert not explained
    assert_same_values(first, second)
    assert first.rows == second.rows


def test_an_interrupted_call_goes_on_and_ends_the_same(clf, data, table, tmp_path, explained, monkeypatch):
    deeplift = attributions.deeplift
    calls = []

    @functools.wraps(deeplift)
    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 4:  # in the second block
            raise KeyboardInterrupt
        return deeplift(*arguments, **options)

    monkeypatch.setattr(attributions, "deeplift", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gx.evaluate(clf, data, **OPTIONS, folder=tmp_path, block_size=8)
    before = Counter(explained)
    again = gx.evaluate(clf, data, **OPTIONS, folder=tmp_path, block_size=8)
    assert explained == {
        "integrated_gradients": 2 * IMAGES,
        "expected_gradients": IMAGES,
        "deeplift": 2 * IMAGES,
        "occlusion": 2 * IMAGES,
        "gradient": IMAGES,
    }
    assert 0 < before["integrated_gradients"] < 2 * IMAGES
    assert_same_values(again, table, atol=2e-5)


def test_what_is_new_is_computed_and_nothing_else(clf, data, tmp_path, explained):
    def evaluate(**changes):
        explained.clear()
        options = {"methods": ["deeplift"], "baselines": ["zero"], "metrics": ["aopc_10"], **changes}
        return gx.evaluate(clf, data, folder=tmp_path, **options)

    evaluate()
    evaluate(methods=["deeplift", "gradient"])
    assert explained == {"gradient": IMAGES}
    evaluate(baselines=["zero", "maximum"])
    assert explained == {"deeplift": IMAGES}
    evaluate(metrics=["aopc_10", "gini"])
    assert explained == {"deeplift": IMAGES}
    evaluate(metrics=["gini", "distance"])
    assert not explained
    evaluate(method_options={"deeplift": {"rules": "deepexplain"}})
    assert explained == {"deeplift": IMAGES}
    evaluate(score="logit")
    assert explained == {"deeplift": IMAGES}
    evaluate(seed=1)  # other targets
    assert explained == {"deeplift": IMAGES}


def test_a_longer_curve_serves_a_shorter_one_and_is_not_lost(clf, data, tmp_path, explained):
    def evaluate(*names):
        explained.clear()
        return gx.evaluate(clf, data, methods=["gradient"], metrics=names, folder=tmp_path)

    whole = evaluate("aopc_all", "aopc_10")
    part = evaluate("aopc_10")
    assert not explained and len(part.curves["gradient", "none"].mean) == 11
    assert evaluate("aopc_20")["aopc_20", "gradient", "none"].count == IMAGES
    assert explained == {"gradient": IMAGES}
    again = evaluate("aopc_all", "aopc_10")
    assert not explained
    np.testing.assert_array_equal(again.curves["gradient", "none"].mean, whole.curves["gradient", "none"].mean)


def test_a_larger_limit_goes_on_from_whole_blocks(clf, data, tmp_path, explained):
    options = {"methods": ["gradient"], "metrics": ["gini"], "folder": tmp_path, "block_size": 4}
    first = gx.evaluate(clf, data, **options, limit=12)
    kept = len(first.image) // 4 * 4
    explained.clear()
    gx.evaluate(clf, data, **options)
    assert kept and explained == {"gradient": IMAGES - kept}


@pytest.mark.parametrize(
    ("other", "columns"),
    [("weights", 3), ("activation", 3), ("images", 3), ("training data", 2), ("ganmex", 1)],
)
def test_what_belongs_to_something_else_is_not_taken(clf, data, ganmex, tmp_path, explained, other, columns):
    options = {"metrics": ["gini"], "folder": tmp_path, "baselines": ["ganmex", "nearest"], "steps": 2}
    options["methods"] = ["deeplift", "expected_gradients"]
    gx.evaluate(clf, data, ganmex=ganmex, **options)
    explained.clear()
    if other == "weights":
        clf = small_classifier(seed=1)
        data, ganmex = small_data(clf), small_ganmex(clf)
    elif other == "activation":
        before, clf = clf.fingerprint, altered_classifier(clf)
        assert clf.fingerprint == before and (clf.predict(data.x_test) == small_classifier().predict(data.x_test)).all()
    elif other == "images":
        data = small_data(clf, x_test=data.x_test[::-1].copy(), y_test=data.y_test[::-1].copy())
    elif other == "training data":
        data = small_data(clf, x_train=data.x_train[:60], y_train=data.y_train[:60])
    else:
        ganmex = small_ganmex(clf, seed=1)
    found = gx.evaluate(clf, data, ganmex=ganmex, **options)
    assert sum(explained.values()) == columns * len(found.image)


def test_a_baseline_of_the_users_own_is_told_by_its_images(clf, data, tmp_path, explained):
    def evaluate(baseline):
        explained.clear()
        gx.evaluate(clf, data, methods=["deeplift"], metrics=["gini"], baselines={"mine": baseline}, folder=tmp_path)
        return explained["deeplift"]

    assert evaluate(lambda x, target: x / 2) == IMAGES
    assert evaluate(lambda x, target: 0.5 * x) == 0
    assert evaluate(lambda x, target: x / 3) == IMAGES


def test_damaged_files_are_computed_anew(clf, data, tmp_path, explained):
    options = {"methods": ["gradient"], "metrics": ["gini", "aopc_10"], "folder": tmp_path}
    first = gx.evaluate(clf, data, **options)
    files = sorted((tmp_path / "cells").glob("gradient*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:200])
    explained.clear()
    assert_same_values(gx.evaluate(clf, data, **options), first)
    assert explained == {"gradient": IMAGES}


def test_kept_maps_serve_further_metrics(clf, data, tmp_path, explained):
    options = {"methods": ["occlusion"], "baselines": ["nearest"], "folder": tmp_path, "keep_maps": True}
    gx.evaluate(clf, data, metrics=["gini"], **options)
    explained.clear()
    kept = gx.evaluate(clf, data, metrics=["aopc_all", "faithfulness"], **options)
    assert not explained
    fresh = gx.evaluate(clf, data, metrics=["aopc_all", "faithfulness"], methods=["occlusion"], baselines=["nearest"])
    assert_same_values(kept, fresh, atol=1e-6)


def test_effects_of_flips_and_draws_are_computed_once_for_all_columns(clf, data, tmp_path, monkeypatch):
    from tf_ganmex.metrics import effects

    computed = Counter()
    for name in ("drops_of", "effects_of"):
        function = getattr(effects, name)

        def counted(problem, *rest, name=name, function=function):
            computed[name] += len(problem)
            return function(problem, *rest)

        monkeypatch.setattr(effects, name, counted)
    options = {"metrics": ["faithfulness", "monotonicity"], "monotonicity_draws": 3, "folder": tmp_path}
    gx.evaluate(clf, data, methods=["gradient", "deeplift", "occlusion"], baselines=["zero", "nearest"], **options)
    assert computed == {"drops_of": IMAGES, "effects_of": IMAGES}
    gx.evaluate(clf, data, methods=["gradient", "deepshap"], baselines=["zero"], **options)
    assert computed == {"drops_of": IMAGES, "effects_of": IMAGES}


def test_of_a_classifier_without_fingerprint_nothing_is_kept(clf, data, tmp_path):
    def opaque(x):
        return clf.logits(np.asarray(x))

    callable_classifier = gx.load_classifier(opaque, input_shape=(8, 8, 1))
    assert isinstance(callable_classifier.engine, classifiers.OpaqueFunction)
    found = gx.evaluate(callable_classifier, data, methods=["occlusion"], metrics=["gini"], folder=tmp_path)
    assert not list(tmp_path.iterdir())
    expected = gx.evaluate(clf, data, methods=["occlusion"], metrics=["gini"])
    assert_same_values(found, expected, atol=1e-4)
