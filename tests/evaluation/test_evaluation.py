"""The numbers of an evaluation are those of the metrics, called directly, on the images and targets it names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import CLASSES, OPTIONS, TEST, WRONG, assert_same_values, small_classifier, small_ganmex

import tf_ganmex as gx
from tf_ganmex import attributions, errors, metrics
from tf_ganmex._backend import keras
from tf_ganmex.evaluation.table import REFERENCES


def column(clf, data, table, method, baseline, **options):
    """Images, maps and classes of one column, made without the evaluation."""
    x = data.x_test[table.image]
    maker = {"zero": gx.baselines.zero(), "nearest": gx.baselines.nearest(data.x_train, data.y_train)}.get(baseline)
    if baseline == "samples":
        maker = gx.baselines.random_sample(data.x_train, data.y_train, seed=0)
    arguments = () if maker is None else (maker,)
    maps = getattr(attributions, method)(clf, x, table.origin, table.target, *arguments, **options)
    return x, maps, table.origin, table.target


@pytest.mark.parametrize(
    ("method", "baseline", "options"),
    [
        ("integrated_gradients", "zero", {"steps": 6}),
        ("integrated_gradients", "nearest", {"steps": 6}),
        ("expected_gradients", "samples", {"steps": 6, "seed": 0}),
        ("deeplift", "nearest", {}),
        ("occlusion", "zero", {}),
        ("gradient", "none", {}),
    ],
)
def test_metrics_of_maps_are_those_called_directly(clf, data, table, method, baseline, options):
    x, maps, origin, target = column(clf, data, table, method, baseline, **options)
    curve = metrics.perturbation_curve(clf, x, maps, origin, target)
    expected = {
        "aopc_10": metrics.aopc(curve, 10),
        "aopc_all": metrics.aopc(curve, None),
        "gini": metrics.gini(maps),
        "gini_shifted": metrics.gini_shifted(maps),
        "faithfulness": metrics.faithfulness(clf, x, maps, origin, target),
        "monotonicity": metrics.monotonicity(clf, x, maps, origin, target, draws=3),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(table.values[name, method, baseline], values, atol=2e-5, err_msg=name)
        row, interval = table[name, method, baseline], metrics.bootstrap_interval(values)
        assert (row.mean, row.low, row.high) == pytest.approx((interval.mean, interval.low, interval.high), abs=1e-4)
        assert (row.count, row.undefined) == (interval.count, interval.undefined)
    np.testing.assert_allclose(table.curves[method, baseline].mean, curve.mean(0), atol=1e-5)
    error = curve.std(0, ddof=1) / np.sqrt(len(curve))
    np.testing.assert_allclose(table.curves[method, baseline].error, error, atol=1e-4)


def test_metrics_of_baselines_are_those_called_directly(clf, data, table):
    x = data.x_test[table.image]
    images = gx.baselines.nearest(data.x_train, data.y_train)(x, table.target)
    np.testing.assert_allclose(table.values["distance", "", "nearest"], metrics.baseline_distance(x, images), rtol=1e-6)
    assert table["assigned", "", "nearest"].mean == 1  # training labels are what the classifier says
    real = gx.baselines.random_sample(data.x_train, data.y_train, seed=1)(x, table.target)
    fid = metrics.fid(real, images, metrics.penultimate_features(clf))
    assert table["fid", "", "nearest"].mean == pytest.approx(fid, rel=1e-4)
    for name, distance in zip(REFERENCES, (metrics.intra_class_distance, metrics.inter_class_distance), strict=True):
        assert table["distance", "", name].mean == pytest.approx(distance(data.x_test, data.y_test).mean())


def test_images_are_those_the_classifier_gets_right_each_once_in_random_order(clf, data, table):
    assert sorted(table.image) == [index for index in range(TEST) if index not in WRONG]
    assert list(table.image) != sorted(table.image)
    np.testing.assert_array_equal(table.origin, data.y_test[table.image])
    assert (table.target != table.origin).all() and len(set(table.target)) == CLASSES
    assert f"{TEST} of {TEST} test images of small drawn, 3 of them mis-classified and left out;" in table.notes[0]


def test_misclassified_images_are_kept_on_demand(clf, data, table):
    kept = gx.evaluate(clf, data, methods=["gradient"], metrics=["gini"], keep_misclassified=True)
    assert sorted(kept.image) == list(range(TEST)) and "mis-classified" not in kept.notes[0]
    np.testing.assert_array_equal(kept.origin, clf.predict(data.x_test)[kept.image])
    same = np.isin(kept.image, table.image)  # a test image has the same target, whatever other images there are
    np.testing.assert_array_equal(kept.target[same], table.target)


def test_a_limit_takes_the_first_of_the_same_order_with_the_same_targets(clf, data, table):
    part = gx.evaluate(clf, data, methods=["gradient"], metrics=["gini"], limit=10)
    count = len(part.image)
    assert 0 < count <= 10
    np.testing.assert_array_equal(part.image, table.image[:count])
    np.testing.assert_array_equal(part.target, table.target[:count])
    other = gx.evaluate(clf, data, methods=["gradient"], metrics=["gini"], limit=10, seed=1)
    assert list(other.image) != list(part.image)


def test_the_size_of_blocks_changes_no_number(clf, data, table):
    again = gx.evaluate(clf, data, **OPTIONS, block_size=5)
    assert_same_values(table, again, atol=2e-5)
    for row, other in zip(table.rows, again.rows, strict=True):
        assert row.mean == pytest.approx(other.mean, rel=1e-3, abs=1e-4), row


def test_one_target_leaves_out_the_images_of_that_class(clf, data):
    by_name = gx.evaluate(clf, data, methods=["gradient"], metrics=["gini"], targets="class 2")
    by_number = gx.evaluate(clf, data, methods=["gradient"], metrics=["gini"], targets=2)
    assert (by_name.target == 2).all() and (by_name.origin != 2).all()
    assert_same_values(by_name, by_number)
    count = TEST - len(WRONG) - len(by_name.image)
    assert count and f"{count} of the target class and left out" in by_name.notes[0]


def test_all_targets_count_each_image_once_with_the_mean_of_its_targets(clf, data):
    options = {"methods": ["gradient"], "metrics": ["aopc_all", "gini"], "targets": "all"}
    table = gx.evaluate(clf, data, **options)
    images, others = TEST - len(WRONG), CLASSES - 1
    np.testing.assert_array_equal(table.image.reshape(images, others), table.image[::others, None].repeat(others, 1))
    assert all(
        set(row) == set(range(CLASSES)) for row in np.c_[table.origin[::others], table.target.reshape(-1, others)]
    )
    for name in ("aopc_all", "gini"):
        of_images = table.values[name, "gradient", "none"].reshape(images, others).mean(1)
        expected = metrics.bootstrap_interval(of_images)
        row = table[name, "gradient", "none"]
        assert (row.mean, row.low, row.count) == pytest.approx((expected.mean, expected.low, images))
    again = gx.evaluate(clf, data, **options, block_size=7)  # not a multiple of the targets of an image
    assert_same_values(table, again, atol=2e-5)


def test_undefined_correlations_are_counted_and_left_out(clf, data):
    """A baseline that is the image itself gives maps of zeros."""
    table = gx.evaluate(clf, data, methods=["occlusion"], baselines={"itself": lambda x, target: x}, metrics=["gini"])
    row = table["gini", "occlusion", "itself"]
    assert np.isnan(row.mean) and (row.count, row.undefined) == (0, TEST - len(WRONG))
    assert f"gini {TEST - len(WRONG)} of occlusion × itself" in table.notes[-1] and "–" in table.to_markdown()


def test_monotonicity_is_measured_on_the_first_images_only(clf, data, table):
    part = gx.evaluate(
        clf, data, methods=["gradient"], metrics=["monotonicity"], monotonicity_draws=3, monotonicity_images=7,
        block_size=4,
    )  # fmt: skip
    values = part.values["monotonicity", "gradient", "none"]
    np.testing.assert_allclose(values, table.values["monotonicity", "gradient", "none"][:7], atol=1e-6)
    assert part["monotonicity", "gradient", "none"].count == 7 and "on 7 of these images" in str(part.notes)


def test_a_method_twice_by_a_name_of_the_users_own(clf, data, tmp_path):
    table = gx.evaluate(
        clf,
        data,
        methods=["integrated_gradients", "coarse IG"],
        baselines=["zero"],
        metrics=["gini"],
        steps=20,
        method_options={"coarse IG": {"method": "integrated_gradients", "steps": 2, "rule": "right"}},
        folder=tmp_path,
    )
    alone = gx.evaluate(
        clf,
        data,
        methods=["integrated_gradients"],
        baselines=["zero"],
        metrics=["gini"],
        steps=2,
        method_options={"integrated_gradients": {"rule": "right"}},
    )
    fine, coarse = (table["gini", name, "zero"].mean for name in ("integrated_gradients", "coarse IG"))
    assert coarse == alone["gini", "integrated_gradients", "zero"].mean != fine
    assert table.settings["methods"]["coarse IG"]["method"] == "integrated_gradients"
    table.plot_bars()


def test_ganmex_and_baselines_of_the_users_own(clf, data, ganmex):
    grey = np.full(data.image_shape, 0.5, np.float32)
    own = {"mine": ganmex, "generated": ganmex.generate, "grey": grey, "white": "maximum", "half": lambda x, t: x / 2}
    options = {"methods": ["deeplift"], "metrics": ["aopc_10", "distance"], "ganmex": ganmex}
    table = gx.evaluate(clf, data, baselines=own, **options)
    named = gx.evaluate(clf, data, **options)
    assert [row.baseline for row in named.rows if row.metric == "aopc_10"] == ["zero", "nearest", "ganmex"]
    for name in ("mine", "generated"):
        np.testing.assert_array_equal(table.values["distance", "", name], named.values["distance", "", "ganmex"])
    x = data.x_test[table.image]
    np.testing.assert_allclose(table.values["distance", "", "half"], metrics.baseline_distance(x, x / 2), rtol=1e-6)
    np.testing.assert_allclose(table.values["distance", "", "grey"], metrics.baseline_distance(x, grey), rtol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda x, target: x[:1], lambda x, target: x[..., 0], lambda x, target: 0.5, lambda x, target: x[:, None]]
)
def test_baselines_of_another_number_or_shape_are_not_taken(clf, data, make):
    for names in (["distance"], ["gini"]):
        with pytest.raises(errors.BaselineError, match=r"'mine'.*one for each image"):
            gx.evaluate(clf, data, methods=["deeplift"], metrics=names, baselines={"mine": make})


def test_a_ganmex_of_another_classifier_is_told(clf, data, ganmex):
    options = {"methods": ["deeplift"], "metrics": ["gini"]}
    other = small_ganmex(small_classifier(seed=1))
    assert "another classifier" not in str(gx.evaluate(clf, data, ganmex=ganmex, **options).notes)
    for chosen in ({"ganmex": other}, {"baselines": {"ganmex": other.generate}}):
        table = gx.evaluate(clf, data, **chosen, **options)
        assert "The GANMEX of the baseline ganmex was trained for another classifier" in table.notes[1]
    with pytest.raises(errors.BaselineError, match="16, 16"):
        gx.evaluate(clf, data, baselines={"mine": gx.GANMEX(larger(clf), filters=4, blocks=1)}, **options)


def larger(clf):
    """The classifier of images of twice the size."""
    model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.AveragePooling2D(2), *clf.keras_model.layers])
    return gx.load_classifier(model)


def test_labels_that_do_not_fit_are_told(clf, data):
    options = {"methods": ["gradient"], "metrics": ["gini"]}
    says, wrong = clf.predict(data.x_test), np.arange(TEST) < 13
    shifted = dataclasses.replace(data, y_test=(says + wrong) % CLASSES)
    for kept in (False, True):
        table = gx.evaluate(clf, shifted, keep_misclassified=kept, **options)
        assert "13 of 24 images drawn are classified otherwise than labelled" in table.notes[1]
        assert "ganmex test-classifier" in table.notes[1]
    half = dataclasses.replace(data, y_test=(says + wrong * np.arange(TEST).astype(bool)) % CLASSES)
    assert "otherwise than labelled" not in str(gx.evaluate(clf, half, **options).notes)


def test_notes_say_where_was_looked(clf, data, tmp_path):
    np.save(tmp_path / "middle.npy", np.eye(8, dtype=bool))
    options = {"methods": ["gradient"], "baselines": ["zero"], "metrics": ["inverse_localization", "edge_distance"]}
    told = {
        "edges": "all but the vertical edge strips of 2 pixels",
        tmp_path / "middle.npy": "the masks in middle.npy",
    }
    for relevant, expected in told.items():
        notes = str(gx.evaluate(clf, data, **options, relevant=relevant, edge_width=2).notes)
        assert f"the attribution is expected in {expected}." in notes
        assert "edge_distance: of the vertical edge strips of 2 pixels." in notes
    given = gx.evaluate(clf, data, **options, relevant=np.eye(8, dtype=bool), edge_width=2)
    from_file = gx.evaluate(clf, data, **options, relevant=str(tmp_path / "middle.npy"), edge_width=2)
    assert_same_values(given, from_file)
    assert "the masks given" in str(given.notes)


def test_a_folder_that_cannot_be_written_to_is_told(clf, data, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(errors.OptionError, match="not writable"):
        gx.evaluate(clf, data, metrics=["gini"], folder=tmp_path / "new" / "folder")


def test_inverse_localization_with_masks_edges_and_objects(clf, data):
    options = {"methods": ["gradient"], "metrics": ["inverse_localization"]}
    middle = ~metrics.edge_strips(data.image_shape, 2)
    edges = gx.evaluate(clf, data, **options, relevant="edges", edge_width=2)
    assert_same_values(edges, gx.evaluate(clf, data, **options, relevant=middle))
    maps = attributions.gradient(clf, data.x_test[edges.image], edges.origin, edges.target)
    expected = metrics.inverse_localization(maps, middle)
    np.testing.assert_allclose(edges.values["inverse_localization", "gradient", "none"], expected, rtol=1e-4)

    masks = np.random.default_rng(0).random((TEST, 8, 8, 1)) < 0.5
    names = ["pizza_bedroom", "pizza_forest", "sign_bedroom", "sign_forest"]
    scenes = dataclasses.replace(data, masks_test=masks, class_names=names)
    table = gx.evaluate(clf, scenes, **options)
    both = (table.origin // 2 != table.target // 2) & (table.origin % 2 != table.target % 2)
    values = table.values["inverse_localization", "gradient", "none"]
    np.testing.assert_array_equal(np.isnan(values), both)  # where object and scene differ, all is relevant
    asked = (masks[table.image[~both]], table.origin[~both], table.target[~both], names)
    expected = metrics.inverse_localization(maps[~both], metrics.bam_relevant_mask(*asked))
    np.testing.assert_allclose(values[~both], expected, rtol=1e-4)


def test_run_time_is_of_all_images_and_without_compilation(clf, data):
    table = gx.evaluate(
        clf, data, methods=["deeplift"], baselines=["zero", "nearest"], metrics=["run_time"], block_size=8
    )
    for method, baseline in (("deeplift", "zero"), ("", "nearest")):
        row = table["run_time", method, baseline]
        assert row.count == TEST - len(WRONG) and 0 < row.mean < 0.05
    assert "1 process at the same time" in str(table.notes)


def test_a_classifier_of_another_value_range_gets_its_images_in_it(clf, data):
    half = keras.layers.Rescaling(0.5, 0.5)
    model = keras.Sequential([keras.Input(data.image_shape), half, *clf.keras_model.layers])
    signed = gx.load_classifier(model, value_range=(-1, 1))
    options = {"methods": ["deeplift", "expected_gradients"], "metrics": ["aopc_10", "faithfulness", "distance"]}
    found, expected = gx.evaluate(signed, data, **options, steps=3), gx.evaluate(clf, data, **options, steps=3)
    for name in ("zero", "nearest"):
        distances = expected.values["distance", "", name]
        np.testing.assert_allclose(found.values["distance", "", name], 2 * distances, rtol=1e-4)
        for metric in ("aopc_10", "faithfulness"):
            values = expected.values[metric, "deeplift", name]
            np.testing.assert_allclose(found.values[metric, "deeplift", name], values, atol=1e-4)


def test_features_of_a_given_network(clf, data):
    table = gx.evaluate(clf, data, metrics=["fid"], baselines=["zero"], features=lambda x: x.reshape(len(x), -1)[:, :5])
    assert table["fid", "", "zero"].mean > 0 and "of a given network" in str(table.notes)


@pytest.mark.parametrize(
    ("changes", "error", "expected"),
    [
        ({"metrics": ["aopc_10", "beauty"]}, errors.OptionError, "monotonicity"),
        ({"metrics": ["aopc_0"]}, errors.OptionError, "aopc_all"),
        ({"metrics": ["aopc_65"]}, errors.OptionError, "at most 64"),
        ({"metrics": []}, errors.OptionError, "none"),
        ({"metrics": [len]}, errors.OptionError, "metrics to be names"),
        ({"metrics": "gini"}, errors.OptionError, "metrics='gini'"),
        ({"methods": "deeplift"}, errors.OptionError, "methods='deeplift'"),
        ({"methods": ["magic"]}, errors.OptionError, "integrated_gradients"),
        ({"baselines": ["average"]}, errors.OptionError, "random_sample"),
        ({"baselines": ["ganmex"]}, errors.OptionError, "load_ganmex"),
        ({"baselines": "zero"}, errors.OptionError, "baselines='zero'"),
        ({"baselines": lambda x, target: x}, errors.OptionError, "a dict {name: baseline}"),
        ({"baselines": [lambda x, target: x]}, errors.OptionError, "a dict {name: baseline}"),
        ({"baselines": []}, errors.OptionError, "baseline for integrated_gradients"),
        ({"baselines": {"both": np.zeros((1, 2, 8, 8, 1), np.float32)}}, errors.BaselineError, "one image"),
        ({"baselines": {"zero": gx.baselines.zero}}, errors.BaselineError, "zero()"),
        ({"baselines": {"large": lambda x, target: 2 + x}}, errors.BaselineError, "value range"),
        ({"metrics": ["inverse_localization"]}, errors.OptionError, "edges"),
        ({"metrics": ["inverse_localization"], "relevant": np.ones((3, 3), bool)}, errors.ImageError, "(8, 8)"),
        ({"metrics": ["inverse_localization"], "relevant": "middle"}, errors.OptionError, "middle"),
        ({"method_options": {"integrated_gradients": {"rules": "complete"}}}, errors.OptionError, "'rule'"),
        ({"method_options": {"magic": {}}}, errors.OptionError, "magic"),
        ({"methods": ["magic"], "method_options": {"magic": {"method": "wand"}}}, errors.OptionError, "stands for"),
        ({"targets": np.zeros(4, int)}, errors.LabelError, "ndarray"),
        ({"folder": __file__}, errors.OptionError, "a file"),
        ({"folder": Path(__file__) / "below"}, errors.OptionError, "a file"),
        ({"targets": "pear"}, errors.LabelError, "pear"),
        ({"targets": 9}, errors.LabelError, "0 to 3"),
        ({"limit": 0}, errors.OptionError, "limit"),
        ({"seed": -1}, errors.OptionError, "seed"),
        ({"score": "rank"}, errors.OptionError, "rank"),
        ({"steps": 0}, errors.OptionError, "steps"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_computed(clf, data, monkeypatch, changes, error, expected):
    if "value range" not in expected:  # that shows when it is called
        monkeypatch.setattr("tf_ganmex.evaluation.work.MapWork.complete", lambda *_: pytest.fail("was computed"))
    with pytest.raises(error) as caught:
        gx.evaluate(
            clf, data, **{"methods": ["integrated_gradients"], "baselines": ["zero"], "metrics": ["gini"], **changes}
        )
    assert expected in str(caught.value) and str(caught.value).startswith("Expected ")


def test_other_classes_and_nothing_left_are_told(clf, data):
    fewer = dataclasses.replace(data, y_train=data.y_train % 3, y_test=data.y_test % 3, class_names=["a", "b", "c"])
    with pytest.raises(errors.LabelError, match="4 classes"):
        gx.evaluate(clf, fewer)
    wrong = dataclasses.replace(data, y_test=(clf.predict(data.x_test) + 1) % CLASSES)
    with pytest.raises(errors.OptionError, match="24 are mis-classified"):
        gx.evaluate(clf, wrong)
    with pytest.raises(errors.DatasetError, match="tuple"):
        gx.evaluate(clf, (data.x_test, data.y_test))
    with pytest.raises(errors.ModelError, match="load_classifier"):
        gx.evaluate(clf.keras_model, data)
